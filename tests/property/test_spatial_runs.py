"""Does a run on a spatial array count what its nest says, on any small machine, on both engines?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.core.errors import Infeasible, Unmappable
from archsim.ir.graph import Block, OpGraph
from archsim.ir.nest_traffic import Moved
from archsim.report.account import account
from archsim.sim.simulate import simulate
from archsim.system.bound import bound
from archsim.system.build import build
from archsim.system.plan import place
from archsim.system.record import record
from archsim.system.schedule import schedule
from archsim.system.simulate import timed
from archsim.system.spec import load_hardware
from archsim.testing.functional_nest import claimed
from archsim.testing.nests import nests_of, small_convs, small_gemms
from archsim.testing.problems import convs, gemms

TEMPLATES = (
    "row_stationary", "row_stationary_groups", "channel_parallel", "spatial",
    "weight_stationary", "output_stationary", "input_stationary", None,
)  # fmt: skip


def machine(
    sram="16 KiB",
    rows=4,
    cols=6,
    count=1,
    registers="64 B",
    dataflow=None,
    objective="latency",
    multicast=True,
    activations=("hbm",),
    depth=2,
):
    rule = {"ops": "*", "objective": objective} | ({"dataflow": dataflow} if dataflow else {})
    data = {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": sram, "bandwidth": "64 B/cycle"},
            "hbm": {
                "kind": "dram", "capacity": "1 GiB", "bandwidth": "8 GB/s",
                "latency": "50 ns", "energy": "hbm2",
            },
        },
        "engines": {
            "array": {
                "kind": "spatial_array", "rows": rows, "cols": cols, "count": count,
                "registers": registers, "multicast": multicast, "rates": {"int8": 1},
            },
            "vector": {"kind": "vector_unit", "lanes": 4},
        },
        "interconnect": {"dma": {"kind": "dma", "from": "hbm", "to": "sram", "depth": depth}},
        "placement": {"weights": ["hbm"], "kv_cache": ["hbm"], "activations": list(activations)},
        "mapping": [rule],
        "energy": {"table": "7nm"},
    }  # fmt: skip
    return build(load_hardware(data)[0])


machines = st.builds(
    machine,
    sram=st.sampled_from(["2 KiB", "16 KiB", "256 KiB"]),
    rows=st.integers(1, 6),
    cols=st.integers(1, 6),
    count=st.sampled_from([1, 1, 3]),
    registers=st.sampled_from(["64 B", {"in": "4 B", "weight": "12 B", "out": "32 B"}]),
    dataflow=st.sampled_from(TEMPLATES),
    objective=st.sampled_from(["latency", "compute"]),
    activations=st.sampled_from([("hbm",), ("sram", "hbm")]),
    depth=st.sampled_from([1, 2]),
)


def graph_of(case):
    op, tensors = case
    if op.groups:  # short problems leave some weights out
        touched = sum(r["B"] * r["K"] * r["N"] for _, r in op.cases())
        op = replace(op, reads=(op.reads[0], replace(op.reads[1], touched=touched)))
    return OpGraph("one", (Block("block", 1, (op,)),), tensors)


def counted(plan, **options):
    """What a run counts, after the laws have held."""
    run = timed(plan, fidelity="cycle", **options)
    return account(record(plan, bound(plan), run)).all


def expected(mapping, resident):
    """Counts that the closed form of a nest asks for; every element here is a byte, a sum four."""
    said = claimed(mapping)

    def of(level, operand):
        return said.get((level, operand), Moved())

    steps = sum(mapping.steps(case) for case in mapping.cases)
    found = {"mac.int8": sum(mapping.macs(c) for c in mapping.cases), "array.steps": steps}
    for operand, tensor, role in (("in", "a", "activation"), ("weight", "w", "weight")):
        if tensor not in resident:
            found[f"dram.read.{role}.{operand}"] = of("dram", operand).reads
        found[f"array.{operand}_reads"] = of("buffer", operand).reads
    back = of("dram", "out").reads
    found["dram.read.activation.partial"] = 4 * back
    found["dram.write.activation.partial"] = 4 * back
    found["array.out_writes"] = said_out(said)
    registers = [of("registers", t) for t in ("in", "weight", "out")]
    found["register.read"] = registers[0].reads + registers[1].reads + 4 * registers[2].reads
    found["register.write"] = registers[0].writes + registers[1].writes + 4 * registers[2].writes
    network = [of("network", t) for t in ("in", "weight", "out")]
    found["network.transfer"] = network[0].writes + network[1].writes + 4 * network[2].reads
    return found


def said_out(said):
    """Sums that the array writes to the buffer: all that the buffer gets but those from DRAM."""
    buffer, dram = (said.get((level, "out"), Moved()) for level in ("buffer", "dram"))
    return buffer.writes - dram.reads


@settings(max_examples=60, deadline=None)
@given(case=st.one_of(gemms(), convs()), hardware=machines)
def test_a_run_counts_what_the_closed_form_of_its_nest_says(case, hardware):
    try:
        plan = place(graph_of(case), hardware)
    except (Infeasible, Unmappable):
        assume(False)
    (stage,) = plan.blocks[0].stages
    counts = counted(plan)
    wanted = expected(stage.mapping, plan.resident)
    assert {key: counts[key] for key in wanted} == wanted


@settings(max_examples=25, deadline=None)
@given(case=st.one_of(gemms(), convs()), hardware=machines)
def test_both_engines_time_a_nest_alike(case, hardware):
    try:
        plan = place(graph_of(case), hardware)
    except (Infeasible, Unmappable):
        assume(False)
    program = schedule(plan).program
    times = {
        simulate(program, engine=engine, exact=exact).makespan_ps
        for engine, exact in (("compiled", False), ("compiled", True), ("simpy", True))
    }
    assert len(times) == 1


@settings(max_examples=20, deadline=None)
@given(data=st.data(), case=st.one_of(small_gemms(), small_convs()))
def test_any_nest_whose_operands_pass_the_buffer_runs_and_counts_its_closed_form(data, case):
    hardware = machine(sram="64 KiB", registers="4 KiB", rows=64, cols=64, count=64)
    plan = place(graph_of(case), hardware)
    (stage,) = plan.blocks[0].stages
    nest = data.draw(nests_of(stage.mapping.problem))
    assume(nest.levels[1].keeps == {"in", "weight", "out"})
    block = replace(plan.blocks[0], stages=(replace(stage, mapping=nest),))
    counts = counted(replace(plan, blocks=(block,)))
    wanted = expected(nest, plan.resident)
    assert {key: counts[key] for key in wanted} == wanted


@pytest.mark.parametrize("multicast", [True, False])
def test_without_multicast_every_element_has_a_read_of_its_own(multicast):
    from archsim.testing.problems import gemm

    hardware = machine(dataflow="weight_stationary", multicast=multicast)
    counts = counted(place(graph_of(gemm(1, 10, 6, 4)), hardware))
    # 4 x 6 elements hold all weights; each of 10 x 4 inputs is used by the 6 of its row
    assert counts["array.in_reads"] == (40 if multicast else 240)
    assert counts["array.weight_reads"] == 24
    assert counts["array.cycles"] >= counts["array.steps"] == 10
