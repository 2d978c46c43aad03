"""Are base files, set-files and settings laid over one another in order, places included?"""

import pytest

from archsim.core.errors import InputError
from archsim.core.yamlio import load_layers, load_spec, load_yaml
from archsim.core.yamlread import read_text
from archsim.testing.fuzz import SAMPLE_TEXT, SampleMachine


@pytest.fixture
def files(tmp_path):
    """Writes files by name and returns the folder."""

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path

    return write


def load(source, **options):
    return load_spec(source, SampleMachine, **options)[0]


def load_set(*set_):
    return load(read_text(SAMPLE_TEXT, "d.yaml"), set_=set_)


def test_a_file_inherits_what_it_does_not_say(files):
    folder = files(
        base=SAMPLE_TEXT,
        child="extends: base.yaml\nname: child\nmemory: {hbm: {bandwidth: 2 TB/s}}\n",
    )
    spec, document = load_spec(folder / "child.yaml", SampleMachine)
    assert spec.name == "child"
    assert spec.memory["hbm"].bandwidth == 2e12
    assert spec.memory["hbm"].capacity == 80 * 2**30
    assert document.file == folder / "child.yaml"
    assert [path.name for path in document.sources] == ["base.yaml", "child.yaml"]


def test_a_chain_of_files_is_followed_relative_to_each(files, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "middle.yaml").write_text("extends: ../base.yaml\nnote: middle\n")
    folder = files(base=SAMPLE_TEXT, top="extends: sub/middle.yaml\nname: top\n")
    spec = load(folder / "top.yaml")
    assert (spec.name, spec.note) == ("top", "middle")


def test_null_removes_an_inherited_key_and_lists_are_replaced(files):
    folder = files(
        base=SAMPLE_TEXT + "sizes: [1, 2, 3]\n",
        child="extends: base.yaml\nmemory: {l2: null}\nsizes: [9]\n",
    )
    spec = load(folder / "child.yaml")
    assert set(spec.memory) == {"hbm"}
    assert spec.sizes == [9]


def test_a_mistake_is_reported_where_its_value_came_from(files):
    folder = files(
        base=SAMPLE_TEXT.replace("80 GiB", "80"),
        child="extends: base.yaml\nmemory:\n  hbm: {bandwidth: 2}\n",
    )
    with pytest.raises(InputError) as caught:
        load(folder / "child.yaml")
    base, child = caught.value.diagnostics
    assert (base.file, base.line, base.path) == (
        str(folder / "base.yaml"),
        7,
        "memory.hbm.capacity",
    )
    assert (child.file, child.line, child.path) == (
        str(folder / "child.yaml"),
        3,
        "memory.hbm.bandwidth",
    )


def test_files_that_extend_one_another_are_refused(files):
    folder = files(a="extends: b.yaml\n", b="name: b\nextends: a.yaml\n")
    with pytest.raises(InputError) as caught:
        load(folder / "a.yaml")
    (found,) = caught.value.diagnostics
    assert (found.code, found.line, found.message) == ("E202", 2, "extends comes back to a.yaml")


def test_a_base_that_does_not_exist_is_refused_at_its_line(files):
    folder = files(a="name: a\nextends: nothing.yaml\n")
    with pytest.raises(InputError) as caught:
        load(folder / "a.yaml")
    (found,) = caught.value.diagnostics
    assert (found.code, found.line, found.column) == ("E201", 2, 10)
    assert found.message == 'extends names "nothing.yaml", which does not exist'


def test_extends_is_the_name_of_a_file():
    with pytest.raises(InputError, match="extends expects the name of a file"):
        load({"extends": 5})


def test_a_set_file_lies_over_the_file_and_a_setting_over_both(files):
    folder = files(
        base=SAMPLE_TEXT, fast="memory: {hbm: {bandwidth: 2 TB/s, latency: 5 ns}}\nname: fast\n"
    )
    spec = load(
        folder / "base.yaml",
        set_files=[folder / "fast.yaml"],
        set_=["memory.hbm.bandwidth=3 TB/s"],
    )
    assert spec.name == "fast"
    assert spec.memory["hbm"].bandwidth == 3e12
    assert spec.memory["hbm"].latency == 5e-9


def test_data_of_python_code_takes_set_files_and_settings_too(files):
    folder = files(fast="memory: {hbm: {latency: 5 ns}}\n")
    data = read_text(SAMPLE_TEXT, None).data
    spec = load(data, set_files=[folder / "fast.yaml"], set_=["name=mine"])
    assert (spec.name, spec.memory["hbm"].latency) == ("mine", 5e-9)


def test_a_file_extends_one_that_brings_data_of_python_code(files):
    folder = files(base=SAMPLE_TEXT)
    spec = load({"extends": str(folder / "base.yaml"), "memory": {"hbm": {"latency": "7 ns"}}})
    assert spec.memory["hbm"].latency == 7e-9


def test_a_value_of_a_set_file_that_is_wrong_is_reported_there(files):
    folder = files(base=SAMPLE_TEXT, fast="memory: {hbm: {bandwidht: 2 TB/s}}\n")
    with pytest.raises(InputError) as caught:
        load(folder / "base.yaml", set_files=[folder / "fast.yaml"])
    (found,) = caught.value.diagnostics
    assert (found.code, found.file, found.line) == ("E101", str(folder / "fast.yaml"), 1)


def test_settings_are_typed_as_a_file_would_be():
    assert load_set("sizes=4").sizes == 4
    assert load_set("sizes=[1, 2]").sizes == [1, 2]
    assert load_set("note=NO").note == "NO"
    assert load_set("note='5'").note == "5"
    assert load_set("memory.hbm.efficiency=50 %").memory["hbm"].efficiency == 0.5


def test_a_later_setting_wins_and_builds_on_an_earlier_one():
    assert load_set("sizes=[1, 2]", "sizes[1]=7").sizes == [1, 7]
    assert load_set("name=a", "name=b").name == "b"


def test_a_known_field_that_the_file_leaves_out_can_be_set():
    assert load_set("energy.table=45nm").energy.table == "45nm"
    assert load_set("rates.add=4").rates == {"add": 4, "mul": 2}


def test_a_whole_new_entry_can_be_set_and_null_removes_one():
    spec = load_set("memory.ddr={kind: dram, capacity: 1 TB, bandwidth: 50 GB/s}")
    assert spec.memory["ddr"].capacity == 10**12
    assert set(load_set("memory.l2=null").memory) == {"hbm"}


def test_a_new_name_is_accepted_when_it_is_no_slip_of_a_known_one():
    assert load_set("clocks.pim=650 MHz").clocks == {"core": 1e9, "pim": 650e6}


def test_names_with_dots_are_quoted():
    with pytest.raises(InputError) as caught:
        load_set('clocks."co.re"=1 GHz')
    assert caught.value.diagnostics[0].path == 'clocks."co.re"'


@pytest.mark.parametrize(
    "setting", ["sizes[3]=1", "sizes.x=1", "memory[0]=1", "name.x=1", "x[0]=1", "sizes[0].x=1"]
)
def test_a_setting_below_something_else_than_expected_does_not_exist(setting):
    with pytest.raises(InputError) as caught:
        load(read_text(SAMPLE_TEXT + "sizes: [1, 2]\n", "d.yaml"), set_=[setting])
    assert caught.value.code == "E601"


def test_several_settings_that_do_not_exist_are_reported_together():
    with pytest.raises(InputError) as caught:
        load_set("nam=x", "note=ok", "memory.hbn.latency=1 ns")
    assert [d.file for d in caught.value.diagnostics] == [
        "--set memory.hbn.latency=1 ns",
        "--set nam=x",
    ]


def test_settings_leave_the_loaded_document_alone():
    document = read_text(SAMPLE_TEXT, "d.yaml")
    load(document, set_=["memory.hbm.bandwidth=9 TB/s"])
    assert document.data["memory"]["hbm"]["bandwidth"] == "1.2 TB/s"


def test_a_new_kind_brings_the_fields_of_that_kind_into_reach():
    spec = load_set("memory.hbm.kind=sram", "memory.hbm.efficiency=null", "memory.hbm.banks=8")
    assert spec.memory["hbm"].banks == 8


def test_a_file_that_is_not_a_mapping_merges_to_itself(files):
    folder = files(a="[1, 2]")
    assert load_layers(folder / "a.yaml").data == [1, 2]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        load_yaml(tmp_path / "no.yaml")
    place = tmp_path / "no.yaml"
    assert caught.value.render() == (
        f"{place}: error[E003]: cannot be read: No such file or directory"
    )


def test_a_file_that_is_not_utf_8_is_refused_at_its_line(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(InputError) as caught:
        load_yaml(tmp_path / "a.yaml")
    (found,) = caught.value.diagnostics
    assert (found.code, found.line) == ("E001", 2)
    assert found.message == "not valid YAML: byte 0xff is not UTF-8"


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load_yaml(tmp_path / "a.yaml").data == {"a": 1}
