"""Is the error helpful? Every mistake in a description, with its full text, line and column."""

from textwrap import dedent

import pytest

from archsim.core.errors import InputError
from archsim.core.yamlio import load_spec
from archsim.core.yamlread import read_text
from archsim.testing.fuzz import SAMPLE_TEXT, SampleMachine


def refused(text, *, set_=()):
    with pytest.raises(InputError) as caught:
        load_spec(read_text(text, "devices/d.yaml"), SampleMachine, set_=set_)
    return caught.value


def check(error, code, line, column, expected):
    assert error.render() == dedent(expected).strip("\n")
    assert [(d.code, d.line, d.column) for d in error.diagnostics] == [(code, line, column)]
    assert error.exit_code == 3


def changed(old, new):
    assert old in SAMPLE_TEXT
    return SAMPLE_TEXT.replace(old, new)


def test_e001_a_tab_used_for_indentation():
    expected = """
        devices/d.yaml:8:1: error[E001]: not valid YAML: tab used for indentation
            8 | \tbandwidth: 1.2 TB/s
              | ^
              = help: replace it by spaces; opened at line 7
        """
    check(refused(changed("    bandwidth: 1.2", "\tbandwidth: 1.2")), "E001", 8, 1, expected)


def test_e001_broken_indentation():
    expected = """
        devices/d.yaml:8:15: error[E001]: not valid YAML: mapping values are not allowed in this context
            8 |      bandwidth: 1.2 TB/s
              |               ^
        """  # noqa: E501 - the parser's own words
    check(refused(changed("    bandwidth: 1.2", "     bandwidth: 1.2")), "E001", 8, 15, expected)


def test_e001_a_bracket_that_is_never_closed():
    expected = """
        devices/d.yaml:4:7: error[E001]: not valid YAML: did not find expected ',' or '}'
            4 | memory:
              |       ^
              = help: while parsing a flow mapping, opened at line 3
        """
    check(refused(changed("{core: 1 GHz}", "{core: 1 GHz")), "E001", 4, 7, expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1", "not valid YAML: anchors and aliases are not supported"),
        ("a: !!int 1", "not valid YAML: tags are not supported"),
        ("? [1]\n: 2", "not valid YAML: a key must be a plain word"),
        ("a: 1\n---\nb: 1", "not valid YAML: a second document begins here"),
        ("a: \x01", "not valid YAML: character 0x01: control characters are not allowed"),
        ("[" * 70, "not valid YAML: nested more than 64 levels deep"),
    ],
)
def test_e001_what_a_description_may_not_use(text, message):
    (found,) = refused(text).diagnostics
    assert (found.code, found.message) == ("E001", message)
    assert found.line >= 1


def test_e002_a_key_given_twice():
    expected = """
        devices/d.yaml:11:3: error[E002]: key "hbm" given twice in memory
           11 |   hbm: {kind: sram}
              |   ^^^
              = help: first at line 5; remove one
        """
    text = changed("rates:", "  hbm: {kind: sram}\nrates:")
    check(refused(text), "E002", 11, 3, expected)


def test_e002_names_every_key_given_twice_and_the_top_level():
    text = SAMPLE_TEXT + "name: again\nclocks: {}\n"
    messages = [d.message for d in refused(text).diagnostics]
    assert messages == [
        'key "name" given twice at the top level',
        'key "clocks" given twice at the top level',
    ]


def test_e101_an_unknown_key_with_the_closest_one():
    expected = """
        devices/d.yaml:8:5: error[E101]: unknown key "bandwith" in memory.hbm
            8 |     bandwith: 1.2 TB/s
              |     ^^^^^^^^
              = help: did you mean "bandwidth"?  (archsim schema machine lists all keys)
        """
    check(refused(changed("bandwidth: 1.2", "bandwith: 1.2")), "E101", 8, 5, expected)


def test_e101_an_unknown_key_that_is_close_to_nothing_lists_the_known_ones():
    expected = """
        devices/d.yaml:12:1: error[E101]: unknown key "zzz" at the top level
           12 | zzz: 1
              | ^^^
              = help: known keys: clocks, energy, memory, name, note, rates, schema, sizes  (archsim schema machine lists all keys)
        """  # noqa: E501 - one line of help
    check(refused(SAMPLE_TEXT + "zzz: 1\n"), "E101", 12, 1, expected)


def test_e101_an_unknown_name_where_only_some_may_be_keys():
    expected = """
        devices/d.yaml:11:9: error[E101]: unknown key "ad" in rates
           11 | rates: {ad: 1, mul: 2}
              |         ^^
              = help: did you mean "add"?  (archsim schema machine lists all keys)
        """
    check(refused(changed("{add:", "{ad:")), "E101", 11, 9, expected)


def test_e102_a_missing_key_with_an_example():
    expected = """
        devices/d.yaml:5:3: error[E102]: memory.hbm needs "bandwidth"
            5 |   hbm:
              |   ^^^
              = help: example `bandwidth: 1.2 TB/s`
        """
    check(refused(changed("    bandwidth: 1.2 TB/s\n", "")), "E102", 5, 3, expected)


def test_e102_a_missing_kind():
    expected = """
        devices/d.yaml:5:3: error[E102]: memory.hbm needs "kind"
            5 |   hbm:
              |   ^^^
              = help: example `kind: dram`
        """
    check(refused(changed("    kind: dram\n", "")), "E102", 5, 3, expected)


def test_e102_a_file_without_its_version():
    expected = """
        devices/d.yaml:1:1: error[E102]: the file needs "schema"
            1 | name: sample
              | ^
              = help: example `schema: archsim.machine/1`
        """
    check(refused(changed("schema: archsim.machine/1\n", "")), "E102", 1, 1, expected)


def test_e103_a_bare_number():
    expected = """
        devices/d.yaml:7:15: error[E103]: memory.hbm.capacity needs a unit, got 80
            7 |     capacity: 80
              |               ^^
              = help: `80 GiB` or `80 GB`? they differ by 7.4 %
        """
    check(refused(changed("80 GiB", "80")), "E103", 7, 15, expected)


def test_e103_a_bare_number_of_something_else_than_bytes():
    expected = """
        devices/d.yaml:3:16: error[E103]: clocks.core needs a unit, got 1000000000.0
            3 | clocks: {core: 1e9}
              |                ^^^
              = help: write it like `940 MHz`
        """
    check(refused(changed("1 GHz", "1e9")), "E103", 3, 16, expected)


def test_e104_an_ambiguous_unit():
    expected = """
        devices/d.yaml:8:16: error[E104]: "400 Gb/s": "b" is ambiguous
            8 |     bandwidth: 400 Gb/s
              |                ^^^^^^^^
              = help: `400 Gbit/s` or `400 GB/s`
        """
    check(refused(changed("1.2 TB/s", "400 Gb/s")), "E104", 8, 16, expected)


def test_e104_an_ambiguous_prefix():
    expected = """
        devices/d.yaml:7:15: error[E104]: "64 KB": "K" is ambiguous
            7 |     capacity: 64 KB
              |               ^^^^^
              = help: `64 KiB` or `64 kB`
        """
    check(refused(changed("80 GiB", "64 KB")), "E104", 7, 15, expected)


def test_e104_an_unknown_unit():
    expected = """
        devices/d.yaml:3:16: error[E104]: "1 ghz": unknown unit "ghz"
            3 | clocks: {core: 1 ghz}
              |                ^^^^^
              = help: did you mean `1 GHz`?
        """
    check(refused(changed("1 GHz", "1 ghz")), "E104", 3, 16, expected)


def test_e105_a_wrong_dimension_that_a_neighbour_has():
    expected = """
        devices/d.yaml:7:15: error[E105]: capacity expects bytes, got "1 TB/s" (bytes per second)
            7 |     capacity: 1 TB/s
              |               ^^^^^^
              = help: was `bandwidth` meant?
        """
    check(refused(changed("80 GiB", "1 TB/s")), "E105", 7, 15, expected)


def test_e105_a_wrong_dimension_that_nothing_here_has():
    expected = """
        devices/d.yaml:7:15: error[E105]: capacity expects bytes, got "1 pin" (unit pin)
            7 |     capacity: 1 pin
              |               ^^^^^
              = help: write it like `80 GiB`
        """
    check(refused(changed("80 GiB", "1 pin")), "E105", 7, 15, expected)


def test_e105_a_mapping_where_a_value_belongs():
    expected = """
        devices/d.yaml:2:7: error[E105]: name expects text, got a mapping
            2 | name: {a: 1}
              |       ^
        """
    check(refused(changed("name: sample", "name: {a: 1}")), "E105", 2, 7, expected)


def test_e105_a_value_of_several_possible_types_names_them_all():
    expected = """
        devices/d.yaml:12:8: error[E105]: sizes expects a whole number or a list, got "x"
           12 | sizes: x
              |        ^
              = help: write it like `1`
        """
    check(refused(SAMPLE_TEXT + "sizes: x\n"), "E105", 12, 8, expected)


def test_e105_one_wrong_item_of_a_list():
    expected = """
        devices/d.yaml:12:12: error[E105]: sizes[1] expects a whole number, got 1.5
           12 | sizes: [1, 1.5]
              |            ^^^
        """
    check(refused(SAMPLE_TEXT + "sizes: [1, 1.5]\n"), "E105", 12, 12, expected)


def test_e106_a_decimal_comma():
    expected = """
        devices/d.yaml:8:16: error[E106]: "3,35 TB/s": comma in a number
            8 |     bandwidth: 3,35 TB/s
              |                ^^^^^^^^^
              = help: `3.35 TB/s`
        """
    check(refused(changed("1.2 TB/s", "3,35 TB/s")), "E106", 8, 16, expected)


def test_e107_a_share_out_of_range():
    expected = """
        devices/d.yaml:9:17: error[E107]: memory.hbm.efficiency must be in (0, 1], got 1.2
            9 |     efficiency: 1.2
              |                 ^^^
              = help: `85 %` or `0.85`
        """
    check(refused(changed("85 %", "1.2")), "E107", 9, 17, expected)


def test_e107_a_count_below_its_limit():
    expected = """
        devices/d.yaml:11:14: error[E107]: rates.add must be greater than 0, got 0
           11 | rates: {add: 0, mul: 2}
              |              ^
        """
    check(refused(changed("add: 1", "add: 0")), "E107", 11, 14, expected)


def test_e108_a_wrong_word_with_the_closest_one():
    expected = """
        devices/d.yaml:6:11: error[E108]: kind "darm" is not one of dram, sram
            6 |     kind: darm
              |           ^^^^
              = help: did you mean "dram"?
        """
    check(refused(changed("kind: dram", "kind: darm")), "E108", 6, 11, expected)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("archsim.machine/0", "schema archsim.machine/0 is older than this version reads"),
        ("archsim.machine/2", "schema archsim.machine/2 is newer than this version reads"),
        ("archsim.workload/1", "schema archsim.workload/1 is not archsim.machine/1"),
    ],
)
def test_e204_another_version_or_another_kind_of_file(version, message):
    underline = "^" * len(version)
    expected = f"""
        devices/d.yaml:1:9: error[E204]: {message}
            1 | schema: {version}
              |         {underline}
              = help: this version reads `schema: archsim.machine/1`
        """
    check(refused(changed("archsim.machine/1", version)), "E204", 1, 9, expected)


def test_e204_alone_for_a_file_of_another_kind_whatever_else_it_holds():
    text = changed("archsim.machine/1", "archsim.workload/1").replace("clocks:", "clockz:")
    assert [d.code for d in refused(text).diagnostics] == ["E204"]


@pytest.mark.parametrize(
    ("setting", "help_text"),
    [
        ("memory.hbm.bandwith=4 TB/s", "did you mean `memory.hbm.bandwidth`?"),
        ("memory.hbmm.bandwidth=4 TB/s", "did you mean `memory.hbm.bandwidth`?"),
        ("hbm.bandwidth=4 TB/s", "did you mean `memory.hbm.bandwidth`?"),
        ("energy.tabel=45nm", "did you mean `energy.table`?"),
        ("clocks.coer=2 GHz", "did you mean `clocks.core`?"),
        ("memory.hbm.capacity.x=1", "did you mean `memory.hbm.capacity`?"),
        ("memory.ddr.latency=9 ns", "known in memory: hbm, l2"),
    ],
)
def test_e601_a_setting_that_does_not_exist(setting, help_text):
    expected = f"""
        --set {setting}: error[E601]: no such setting
              = help: {help_text}
        """
    check(refused(SAMPLE_TEXT, set_=[setting]), "E601", None, None, expected)


def test_e601_an_unknown_key_inside_the_value_of_a_setting():
    setting = "memory.ddr={kind: dram, capacity: 1 TB, bandwith: 1 GB/s}"
    expected = f"""
        --set {setting}: error[E601]: no such setting
              = help: did you mean `memory.ddr.bandwidth`?
        """
    check(refused(SAMPLE_TEXT, set_=[setting]), "E601", None, None, expected)


@pytest.mark.parametrize("setting", ["memory.hbm.bandwidth", "=1", ".a=1", "a..b=1", "name="])
def test_e601_a_setting_that_is_none(setting):
    expected = f"""
        --set {setting}: error[E601]: not of the form path=value
              = help: example `--set memory.hbm.bandwidth='4 TB/s'`
        """
    check(refused(SAMPLE_TEXT, set_=[setting]), "E601", None, None, expected)


def test_a_wrong_value_in_a_setting_points_at_the_flag():
    expected = """
        --set memory.hbm.bandwidth=3,35 TB/s: error[E106]: "3,35 TB/s": comma in a number
              = help: `3.35 TB/s`
        """
    error = refused(SAMPLE_TEXT, set_=["memory.hbm.bandwidth=3,35 TB/s"])
    check(error, "E106", None, None, expected)


def test_all_mistakes_of_a_file_come_together_sorted_by_position():
    text = (
        changed("80 GiB", "80")
        .replace("{core: 1 GHz}", "{core: 1 GHZ}")
        .replace("{add: 1", "{add: 0")
    )
    error = refused(text)
    found = [(d.code, d.line, d.path) for d in error.diagnostics]
    assert found == [
        ("E104", 3, "clocks.core"),
        ("E103", 7, "memory.hbm.capacity"),
        ("E107", 11, "rates.add"),
    ]
    assert error.render().count("error[") == 3


def test_at_most_twenty_mistakes_are_shown_and_the_rest_counted():
    wrong = ", ".join(["x"] * 33)
    text = refused(SAMPLE_TEXT + f"sizes: [{wrong}]\n").render()
    assert text.count("error[E105]") == 20
    assert text.endswith("and 13 more errors")


def test_for_programs_a_mistake_is_an_object():
    (found,) = refused(changed("kind: dram", "kind: darm")).to_dict()["errors"]
    assert found == {
        "code": "E108",
        "file": "devices/d.yaml",
        "line": 6,
        "column": 11,
        "path": "memory.hbm.kind",
        "message": 'kind "darm" is not one of dram, sram',
        "help": 'did you mean "dram"?',
    }
