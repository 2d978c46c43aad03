"""Are bytes, time, use and energy those of FuseMax's artifact, and its means those of the paper?"""

from statistics import fmean

import pytest

import archsim
from archsim.system.simulate import timed
from archsim.validation import validate
from archsim.validation.adapters import _fusemax
from archsim.validation.adapters.fusemax import FuseMax
from archsim.validation.adapters.fusemax_e2e import FuseMaxEndToEnd
from archsim.validation.suite import HERE, read_table

ATTENTION = read_table(HERE / "tables" / "fusemax_attention_results.csv")
PARETO = read_table(HERE / "tables" / "fusemax_pareto_256K.csv")


@pytest.fixture(scope="module")
def attention():
    return validate("fusemax")


def got(result, metric):
    return {case.id: case.got for case in result.cases if case.metric == metric}


def test_attention_is_inside_every_tolerance(attention):
    assert attention.rows == 60
    assert attention.passed, [c for c in attention.cases if c.status != "pass"][:5]
    assert attention.metrics()["dram_bytes"]["exact"] == 60
    assert attention.metrics()["latency_s"]["max_ape_pct"] < 0.05


def test_use_of_the_array_is_that_of_the_paper_in_the_mean(attention):
    used = [u for name, u in got(attention, "util_2d").items() if name.startswith("binding")]
    assert fmean(used) == pytest.approx(0.97, abs=0.01)


def test_a_layer_is_inside_every_tolerance_in_one_run_a_machine():
    result = validate("fusemax-e2e")
    assert result.rows == 12
    assert result.passed, [c for c in result.cases if c.status != "pass"][:5]
    assert result.metrics()["e2e_speedup_vs_flat"]["max_ape_pct"] < 0.05


def both(adapter, rows):
    return [adapter.run(row) for row in rows]


def test_means_over_all_four_models_are_the_headlines_of_the_paper():
    points = [
        {"model": model, "seq_len": length}
        for model in _fusemax.MODELS
        for length in ("1K", "4K", "16K", "64K", "256K", "1M")
    ]
    flat = both(FuseMax(), [p | {"config": "flat"} for p in points])
    fused = both(FuseMax(), [p | {"config": "binding"} for p in points])
    pairs = list(zip(flat, fused, strict=True))
    assert fmean(a["latency_s"] / b["latency_s"] for a, b in pairs) == pytest.approx(6.72, abs=0.01)
    # 78.7 % with the published counting error of section "energy"; physics alone is a little above
    assert fmean(b["energy_J"] / a["energy_J"] for a, b in pairs) == pytest.approx(0.787, abs=0.01)
    layers = both(FuseMaxEndToEnd(), points)
    assert fmean(r["e2e_speedup_vs_flat"] for r in layers) == pytest.approx(5.30, abs=0.01)
    assert fmean(r["e2e_energy_vs_flat"] for r in layers) == pytest.approx(0.833, abs=0.01)


@pytest.mark.parametrize("row", ATTENTION[::3], ids=FuseMax().label)
def test_published_energies_come_back_with_their_slips(row):
    of, length = _fusemax.model(row), _fusemax.tokens(row)
    machine = _fusemax.machine(row["config"], of, length, "published")
    work = _fusemax.workload([_fusemax.attention(of, length)])
    energy = archsim.run(machine, work, fidelity="analytic", advice=False).result["metrics"][
        "energy_j"
    ]["total"]
    assert energy == pytest.approx(float(row["energy_J"]), rel=1e-3)


def buffer_bytes(of, side):
    """Bytes that the artifact gives an array of a side, before it is doubled."""
    share = 2 * max(1, side // of.head_dim)
    return 16 * of.head_dim * side * max(1, share * side // 2**18)


@pytest.mark.parametrize("row", PARETO, ids=lambda row: f"{row['model']}-{row['PE_dim']}")
def test_arrays_of_every_side_move_the_bytes_and_take_the_time_of_the_pareto_table(row):
    of, side = _fusemax.MODELS[row["model"]], int(row["PE_dim"])
    work = _fusemax.workload([_fusemax.attention(of, 256 * 1024)])
    size = buffer_bytes(of, side)
    while True:  # a larger buffer until memory is no longer what decides
        sides = (f"engines.array.rows={side}", f"engines.array.cols={side}",
                 f"engines.lanes.lanes={side}", f"memory.sram.capacity={size} B",
                 "memory.dram.capacity=1 PiB")  # fmt: skip
        report = archsim.run("fusemax", work, set_=sides, advice=False)
        moved = report.result["traffic"]["dram"]["total_bytes"]
        if moved / (400 * 2**30) <= float(row["compute_1d_s"]):
            break
        size *= 2
    assert moved == int(row["dram_bytes"])
    assert report.result["metrics"]["time_s"] == pytest.approx(float(row["latency_s"]), rel=1e-3)
    # registers of an element grow a little with the side, which the config's do not
    area = report.result["metrics"]["area_mm2"]["by_component"]["array"] * 1e6
    assert area == pytest.approx(float(row["array_2d_area_um2"]), rel=2e-3)


@pytest.mark.parametrize("adapter", [FuseMax(), FuseMaxEndToEnd()], ids=lambda a: a.kind)
def test_nothing_is_read_but_the_columns_it_says_it_needs(adapter):
    row = {"config": "flat", "model": "BERT", "seq_len": "1K", "dram_bytes": "7"}
    needed = {name: row[name] for name in adapter.NEEDS}
    assert adapter.run(needed) == adapter.run(row)


def test_a_million_tokens_are_simulated_in_few_steps():
    of = _fusemax.MODELS["BERT"]
    work = _fusemax.workload([_fusemax.attention(of, 1 << 20)])
    plan = archsim.api.place_only("fusemax", work)
    result = timed(plan, fidelity="tile")
    assert result.run.steps > 10**8
    assert result.run.steps_simulated < 2000
