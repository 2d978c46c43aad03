"""Are shipped files found by name, and results written whole or not at all?"""

import math
import os

import pytest
from pydantic import TypeAdapter

from archsim.core import data
from archsim.core.errors import InputError
from archsim.core.files import atomic_write
from archsim.core.yamlio import canonical_json, dump_yaml, load_spec, sha256_of


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A checkout with two hardware files."""
    package = tmp_path / "archsim"
    (tmp_path / "configs").mkdir(parents=True)
    for name in ("npu", "tpu-v4"):
        (tmp_path / "configs" / f"{name}.yaml").write_text("{}")
    monkeypatch.setattr(data, "_PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_is_the_shipped_file_of_that_name(shipped):
    assert data.find("npu", "workloads", "configs") == shipped / "configs" / "npu.yaml"
    assert data.names("configs", "workloads") == ("npu", "tpu-v4")


def test_in_a_wheel_the_files_lie_inside_the_package(shipped):
    inside = shipped / "archsim" / "_data" / "configs"
    inside.mkdir(parents=True)
    (inside / "gpu.yaml").write_text("{}")
    assert data.find("gpu", "configs") == inside / "gpu.yaml"


def test_an_existing_path_stays_as_it_is(shipped):
    (shipped / "npu").write_text("{}")
    assert str(data.find("npu", "configs")) == "npu"


def test_a_name_is_never_a_way_out_of_the_folder(shipped):
    (shipped / "secret.yaml").write_text("{}")
    with pytest.raises(InputError):
        data.find("../secret", "configs")


@pytest.mark.parametrize(
    ("name", "help_text"), [("nqu", 'did you mean "npu"?'), ("zzzzz", "shipped: npu, tpu-v4")]
)
def test_an_unknown_name_is_refused_with_what_there_is(shipped, name, help_text):
    with pytest.raises(InputError) as caught:
        data.find(name, "configs")
    assert caught.value.render() == (
        f'error[E003]: no file and no shipped name "{name}"\n      = help: {help_text}'
    )


def test_writing_makes_folders_and_replaces_the_file(tmp_path):
    target = tmp_path / "a" / "b.json"
    assert atomic_write(target, "one") == target
    atomic_write(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["b.json"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "b.json"
    atomic_write(target, "old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_written_files_have_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    written = atomic_write(tmp_path / "atomic", "x")
    assert written.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_yaml_is_written_in_order_without_aliases():
    same = [1, 2]
    assert dump_yaml({"b": same, "a": same}) == "b:\n- 1\n- 2\na:\n- 1\n- 2\n"


def test_words_that_some_reader_would_take_for_something_else_are_quoted():
    text = dump_yaml({"a": "NO", "b": "1e9", "c": "0o17", "d": "12:30", "e": "plain"})
    assert text == "a: 'NO'\nb: '1e9'\nc: '0o17'\nd: '12:30'\ne: plain\n"


def test_canonical_json_is_sorted_dense_and_finite():
    assert canonical_json({"b": 1, "a": [1.5, "ä"]}) == '{"a":[1.5,"ä"],"b":1}'
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(math.nan)


def test_equal_data_has_an_equal_hash():
    assert sha256_of({"a": 1, "b": 2}) == sha256_of({"b": 2, "a": 1})
    assert sha256_of({"a": 1}) != sha256_of({"a": 2})


def test_data_that_is_not_plain_is_refused():
    with pytest.raises(InputError, match="not plain data"):
        load_spec({"a": object()}, TypeAdapter(dict[str, int]))
