"""Does every form of workload stand alone once it is loaded?"""

import json
import typing

import jsonschema
import pytest

from archsim.core.data import data_dir, names
from archsim.core.spec import json_schema
from archsim.core.yamlio import load_yaml, sha256_of
from archsim.ir.tensor import DTYPES
from archsim.lowering.lower import describe, lower, models
from archsim.lowering.phase import DTypeName
from archsim.lowering.spec import WorkloadSpec, load_workload, resolve

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100,
}  # fmt: skip
PHASE = {"phase": "decode", "batch": 4, "context": 128}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "layers.csv").write_text("L,M,N,K\na,4,5,6\n")
    (tmp_path / "ops.yaml").write_text(
        "schema: archsim.graph/1\nops: [{kind: move, name: m, rows: 1, cols: 2}]\n"
    )
    return tmp_path


@pytest.mark.parametrize("name", names("workloads"))
def test_every_shipped_workload_fits_the_schema_and_lowers(name):
    data = load_yaml(data_dir("workloads") / f"{name}.yaml").data
    jsonschema.validate(data, json_schema(WorkloadSpec))
    spec, _ = load_workload(name)
    assert spec.name == name
    assert lower(spec).facts["warnings"] == []


@pytest.mark.parametrize("name", names("workloads"))
def test_a_loaded_workload_loads_again_to_the_same(name):
    spec, _ = load_workload(name)
    assert load_workload(spec.to_data())[0] == spec == resolve(spec)


@pytest.mark.parametrize("file", ["config.json", "layers.csv", "ops.yaml"])
def test_a_file_is_its_numbers_wherever_it_lies(folder, file):
    flags = PHASE if file == "config.json" else {}
    spec, _ = load_workload(folder / file, **flags)
    assert str(folder) not in json.dumps(spec.to_data())
    assert load_workload(spec.to_data())[0] == spec
    other = folder / "elsewhere"
    other.mkdir()
    (folder / file).rename(other / file)
    moved, _ = load_workload(other / file, **flags)
    assert sha256_of(moved.model.to_data()) == sha256_of(spec.model.to_data())


def test_paths_are_relative_to_the_file_that_names_them(folder):
    text = "schema: archsim.workload/1\nname: w\nmodel: {hf_config: ../config.json}\n"
    (folder / "deep").mkdir()
    path = folder / "deep" / "w.yaml"
    path.write_text(text + "phase: {kind: prefill, tokens: 8}\n")
    assert lower(load_workload(path)[0]).facts["layers"] == 2


def test_a_model_and_flags_are_the_same_as_a_file():
    from_file, _ = load_workload("llama-3-8b-decode")
    from_flags, _ = load_workload("llama-3-8b", phase="decode", batch=16, context=2048)
    assert lower(from_flags).blocks == lower(from_file).blocks
    assert from_flags.phase == from_file.phase


def test_flags_change_a_file_and_a_new_phase_replaces_the_old():
    wider, _ = load_workload("llama-3-8b-decode", batch=2)
    assert wider.phase.to_data() == {"kind": "decode", "batch": 2, "context": 2048}
    other, _ = load_workload("llama-3-8b-decode", phase="prefill", tokens=8)
    assert other.phase.to_data() == {"kind": "prefill", "batch": 1, "tokens": 8}
    ragged, _ = load_workload("llama-3-8b", phase="decode", context=[4, 9])
    assert ragged.phase.context == (4, 9)


def test_settings_reach_inside():
    spec, _ = load_workload("llama-3-8b-decode", set_=["phase.batch=3", "dtypes.kv_cache=fp8"])
    assert spec.phase.batch == 3
    assert lower(spec).facts["kv_bytes_per_token"] == 65_536


def test_element_types_left_out_are_filled_in_where_they_matter():
    decoder, _ = load_workload("gpt2-small", phase="prefill", tokens=4)
    assert decoder.dtypes.to_data() == {
        "weights": "bf16", "activations": "bf16", "kv_cache": "bf16", "accumulators": "fp32",
    }  # fmt: skip
    network, _ = load_workload("resnet-50")
    assert network.dtypes.kv_cache is None


def test_a_type_without_effect_is_a_warning():
    spec, _ = load_workload("resnet-50", set_=["dtypes.kv_cache=fp8"])
    text = "dtypes.kv_cache has no effect: the model keeps no KV cache"
    assert lower(spec).facts["warnings"] == [("W101", text)]


def test_a_model_with_one_phase_needs_none():
    spec, _ = load_workload("resnet-50")
    assert spec.phase.to_data() == {"kind": "infer", "batch": 1}


def test_the_names_of_element_types_are_those_of_the_ir():
    assert set(typing.get_args(DTypeName)) == set(DTYPES)


def test_a_description_without_a_phase_is_of_the_model_alone():
    facts = describe("llama-3-8b")
    assert facts["description"] == "Llama 3 8B: dense decoder, grouped queries"
    assert (facts["parameters"], facts["kv_bytes_per_token"]) == (8_030_261_248, 131_072)
    assert (facts["macs_per_token"], facts["context"]) == (8_041_529_344, 2048)
    assert not {"phase", "macs", "output_tokens", "warnings"} & set(facts)


def test_a_description_with_a_phase_has_the_counts_of_its_step():
    facts = describe(load_workload("llama-3-8b", **PHASE)[0])
    assert facts["macs"] == 4 * facts["macs_per_token"]
    assert facts["output_tokens"] == 4
    assert facts["kv_cache_bytes"] == 4 * 128 * facts["kv_bytes_per_token"]


@pytest.mark.parametrize("name", models())
def test_every_model_is_described_with_the_same_keys(name):
    assert {"parameters", "macs_per_token", "kv_bytes_per_token", "layers"} <= set(describe(name))


def test_the_hash_of_a_presets_numbers_is_among_the_facts():
    one, two = (
        lower(load_workload(n, phase="prefill", tokens=4)[0]).facts["content"]
        for n in ("llama-2-7b", "llama-3-8b")
    )
    assert one != two
    assert len(one) == 64
