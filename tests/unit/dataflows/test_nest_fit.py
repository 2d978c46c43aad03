"""Is what a fit weighs what its nest then moves, and is its choice the best of what it weighed?"""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import archsim
from archsim.core.errors import Unmappable
from archsim.dataflows._nest_cost import MAX_TILES, FitTarget
from archsim.dataflows._nest_fit import fit
from archsim.dataflows.base import dataflows
from archsim.dataflows.row_stationary import Fold, fold
from archsim.ir.nest import NestLevel, NestLoop
from archsim.ir.nest_check import room_bytes
from archsim.ir.nest_traffic import Moved
from archsim.ir.problem import problem
from archsim.testing.problems import conv, convs, gemm, gemms

TEMPLATES = ["row_stationary", "channel_parallel", "spatial", "weight_stationary",
             "output_stationary", "input_stationary"]  # fmt: skip


def target(buffer_bytes=4096, registers=64, count=1, **more):
    axes = {"rows": 4, "cols": 6, "count": count}
    return FitTarget("array", axes, buffer_bytes, registers, **more)


def moved(nest):
    """Bytes off chip, and between the buffer and the array, by the closed form of the nest."""
    (case,) = nest.cases
    said = nest.traffic(case)
    dram = {t: said.get(("dram", t), Moved()) for t in ("in", "weight", "out")}
    out = dram["out"].reads * 4 + (dram["out"].writes - dram["out"].reads) + dram["out"].reads * 4
    sent = said["buffer", "in"].reads + said["buffer", "weight"].reads
    return dram["in"].reads + dram["weight"].reads + out, sent


@settings(max_examples=150, deadline=None)
@given(
    case=st.one_of(gemms(), convs()),
    flow=st.sampled_from(TEMPLATES),
    buffer_bytes=st.sampled_from([300, 2000, 10**6]),
    count=st.sampled_from([1, 2]),
    objective=st.sampled_from(["latency", "compute", "energy", "edp", "traffic"]),
)
def test_what_a_fit_weighs_is_what_its_nest_moves(case, flow, buffer_bytes, count, objective):
    op, tensors = case
    assume(not op.groups)
    energy = {(level, t): pj for level, pj in (("dram", 100.0), ("buffer", 3.0))
              for t in ("in", "weight", "out")}  # fmt: skip
    machine = target(buffer_bytes, 64, count, objective=objective, energy=energy, mac_pj=1.0)
    try:
        found = dataflows.get(flow)().search_nest(problem(op, tensors, 32), machine)
    except Unmappable:
        assume(False)
    nest = found.mapping
    nest.check(machine)
    off_chip, _ = moved(nest)
    assert found.key[2] == off_chip
    assert found.cycles == sum(nest.steps(c) for c in nest.cases)
    assert sum(room_bytes(nest, machine).values()) <= buffer_bytes


def test_more_room_never_makes_the_best_of_an_objective_worse():
    view = problem(*conv(1, 1, 24, 20, (14, 14), 3, (1, 1, 1)), 32)
    flow = dataflows.get("weight_stationary")()
    for objective in ("compute", "traffic"):
        keys = [flow.search_nest(view, target(n, objective=objective)).key[0]
                for n in (700, 3000, 20_000, 10**6)]  # fmt: skip
        assert keys == sorted(keys, reverse=True)
    # with room for everything each operand moves once
    assert keys[-1] == 20 * 14 * 14 + 24 * 20 * 9 + 24 * 14 * 14


def test_an_objective_is_no_worse_by_its_own_measure_than_the_others():
    view = problem(*gemm(1, 96, 80, 112), 32)
    flow = dataflows.get("output_stationary")()
    pj = {("dram", t): 160.0 for t in ("in", "weight", "out")}
    pj |= {("buffer", t): 6.0 for t in ("in", "weight", "out")}
    best = {
        name: flow.search_nest(view, target(3000, objective=name, energy=pj)).key
        for name in ("latency", "compute", "traffic")
    }
    assert best["latency"][1] <= 1.005 * min(key[1] for key in best.values())
    assert best["traffic"][2] == min(key[2] for key in best.values())


def test_levels_of_ones_own_are_fitted_too():
    keeps = frozenset({"in", "weight", "out"})
    loops = [NestLoop("M", 1), NestLoop("N", 6), NestLoop("K", 4), NestLoop("N", 1, "cols"),
             NestLoop("K", 1, "rows")]  # fmt: skip
    buffer = NestLevel("buffer", keeps, (NestLoop("B", 1), *loops))
    view = problem(*gemm(1, 10, 12, 8), 32)
    found = fit((buffer, NestLevel("registers", keeps)), view, target(10**6))
    assert (found.mapping.dataflow, found.candidates > 1) == ("fitted", True)
    assert found.cycles == 10 * math.ceil(12 / 6) * math.ceil(8 / 4)
    with pytest.raises(Unmappable, match="no tile of at least 1 B x 1 M x 1 N x 1 K fits the 4"):
        fit((buffer, NestLevel("registers", keeps)), view, target(4))


def test_a_buffer_too_small_for_few_tiles_gets_as_few_as_it_can_hold():
    view = problem(*gemm(1, 512, 512, 512), 32)
    small = target(300)
    found = dataflows.get("output_stationary")().search_nest(view, small)
    (case,) = found.mapping.cases
    tiles = math.prod(-(-case[r] // found.mapping.tile[r]) for r in "MNK")
    assert tiles > MAX_TILES
    assert sum(room_bytes(found.mapping, small).values()) <= 300


@pytest.mark.parametrize(
    ("filter_rows", "output_rows", "cells", "want"),
    [
        (1, 112, (16, 16), Fold(1, 1, 7, 2, 1)),  # 7 pieces of 16 rows stacked, twice
        (3, 112, (16, 16), Fold(1, 2, 5, 1, 1)),  # 5 pieces at a time: two passes of 56 rows
        (3, 28, (16, 16), Fold(1, 1, 2, 2, 1)),
        (1, 1, (16, 16), Fold(1, 1, 1, 16, 16)),
        (11, 55, (12, 14), Fold(1, 4, 1, 1, 1)),  # AlexNet's first layer on Eyeriss
        (5, 27, (12, 14), Fold(1, 1, 2, 1, 1)),
        (3, 13, (12, 14), Fold(1, 1, 1, 4, 1)),
        (7, 5, (4, 6), Fold(2, 1, 1, 1, 1)),  # more filter rows than the array is high
    ],
)
def test_sets_fold_to_free_rows_first_and_then_to_further_passes(
    filter_rows, output_rows, cells, want
):
    assert fold(filter_rows, output_rows, *cells) == want


def test_depthwise_and_pointwise_layers_use_what_their_dataflow_leaves_them():
    """Elements at work of 4 x 6: of groups only their own channel, or several where sets may."""
    cycles = target(10**6, objective="compute")
    depthwise = problem(*conv(1, 8, 1, 1, (10, 3), 3, (1, 1, 1)), 32)
    used = {}
    for name in ("row_stationary", "row_stationary_groups", "channel_parallel"):
        nest = dataflows.get(name)().search_nest(depthwise, cycles).mapping
        used[name] = nest.macs(nest.cases[0]) / nest.steps(nest.cases[0])
    assert used["channel_parallel"] == 1
    assert used["row_stationary"] == 15  # 3 filter rows x 10 output rows in two passes of 5
    wide = problem(*conv(1, 8, 1, 1, (3, 10), 3, (1, 1, 1)), 32)
    nests = [dataflows.get(n)().search_nest(wide, cycles).mapping for n in used]
    at_work = [nest.macs(nest.cases[0]) / nest.steps(nest.cases[0]) for nest in nests]
    assert at_work == [9, 18, 1]  # one set of 3 x 3, two sets beside each other, one element


@pytest.mark.parametrize("hardware", ["eyeriss", "nvdla-small"])
def test_what_an_objective_asks_for_is_least_in_the_simulated_run_too(hardware):
    work = {
        "schema": "archsim.workload/1",
        "name": "one",
        "model": {"layers": [{"name": "a", "m": 60, "n": 112, "k": 96}]},
        "dtypes": {"weights": "int8", "activations": "int8", "accumulators": "int32"},
    }
    runs = {}
    for objective in ("latency", "energy", "traffic"):
        rule = {"ops": "*", "dataflow": "auto", "objective": objective, "fuse": "none"}
        report = archsim.run({"extends": hardware, "mapping": [rule]}, work, advice=False)
        (op,) = report.ops
        moved = sum(op[f"dram_{t}_bytes"] for t in ("in", "weight", "out", "partial"))
        runs[objective] = {
            "latency": report.result["time_ps"],
            "energy": report.result["metrics"]["energy_j"]["total"],
            "traffic": moved,
        }
    for objective, found in runs.items():
        best = min(other[objective] for other in runs.values())
        assert found[objective] <= 1.03 * best
