"""Does a nest whose operands pass by the buffer run, with each of their uses counted and timed?"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import archsim
from archsim.ir.graph import Block, OpGraph
from archsim.ir.nest_apart import ApartNest
from archsim.ir.nest_traffic import Moved
from archsim.ir.problem import problem
from archsim.report.account import account
from archsim.sim.simulate import simulate
from archsim.system.bound import bound
from archsim.system.build import build
from archsim.system.nest_counts import NestCounts, Tile
from archsim.system.plan import place
from archsim.system.record import record
from archsim.system.schedule import schedule
from archsim.system.simulate import timed
from archsim.system.spec import load_hardware
from archsim.testing.functional_nest import claimed
from archsim.testing.nests import nests_of, ragged_gemms, small_convs, small_gemms
from archsim.testing.problems import gemm

OPERANDS = ("in", "weight", "out")


def described(registers="4 KiB", rate="8 GB/s", latency="50 ns", side=64):
    return {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": "64 KiB", "bandwidth": "1 MB/cycle",
                     "latency_cycles": 0},
            "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": rate, "latency": latency,
                    "energy": "hbm2"},
        },
        "engines": {
            "array": {"kind": "spatial_array", "rows": side, "cols": side, "count": side,
                      "registers": registers, "rates": {"int8": 1}},
            "vector": {"kind": "vector_unit", "lanes": 4},
        },
        "placement": {"activations": ["hbm"]},
        "mapping": [{"ops": "*", "dataflow": "output_stationary"}],
        "energy": {"table": "7nm"},
    }  # fmt: skip


def planned(case, nest_of):
    """A plan of one op whose nest is another one."""
    op, tensors = case
    if op.groups:  # short problems leave some weights out
        touched = sum(r["B"] * r["K"] * r["N"] for _, r in op.cases())
        op = replace(op, reads=(op.reads[0], replace(op.reads[1], touched=touched)))
    graph = OpGraph("one", (Block("block", 1, (op,)),), tensors)
    plan = place(graph, build(load_hardware(described())[0]))
    (stage,) = plan.blocks[0].stages
    nest = past(nest_of(stage.mapping.problem))
    block = replace(plan.blocks[0], stages=(replace(stage, mapping=nest),))
    return nest, replace(plan, blocks=(block,))


def past(nest):
    """The nest with all that registers keep passing by the buffer."""
    assume(len(nest.levels) == 3 and nest.levels[2].keeps)
    buffer = replace(nest.levels[1], keeps=nest.levels[1].keeps - nest.levels[2].keeps)
    return replace(nest, levels=(nest.levels[0], buffer, nest.levels[2]))


CASES = st.one_of(small_gemms(), ragged_gemms(), small_convs())


@settings(max_examples=50, deadline=None)
@given(data=st.data(), case=CASES)
def test_a_run_counts_each_use_of_what_passes_by_the_buffer(data, case):
    nest, plan = planned(case, lambda view: data.draw(nests_of(view)))
    counts = account(record(plan, bound(plan), timed(plan, fidelity="cycle"))).all
    said = claimed(nest)
    dram = {t: said.get(("dram", t), Moved()) for t in OPERANDS}
    back = dram["out"].reads
    want = {
        "dram.read.activation.in": dram["in"].reads,
        "dram.read.weight.weight": dram["weight"].reads,
        "dram.read.activation.partial": 4 * back,
        "dram.write.activation.partial": 4 * back,
        "dram.write.activation.out": dram["out"].writes - back,
        "mac.int8": sum(nest.macs(c) for c in nest.cases),
    }
    assert {key: counts[key] for key in want} == want
    held = [said.get(("registers", t), Moved()) for t in OPERANDS]
    assert counts["register.read"] == held[0].reads + held[1].reads + 4 * held[2].reads
    assert counts["register.write"] == held[0].writes + held[1].writes + 4 * held[2].writes


@settings(max_examples=25, deadline=None)
@given(data=st.data(), case=CASES)
def test_both_engines_time_what_passes_by_alike(data, case):
    _, plan = planned(case, lambda view: data.draw(nests_of(view)))
    program = schedule(plan).program
    times = {
        simulate(program, engine=engine, exact=exact).makespan_ps
        for engine, exact in (("compiled", False), ("compiled", True), ("simpy", True))
    }
    assert len(times) == 1


def levels(keep, *outer):
    inner = ["M/4", "N/6", "K/1", "M/1 @rows", "N/1 @cols"]
    return {
        "dram": {"loops": list(outer)},
        "buffer": {"keep": keep, "loops": inner},
        "registers": {"keep": ["in", "weight", "out"], "loops": []},
    }


def run(keep, *outer, rate="1 GB/s", latency="0 ns"):
    hardware = described("64 B", rate, latency, 6)
    nest = {"levels": levels(keep, *outer)}
    hardware["mapping"] = [{"ops": "*", "fuse": "none", "nest": nest}]
    work = {
        "schema": "archsim.workload/1",
        "name": "one",
        "model": {"layers": [{"name": "a", "m": 8, "n": 6, "k": 10}]},
        "dtypes": {"weights": "int8", "activations": "int8", "accumulators": "int32"},
    }
    return archsim.run(hardware, work, advice=False)


def test_a_stream_takes_the_memory_s_time_while_the_array_steps():
    kept, past = run(["in", "weight", "out"]), run(["in", "out"])
    # two passes of four rows, each of which uses all 60 weights: once into the buffer, or twice
    assert kept.ops[0]["dram_weight_bytes"] == 60
    assert past.ops[0]["dram_weight_bytes"] == 120
    # a byte a nanosecond: 80 of inputs, then weights and their steps, then 48 of results
    assert kept.result["time_ps"] == (80 + 60 + 20 + 48) * 1000
    assert past.result["time_ps"] == (80 + 120 + 48) * 1000  # steps hide behind the stream


def test_each_tile_waits_for_the_latency_of_its_own_stream():
    plain = run(["in", "out"], "M/4").result["time_ps"]
    late = run(["in", "out"], "M/4", latency="1 us").result["time_ps"]
    assert plain == (80 + 120 + 48) * 1000  # memory is never idle
    # inputs of a tile, then the weights of both: nothing could hold those in advance
    assert late == (40 + 60 + 60 + 24) * 1000 + 3 * 1_000_000


def test_what_passes_by_is_neither_written_to_the_buffer_nor_read_from_it():
    kept, past = run(["in", "weight", "out"]), run(["in", "out"])
    rows = [report.ops[0] for report in (kept, past)]
    assert rows[0]["sram_write_bytes"] - rows[1]["sram_write_bytes"] == 60
    assert rows[0]["sram_read_bytes"] - rows[1]["sram_read_bytes"] == 120


@settings(max_examples=40, deadline=None)
@given(data=st.data(), case=small_gemms())
def test_a_tile_that_stands_alone_counts_as_an_op_of_its_size(data, case):
    nest = data.draw(nests_of(problem(*case, 32)))
    size = nest.tile
    view = problem(*gemm(*(size[rank] for rank in "BMNK")), 32)
    dram = replace(nest.levels[0], loops=())
    alone = replace(nest, problem=view, levels=(dram, *nest.levels[1:]))
    ends = dict.fromkeys("BMNK", True)
    tile = Tile(size, dict.fromkeys("BMNK", 0), ends, ends, 0, True)
    inside = NestCounts(ApartNest.of(nest)).inside(tile)
    for key, moved in claimed(alone).items():
        if key[0] in ("registers", "network"):
            assert inside[key] == moved
