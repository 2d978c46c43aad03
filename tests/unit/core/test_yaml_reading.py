"""Is YAML 1.2 read as written, with the place of everything?"""

import pytest

from archsim.core.document import Document, Source, dotted, parse_path
from archsim.core.errors import Diagnostic, InputError
from archsim.core.yamlread import read_text, read_value, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", 1e9),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("1.", 1.0),
        ("-12", -12),
        ("+3", 3),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("NO", "NO"),
        ("off", "off"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("80 GiB", "80 GiB"),
        (".", "."),
        ("-", "-"),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    read = resolve(text)
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_read_as_such():
    assert resolve(".nan") != resolve(".nan")


def test_quoted_scalars_are_text():
    data = read_text("a: '1'\nb: \"true\"\nc: |\n  5\nd: ''\n", None).data
    assert data == {"a": "1", "b": "true", "c": "5\n", "d": ""}


def test_keys_are_the_text_they_are_written_as():
    assert read_text("{8: a, true: b, null: c, 1e3: d}", None).data == {
        "8": "a",
        "true": "b",
        "null": "c",
        "1e3": "d",
    }


def test_an_empty_text_is_an_empty_mapping():
    assert read_text("", None).data == read_text("# nothing\n", None).data == {}


def test_json_is_read_too():
    assert read_text('{"a": [1, 2.5, null, "x\\ty"]}', None).data == {"a": [1, 2.5, None, "x\ty"]}


def test_every_key_and_value_has_a_place():
    document = read_text("a:\n  b: [10, 20]\n  c: 'x y'\n", "f.yaml")
    key, value = document.marks[("a", "c")]
    assert (key.line, key.column, key.width) == (3, 3, 1)
    assert (value.line, value.column, value.width) == (3, 6, 5)
    assert document.mark(("a", "b", 1))[1:] == (2, 11, 2)
    assert document.where(("a", "b")) == "f.yaml:2"


def test_a_path_without_a_place_takes_that_of_its_nearest_parent():
    document = read_text("a:\n  b: {c: 1}\n", "f.yaml")
    assert document.mark(("a", "b", "missing", "deep"))[1:] == (2, 3, 1)


def test_data_without_positions_still_makes_diagnostics():
    document = Document.of({"a": 1})
    assert document.where(("a",)) == ""
    assert document.error(("a",), "E201", "dangling").render() == "error[E201]: dangling"


def test_a_flag_is_its_own_place():
    with pytest.raises(InputError) as caught:
        read_value("[1", "--set a=[1")
    (found,) = caught.value.diagnostics
    assert (found.file, found.line, found.code) == ("--set a=[1", None, "E001")


def test_windows_line_ends_do_not_show_in_messages():
    with pytest.raises(InputError) as caught:
        read_text("a: 1\r\na: 2\r\n", "f.yaml")
    assert "\r" not in caught.value.render()


def test_text_with_a_lone_surrogate_is_not_valid():
    with pytest.raises(InputError) as caught:
        read_text("a: \ud800", "f.yaml")
    assert caught.value.message == "not valid YAML: surrogates not allowed"


def test_paths_are_written_as_set_reads_them():
    assert dotted(("a", "b", 0, "c")) == "a.b[0].c"
    assert dotted(("rows", "mac.bf16")) == 'rows."mac.bf16"'
    assert dotted(()) == ""


def test_written_paths_are_read_back():
    for path in [("a", "b", 0, "c"), ("rows", "mac.bf16", 3), ("a",), ()]:
        assert parse_path(dotted(path)) == path
    assert parse_path("a..b") == parse_path(".a") == parse_path("[0]") == parse_path("a[x]") == ()


def test_an_error_that_knows_only_a_path_gets_its_place():
    document = read_text("engines:\n  xpu:\n    clock: coer\n", "d.yaml")
    error = InputError("no such clock", code="E201", details={"path": "engines.xpu.clock"})
    located = document.locate(error)
    assert located.render() == (
        "d.yaml:3:12: error[E201]: no such clock\n    3 |     clock: coer\n      |            ^^^^"
    )
    assert (located.code, located.details) == ("E201", {"path": "engines.xpu.clock"})


def test_an_error_without_a_path_is_placed_at_the_file_and_one_with_a_file_stays():
    document = read_text("a: 1\n", "d.yaml")
    assert document.locate(InputError("m", code="E202")).render() == "d.yaml: error[E202]: m"
    elsewhere = InputError("m", where=Diagnostic("E003", "m", "other.yaml"))
    assert document.locate(elsewhere).render() == "other.yaml: error[E003]: m"


def test_a_source_keeps_its_lines():
    assert Source("f", "a\nb").lines == ["a", "b"]
