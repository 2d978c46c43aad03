"""Does a simulated attention in tiles count what its mapping says, on any small machine?"""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.core.errors import Infeasible, Unmappable, Unsupported
from archsim.ir.graph import Block, OpGraph
from archsim.report.account import account
from archsim.sim.simulate import simulate
from archsim.system.bound import bound
from archsim.system.build import build
from archsim.system.plan import place
from archsim.system.record import record
from archsim.system.schedule import schedule
from archsim.system.simulate import timed
from archsim.system.spec import load_hardware
from archsim.testing.attentions import attention_graph, attentions
from archsim.testing.functional_attention import execute_attention
from archsim.testing.problems import gemm


def machine(
    sram="64 KiB",
    count=2,
    rows=8,
    cols=8,
    lanes=16,
    activations=("hbm",),
    depth=2,
    gbps=16,
    rule="attention",
):
    data = {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": sram, "bandwidth": "4096 B/cycle"},
            "hbm": {
                "kind": "dram", "capacity": "1 GiB", "bandwidth": f"{gbps} GB/s",
                "latency": "50 ns", "energy": "hbm2",
            },
        },
        "engines": {
            "array": {
                "kind": "systolic_array", "rows": rows, "cols": cols, "count": count,
                "rates": {"bf16": 1, "int8": 1, "fp32": 1},
            },
            "vector": {"kind": "vector_unit", "lanes": lanes},
        },
        "interconnect": {"dma": {"kind": "dma", "from": "hbm", "to": "sram", "depth": depth}},
        "placement": {"weights": ["hbm"], "kv_cache": ["hbm"], "activations": list(activations)},
        "mapping": [{"ops": rule, "dataflow": "flash_attention"}],
        "energy": {"table": "7nm"},
    }  # fmt: skip
    return build(load_hardware(data)[0])


def counted(graph, hardware, **options):
    """The mapping of the only stage and what a run of it counts, after the laws have held."""
    plan = place(graph, hardware)
    (stage,) = plan.blocks[0].stages
    run = timed(plan, fidelity="cycle", **options)
    return stage.mapping, account(record(plan, bound(plan), run)).all


machines = st.builds(
    machine,
    sram=st.sampled_from(["4 KiB", "16 KiB", "256 KiB"]),
    count=st.sampled_from([1, 2, 4]),
    lanes=st.sampled_from([4, 64]),
    activations=st.sampled_from([("hbm",), ("sram", "hbm")]),
    depth=st.sampled_from([1, 2]),
)


@settings(max_examples=120, deadline=None)
@given(graph=attentions(), hardware=machines)
def test_a_run_moves_to_the_byte_what_the_closed_form_says_and_its_mapping_is_sound(
    graph, hardware
):
    try:
        mapping, counts = counted(graph, hardware)
    except (Infeasible, Unmappable):
        assume(False)
    said = mapping.traffic()
    assert counts["dram.read.activation.in"] == said["q"]
    assert counts["dram.read.kv_cache.weight"] == said["k"] + said["v"]
    assert counts["dram.write.activation.out"] == said["out"]
    assert execute_attention(mapping) == said
    p = mapping.problem
    macs = sum(n for key, n in counts.items() if key.startswith("mac."))
    assert macs == mapping.executed * (p.key_dim + p.value_dim)
    assert counts["vector.points"] == mapping.executed


@settings(max_examples=25, deadline=None)
@given(graph=attentions(), hardware=machines)
def test_both_engines_agree_and_counting_alike_tiles_changes_nothing(graph, hardware):
    try:
        plan = place(graph, hardware)
    except (Infeasible, Unmappable):
        assume(False)
    program = schedule(plan).program
    times = {
        simulate(program, engine=engine, exact=exact).makespan_ps
        for engine, exact in (("compiled", False), ("compiled", True), ("simpy", True))
    }
    assert len(times) == 1


def test_the_running_softmax_costs_the_primitives_of_flash_attention_2():
    graph = attention_graph(1, 1, 32, ((32, 1),), (16, 8))
    mapping, counts = counted(graph, machine(sram="8 KiB", count=1))
    points, rows = 32 * 32, 32
    tiles = -(-32 // mapping.tile["kv"])
    assert tiles > 1
    softmax = {"exp": points, "max": points, "mul": points, "add": 2 * points}
    step = {"exp": rows * tiles, "max": rows * tiles, "mul": rows * tiles, "add": 2 * rows * tiles}
    join = {"mul": rows * 8 * (tiles - 1), "add": rows * 8 * (tiles - 1)}
    last = {"mul": rows * 8, "div": rows}
    for name in ("exp", "max", "mul", "add", "div"):
        want = sum(part.get(name, 0) for part in (softmax, step, join, last))
        assert counts[f"vector.{name}"] == want, name


def test_a_context_is_split_where_its_queries_do_not_fill_the_arrays():
    graph = attention_graph(1, 4, 1, ((512, 1),), (8, 8))
    mapping, _ = counted(graph, machine(count=4, lanes=4096, gbps=1000))
    assert mapping.split > 1


def test_tiles_that_a_mask_rules_out_are_counted_as_skipped():
    graph = attention_graph(1, 1, 64, ((64, 1),), (8, 8), causal=True)
    mapping, counts = counted(graph, machine())
    assert counts["skipped.points"] == 64 * 64 - mapping.executed > 0
    assert counts["skipped.macs"] == counts["skipped.points"] * 16


def test_a_product_that_is_no_attention_is_refused_by_name():
    op, tensors = gemm(1, 8, 8, 8)
    hardware = machine(rule="*")
    with pytest.raises(Unsupported, match="gemm: flash_attention maps scores, softmax and values"):
        place(OpGraph("plain", (Block("layer", 1, (op,)),), tensors), hardware)
