"""Does the mapper find good mappings, say how good they are, and remember them safely?"""

import json
import threading
from pathlib import Path

import pytest

from archsim import api
from archsim.system import mapper_cache
from archsim.system.mapper_record import Searched
from benchmarks.mapper import TOLERANCE, layers, measured

LAYERS = {
    "model": {"layers": [
        {"name": "wide", "m": 60, "n": 300, "k": 200},
        {"name": "edge", "m": 130, "n": 70, "k": 33},
    ]},
    "schema": "archsim.workload/1",
    "name": "two-layers",
    "phase": {"kind": "infer", "batch": 1},
    "dtypes": {"weights": "int8", "activations": "int8"},
}  # fmt: skip


OBJECTIVES = ("latency", "energy", "edp", "traffic", "compute")


INT4 = ["workload.dtypes.weights=int4g128", "workload.dtypes.activations=bf16"]


def rule(**options):
    fields = {"dataflow": "auto", "budget": 5_000, "cache": "false"} | options
    text = ", ".join(f"{key}: {value}" for key, value in fields.items())
    return [f'mapping=[{{ops: "*", {text}}}]']


def searched(hardware, workload, **options):
    plan = api.place_only(hardware, workload, set_=rule(**options))
    return {s.path: s for b in plan.blocks for s in b.stages if s.searched}, plan


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path / ".cache" / "archsim" / "mappings"


def convolution(name, size, channels, filters, taps, strides):
    return {
        "name": name, "ifmap_height": size, "ifmap_width": size, "filter_height": taps,
        "filter_width": taps, "channels": channels, "num_filter": filters, "strides": strides,
    }  # fmt: skip


CONVOLUTIONS = {
    **LAYERS,
    "name": "some-convolutions",
    "model": {"layers": [
        convolution("stem", 57, 3, 24, 3, 2),
        convolution("pointwise", 28, 24, 40, 1, 1),
        convolution("wide", 15, 40, 100, 5, 1),
    ]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("hardware", "workload", "objective"),
    [
        ("npu", "gpt2-small-prefill", "latency"),
        ("npu", "llama-3-8b-decode", "energy"),
        *(("scalesim-128", CONVOLUTIONS, objective) for objective in OBJECTIVES),
        *(("npu", CONVOLUTIONS, objective) for objective in OBJECTIVES),
    ],
)
def test_predicted_bytes_energy_and_busiest_resource_are_those_of_an_analytic_run(
    hardware, workload, objective
):
    stages, plan = searched(hardware, workload, objective=objective, budget=3000)
    assert stages
    run = api.run(
        hardware, workload, set_=rule(objective=objective, budget=3000), fidelity="analytic",
        advice=False,
    )  # fmt: skip
    repeats = {f"{b.block.name}/{s.ops[0].name}": b.block.count for b in plan.blocks
               for s in b.stages}  # fmt: skip
    rows = {row["op"]: row for row in run.ops}
    for path, stage in stages.items():
        row, found, n = rows[path], stage.searched, repeats[path]
        moved = sum(row[f"dram_{key}_bytes"] for key in ("in", "weight", "out", "partial"))
        assert moved == n * found.traffic_bytes
        assert row["time_ps"] == pytest.approx(n * found.analytic_s * 1e12, rel=1e-9)
        assert row["energy_j"] == pytest.approx(n * found.dynamic_pj * 1e-12, rel=1e-12)


def test_weights_that_a_vector_unit_unpacks_are_predicted_exactly_too():
    how = [*rule(budget=2000), *INT4]
    plan = api.place_only("npu", LAYERS, set_=how)
    rows = {
        row["op"]: row
        for row in api.run("npu", LAYERS, set_=how, fidelity="analytic", advice=False).ops
    }
    for stage in (s for b in plan.blocks for s in b.stages):
        row, found = rows[stage.path], stage.searched
        assert row["time_ps"] == pytest.approx(found.analytic_s * 1e12, rel=1e-9)
        assert row["energy_j"] == pytest.approx(found.dynamic_pj * 1e-12, rel=1e-12)


def test_each_objective_is_least_where_it_is_asked_for():
    by = {
        name: searched("npu", "gpt2-small-prefill", objective=name)[0]["layer/ffn.up"].searched
        for name in ("latency", "energy", "traffic")
    }
    for other in by.values():
        assert by["latency"].time_s <= other.time_s * 1.005
        assert by["energy"].energy_pj <= other.energy_pj
        assert by["traffic"].traffic_bytes <= other.traffic_bytes


def test_no_mapping_is_under_its_bound():
    for objective in OBJECTIVES:
        stages, _ = searched("npu", CONVOLUTIONS, objective=objective, budget=3000)
        for stage in stages.values():
            assert stage.searched.ratio >= 1 - 1e-12


@pytest.mark.parametrize(
    "name",
    ["llama-3-8b decode layer/attn.score", "resnet-50 infer stage3.n/reduce",
     "resnet-50 infer stage2.n/spatial", "mobilenet-v1 infer stage4.n/depthwise"],
)  # fmt: skip
@pytest.mark.parametrize("machine", ["npu", "tpu-v4"])
def test_simulated_a_mapping_found_is_not_slower_than_weight_stationary(machine, name):
    graph = dict(layers())[name]
    row = measured(machine, name, graph, 50_000, "latency")
    assert row.auto_us <= row.default_us * TOLERANCE


def test_a_named_template_is_searched_alone_where_an_objective_asks_for_it():
    stages, _ = searched(
        "npu", "gpt2-small-prefill", dataflow="output_stationary", objective="energy"
    )
    assert {s.mapping.dataflow for s in stages.values()} == {"output_stationary"}


def test_auto_for_a_whole_machine_takes_attention_as_one_stage():
    plan = api.place_only("npu", "gpt2-small-prefill", set_=["mapping=auto"])
    flows = {s.path: s.mapping.dataflow for b in plan.blocks for s in b.stages if s.mapping}
    assert flows["layer/attn.score"] == "flash_attention"
    assert plan.unmatched == ()


def test_auto_keeps_the_cascades_and_the_options_that_a_machine_names():
    plan = api.place_only("fusemax", "fusemax-bert", set_=["mapping=auto"])
    flows = {s.mapping.dataflow for b in plan.blocks for s in b.stages if s.mapping}
    assert flows == {"fusemax", "fusemax_linear"}
    (rule,) = api.load_hardware("scalesim-128", set_=["mapping=auto"]).mapping
    assert (rule.ops, rule.dataflow, rule.objective, rule.fuse) == ("*", "auto", "compute", "none")
    launched = api.load_hardware("h100", set_=["mapping=auto"]).mapping[1]
    assert launched.launch == "joined"


def test_auto_keeps_the_rules_of_the_file_that_one_extends(tmp_path):
    machine = tmp_path / "m.yaml"
    machine.write_text("extends: npu\nmapping: auto\n")
    rules = api.load_hardware(str(machine)).mapping
    assert [(rule.ops, rule.dataflow) for rule in rules] == [
        ("attention", "flash_attention"), ("*", "auto"),
    ]  # fmt: skip
    under = tmp_path / "under.yaml"
    under.write_text('mapping: [{ops: "*", dataflow: spatial, fuse: none}]\n')
    for how in (
        {"set_files": [str(under)], "set_": ["mapping=auto"]},
        {"set_files": [str(under), str(machine.with_name("auto.yaml"))]},
    ):
        machine.with_name("auto.yaml").write_text("mapping: auto\n")
        (rule,) = api.load_hardware("npu", **how).mapping
        assert (rule.dataflow, rule.fuse) == ("auto", "none")


def test_a_machine_without_rules_is_searched_for_every_op():
    data = api.load_hardware("npu").to_data()
    (rule,) = api.load_hardware({**data, "mapping": "auto"}).mapping
    assert (rule.ops, rule.dataflow) == ("*", "auto")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_templates_own_choice_is_a_candidate_whatever_the_budget(objective):
    stages, _ = searched("npu", "gpt2-small-prefill", objective=objective, budget=1)
    assert len(stages) == 5
    assert not any(s.searched.proved for s in stages.values())


def test_options_of_a_search_that_an_engine_has_no_use_for_are_named():
    def said(hardware, work):
        how = rule(budget=300, seed=1, cache="true")
        return [w for w in api.run(hardware, work, set_=how, fidelity="analytic").warnings
                if "has no effect" in w]  # fmt: skip

    assert said("npu", LAYERS) == []
    why = "array is a spatial_array, where all that templates propose is tried"
    assert said("eyeriss", LAYERS) == [
        f"W101 mapping[0].{option} has no effect: {why}" for option in ("budget", "seed", "cache")
    ]
    why = "tensor is a tensor_core, whose kernels choose their tiles themselves"
    assert f"W101 mapping[0].budget has no effect: {why}" in said("h100", LAYERS)
    assert f"W101 mapping[0].dataflow has no effect: {why}" in said("h100", LAYERS)


def test_a_spatial_array_is_searched_over_all_templates_and_pairs_of_ranks():
    stages, _ = searched("eyeriss", LAYERS)
    for stage in stages.values():
        assert not stage.searched.proved  # there are nests that no template proposes
        assert "candidates (all that templates propose) for" in stage.searched.lines()[0]
        assert stage.searched.tried > 100
        assert stage.searched.ratio >= 1


def test_without_auto_nothing_is_searched():
    plan = api.place_only("npu", "gpt2-small-prefill")
    assert not any(s.searched for b in plan.blocks for s in b.stages)


def test_what_a_search_was_like_is_told_in_a_line():
    found = Searched("latency", 2e-5, 1e-5, 20_000, 1_000_000, False, 2e-5, 100)
    assert found.lines() == [
        "searched 20,000 candidates (of 1,000,000) for latency: 2e-05 s, "
        "2.00 x the bound of 1e-05 s"
    ]
    assert found.data()["ratio_to_bound"] == 2.0


def test_an_answer_is_kept_and_read_back_equal(home):
    first, _ = searched("npu", LAYERS, cache="true")
    files = sorted(home.glob("*.json"))
    assert len(files) == 2
    before = [f.read_bytes() for f in files]
    again, _ = searched("npu", LAYERS, cache="true")
    assert {p: (s.mapping, s.searched) for p, s in first.items()} == {
        p: (s.mapping, s.searched) for p, s in again.items()
    }
    assert [f.read_bytes() for f in files] == before
    fresh, _ = searched("npu", LAYERS)
    assert {p: s.mapping for p, s in fresh.items()} == {p: s.mapping for p, s in first.items()}


def test_other_options_have_other_answers(home):
    for options in ({}, {"seed": 1}, {"budget": 9000}, {"objective": "energy"}):
        searched("npu", LAYERS, **{"cache": "true", **options})
    assert len(list(home.glob("*.json"))) == 8


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"answer": {}}', "cut", "changed"])
def test_a_damaged_answer_counts_as_absent(home, damage):
    first, _ = searched("npu", LAYERS, cache="true")
    for file in home.glob("*.json"):
        text = file.read_text()
        stored = json.loads(text)
        stored["answer"]["value"] = 0.0
        file.write_text({"cut": text[:-9], "changed": json.dumps(stored)}.get(damage, damage))
    again, _ = searched("npu", LAYERS, cache="true")
    assert {p: s.mapping for p, s in again.items()} == {p: s.mapping for p, s in first.items()}
    assert {p: s.searched for p, s in again.items()} == {p: s.searched for p, s in first.items()}


def test_without_the_cache_nothing_is_written(home):
    searched("npu", LAYERS)
    assert not home.exists()


def test_a_folder_that_cannot_be_written_is_no_obstacle(home):
    home.parent.mkdir(parents=True)
    home.write_text("a file in its place")
    stages, _ = searched("npu", LAYERS, cache="true")
    assert len(stages) == 2


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def nowhere():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nowhere)
    mapper_cache.save("key", {"a": 1})
    assert mapper_cache.load("key") is None


def test_many_writers_leave_one_whole_answer(home):
    answer = {"numbers": list(range(2000))}
    threads = [threading.Thread(target=mapper_cache.save, args=("k", answer)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mapper_cache.load("k") == answer
    assert [f.name for f in home.iterdir()] == ["k.json"]


def test_an_interrupted_write_leaves_nothing(home, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("archsim.core.files.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mapper_cache.save("k", {"a": 1})
    assert list(home.iterdir()) == []
    assert mapper_cache.load("k") is None
