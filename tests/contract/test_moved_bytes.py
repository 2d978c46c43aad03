"""Are the bytes that a run reports those of the closed form, and those that a mapping moves?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.dataflows.base import dataflows
from archsim.ir.mapping import Mapping
from archsim.ir.moved import moved_bytes
from archsim.ir.nest import NestMapping
from archsim.testing.families import exact_target
from archsim.testing.functional import executed_bytes
from archsim.testing.functional_nest import claimed, execute_nest

MACHINE = {
    "schema": "archsim.hardware/1",
    "name": "small",
    "clocks": {"core": "1 GHz"},
    "memory": {
        "sram": {"kind": "sram", "capacity": "8 KiB", "bandwidth": "64 B/cycle"},
        "dram": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "8 GB/s", "latency": "100 ns",
                 "energy": "ddr4"},
    },
    "engines": {
        "array": {"kind": "systolic_array", "rows": 8, "cols": 4},
        "vector": {"kind": "vector_unit", "lanes": 4},
    },
    "interconnect": {"dma": {"kind": "dma", "from": "dram", "to": "sram"}},
    "placement": {"weights": ["dram"], "kv_cache": ["dram"], "activations": ["dram"]},
    "energy": {"table": "7nm"},
}  # fmt: skip
ARRAYS = {
    "product": MACHINE["engines"]["array"],
    "nest": {"kind": "spatial_array", "rows": 8, "cols": 4, "registers": "64 B"},
}
GEMM = st.fixed_dictionaries(
    {"kind": st.just("gemm"), "name": st.just("op"), "b": st.integers(1, 3),
     "m": st.integers(1, 40), "n": st.integers(1, 40), "k": st.integers(1, 40)}
)  # fmt: skip
CONV = st.fixed_dictionaries(
    {"kind": st.just("conv"), "name": st.just("op"), "channels": st.sampled_from([2, 4, 8]),
     "height": st.integers(3, 9), "width": st.integers(3, 9),
     "out_channels": st.sampled_from([2, 4, 6]), "kernel": st.sampled_from([[1, 1], [3, 3]]),
     "stride": st.integers(1, 2), "padding": st.integers(0, 1), "groups": st.sampled_from([1, 2])}
)  # fmt: skip


def reported(op, flow):
    """The mapping of an op, and the bytes that its run reports."""
    engines = MACHINE["engines"] | {"array": ARRAYS[dataflows.get(flow).stages]}
    machine = MACHINE | {"engines": engines, "mapping": [{"ops": "*", "dataflow": flow}]}
    work = {
        "schema": "archsim.workload/1",
        "name": "one",
        "model": {"config": {"architecture": "graph", "ops": [op]}},
        "phase": {"kind": "infer"},
        "dtypes": {"weights": "int8", "activations": "int8"},
    }
    (block,) = api.place_only(machine, work).blocks
    (row,) = api.run(machine, work, fidelity="tile", advice=False).ops
    words = ("in", "weight", "out", "partial")
    return block.stages[0].mapping, {word: row[f"dram_{word}_bytes"] for word in words}


FLOWS = {s: [f for f, flow in dataflows.items() if flow.stages == s] for s in ("product", "nest")}


@pytest.mark.parametrize("flow", FLOWS["product"])
@settings(max_examples=12, deadline=None)
@given(op=st.one_of(GEMM, CONV))
def test_of_a_systolic_array_all_three_agree(flow, op):
    mapping, row = reported(op, flow)
    assert isinstance(mapping, Mapping)
    assert executed_bytes(mapping) == moved_bytes(mapping) == row


@pytest.mark.parametrize("flow", FLOWS["nest"])
@settings(max_examples=6, deadline=None)
@given(m=st.integers(1, 12), n=st.integers(1, 10), k=st.integers(1, 10), b=st.integers(1, 2))
def test_of_a_spatial_array_all_three_agree(flow, b, m, n, k):
    op = {"kind": "gemm", "name": "op", "b": b, "m": m, "n": n, "k": k}
    mapping, row = reported(op, flow)
    assert isinstance(mapping, NestMapping)
    moved = execute_nest(mapping, exact_target(mapping))
    assert moved == claimed(mapping)
    assert moved["dram", "in"].reads == row["in"]
    assert moved["dram", "weight"].reads == row["weight"]
    assert b * m * n == row["out"]
    # sums that leave before they are complete, and come back, at their own width
    assert (moved["dram", "out"].writes - b * m * n + moved["dram", "out"].reads) * 4 == row[
        "partial"
    ]
