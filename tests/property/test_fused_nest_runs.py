"""Does a run of a fused nest move and compute what its closed form says, on both engines alike?"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op, dims
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.report.account import account
from archsim.sim.simulate import simulate
from archsim.system.bound import bound
from archsim.system.build import build
from archsim.system.plan import place
from archsim.system.record import record
from archsim.system.schedule import schedule
from archsim.system.simulate import timed
from archsim.system.spec import load_hardware
from archsim.testing.functional_fused import execute_fused

SILU = {"mul": 2, "exp": 1, "add": 1, "div": 1}


def product(name, source, out, b, m, n, k):
    return Op(
        name, Kind.GEMM, "ffn", {"B": b, "M": m, "N": n, "K": k},
        (Access(source, dims("B", "M", "K")), Access(f"{name}.w", dims("B", "K", "N"))),
        (Access(out, dims("B", "M", "N")),),
    )  # fmt: skip


def vector(name, sources, out, m, n, work):
    reads = tuple(Access(s, dims("M", "N")) for s in sources)
    return Op(name, Kind.VECTOR, "act", {"M": m, "N": n}, reads, (Access(out, dims("M", "N")),),
              primitives=work)  # fmt: skip


def block(b, m, f, k, n, gated, residual):
    """A feed-forward block as a graph of its own; every element is a byte."""
    made = ["gated", "raised"] if gated else ["raised"]
    names = ["gate", "up"] if gated else ["up"]
    ops = [product(name, "x", out, b, m, f, k) for name, out in zip(names, made, strict=True)]
    ops.append(vector("act", made, "acted", b * m, f, SILU))
    ops.append(product("down", "acted", "lowered", b, m, n, f))
    if residual:
        ops.append(vector("residual", ["lowered", "skip"], "y", b * m, n, {"add": 1}))
    shapes = {
        "x": (b, m, k), "acted": (b, m, f), "lowered": (b, m, n), "skip": (b, m, n), "y": (b, m, n),
        **dict.fromkeys(made, (b, m, f)), **{f"{name}.w": (b, k, f) for name in names},
        "down.w": (b, f, n),
    }  # fmt: skip
    used = {a.tensor for op in ops for a in (*op.reads, *op.writes)}
    tensors = {
        name: Tensor(name, shape, DTYPES["int8"],
                     Role.WEIGHT if name.endswith(".w") else Role.ACTIVATION)
        for name, shape in shapes.items() if name in used
    }  # fmt: skip
    return OpGraph("ffn", (Block("block", 1, tuple(ops)),), tensors)


SYSTOLIC = {
    "out": (["M/4", "N/6", "M/1 @rows", "N/1 @cols"], "K/1"),
    "weight": (["K/4", "N/6", "K/1 @rows", "N/1 @cols"], "M/1"),
    "in": (["K/4", "M/6", "K/1 @rows", "M/1 @cols"], "N/1"),
}
SPATIAL = {
    "out": (["M/4", "N/6", "K/1", "M/1 @rows", "N/1 @cols"], []),
    "weight": (["K/4", "N/6", "K/1 @rows", "N/1 @cols"], ["M/1"]),
}


def levels(kind, stays, own, tile):
    """Levels of one product: its loops cut no more than there is."""
    loops, inner = (SYSTOLIC if kind == "systolic_array" else SPATIAL)[stays]
    buffer = ["B/1"]
    for loop in loops:
        rank, size = loop.split()[0].split("/")
        if int(size) < tile[rank] or "@" in loop:
            buffer.append(loop)
    inner = [inner] if isinstance(inner, str) else inner
    dram = {"loops": [f"{own}/{tile[own]}"]}
    return {"dram": dram, "buffer": {"loops": buffer},
            "registers": {"keep": [stays], "loops": inner}}  # fmt: skip


def machine(kind, fuse, sram="1 MiB", activations=("hbm",)):
    array = {"kind": kind, "rows": 4, "cols": 6, "rates": {"int8": 1}}
    if kind == "spatial_array":
        array["registers"] = "1 KiB"
    data = {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": sram, "bandwidth": "64 B/cycle"},
            "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "8 GB/s",
                    "latency": "50 ns", "energy": "hbm2"},
        },
        "engines": {"array": array, "vector": {"kind": "vector_unit", "lanes": 4}},
        "interconnect": {"dma": {"kind": "dma", "from": "hbm", "to": "sram", "depth": 2}},
        "placement": {"weights": ["hbm"], "kv_cache": ["hbm"], "activations": list(activations)},
        "mapping": [{"ops": ["*/gate", "*/up", "*/act", "*/down"], "nest": {"fuse": fuse}}],
        "energy": {"table": "7nm"},
    }  # fmt: skip
    return build(load_hardware(data)[0])


@st.composite
def runs(draw):
    """A graph of one block and a machine with a fused nest for it."""
    b, m = draw(st.integers(1, 2)), draw(st.integers(1, 12))
    f, k, n = (draw(st.integers(1, 14)) for _ in range(3))
    size = {"B": b, "M": m, "F": f, "K": k, "N": n}
    tile = {rank: draw(st.integers(1, extent)) for rank, extent in size.items()}
    kind = draw(st.sampled_from(["systolic_array", "spatial_array"]))
    stays = draw(st.sampled_from(sorted(SYSTOLIC if kind == "systolic_array" else SPATIAL)))
    fuse = {
        "loops": [f"{rank}/{tile[rank]}" for rank in "BMF"],
        "keep": [t for t in ("in", "out") if draw(st.booleans())],
        "ahead": draw(st.booleans()),
        "depth": draw(st.integers(1, 2)),
        "first": levels(kind, stays, "K", {"M": tile["M"], "N": tile["F"], "K": tile["K"]}),
        "last": levels(kind, stays, "N", {"M": tile["M"], "N": tile["N"], "K": tile["F"]}),
    }
    graph = block(b, m, f, k, n, draw(st.booleans()), draw(st.booleans()))
    activations = draw(st.sampled_from([("hbm",), ("sram", "hbm")]))
    return graph, machine(kind, fuse, activations=activations)


@settings(max_examples=80, deadline=None)
@given(case=runs())
def test_a_run_moves_what_the_closed_form_of_its_fused_nest_says(case):
    plan = place(*case)
    (stage,) = plan.blocks[0].stages
    nest = stage.mapping
    counts = account(record(plan, bound(plan), timed(plan, fidelity="cycle"))).all
    moved = nest.traffic()
    assert execute_fused(nest) == moved  # the same object, with numbers in it
    back = moved["out"][0]
    rows = sum(b * m for b, m in nest.problem.cases)
    beside = rows * nest.problem.n if len(stage.ops) > nest.problem.firsts + 2 else 0
    here = plan.resident
    want = {
        "mac.int8": nest.problem.macs,
        "dram.read.weight.weight": moved["first"][0] + moved["last"][0],
        "dram.read.activation.in": moved["in"][0] * ("x" not in here)
        + beside * ("skip" not in here),
        "dram.read.activation.partial": 4 * back,
        "dram.write.activation.partial": 4 * back,
        "dram.write.activation.out": (moved["out"][1] - back) * (stage.writes[0] not in here),
    }
    assert {key: counts[key] for key in want} == want


@settings(max_examples=40, deadline=None)
@given(case=runs())
def test_both_engines_time_a_fused_nest_alike_folded_or_step_by_step(case):
    program = schedule(place(*case)).program
    times = {
        simulate(program, engine=engine, exact=exact).makespan_ps
        for engine, exact in (("compiled", False), ("compiled", True), ("simpy", True))
    }
    assert len(times) == 1
