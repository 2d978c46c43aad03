"""Whatever is dealt to whom: is everything computed once, and is nothing slower for it?"""

import copy

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import archsim
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import build
from archsim.system.spec import load_hardware
from archsim.system.split import split_ops
from archsim.system.split_batch import sub_batches
from archsim.system.split_deal import Load, solved

MODEL = {
    "architecture": "transformer", "layers": 2, "hidden": 256, "heads": 4, "kv_heads": 2,
    "head_dim": 64, "ffn": 512, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 64,
}  # fmt: skip
MACHINE = {
    "schema": "archsim.hardware/1", "name": "duo", "clocks": {"core": "1 GHz", "pim": "650 MHz"},
    "memory": {
        "sram": {"kind": "sram", "capacity": "16 MiB", "bandwidth": "4096 B/cycle"},
        "hbm": {"kind": "dram", "standard": "HBM3_5.2Gbps"},
    },
    "engines": {
        "xpu": {"kind": "systolic_array", "rows": 64, "cols": 64, "count": 8},
        "pim": {"kind": "logic_pim", "inside": "hbm", "macs_per_stack": 16384, "clock": "pim"},
        "lanes": {"kind": "vector_unit", "lanes": 4096},
        "vector": {"kind": "vector_unit", "lanes": 4096},
    },
}  # fmt: skip
REST = [
    {"ops": "*@pim", "run_on": "lanes"}, {"ops": "*", "run_on": "xpu"},
    {"ops": "*", "run_on": "vector"},
]  # fmt: skip
SLOW = settings(
    max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip

contexts = st.lists(st.integers(1, 96), min_size=1, max_size=9)
phases = st.one_of(
    contexts.map(lambda c: {"kind": "decode", "context": c}),
    st.tuples(st.integers(1, 4), st.integers(1, 24)).map(
        lambda p: {"kind": "prefill", "batch": p[0], "tokens": p[1]}
    ),
    st.tuples(contexts, st.integers(1, 24)).map(
        lambda p: {"kind": "mixed", "decode": {"context": p[0]}, "prefill": [{"tokens": p[1]}]}
    ),
)
splits = st.fixed_dictionaries(
    {"over": st.permutations(["xpu", "pim"])},
    optional={"ratio": st.floats(0, 1)},
)


@st.composite
def workloads(draw, phase=phases):
    experts = draw(st.integers(2, 12))
    moe = {"experts": experts, "top_k": draw(st.integers(1, min(3, experts))), "ffn": 512}
    model = MODEL | {"moe": moe, "kv_heads": draw(st.sampled_from([1, 2, 4]))}
    return {
        "schema": "archsim.workload/1", "name": "w", "model": {"config": model},
        "phase": draw(phase), "dtypes": {"weights": draw(st.sampled_from(["bf16", "mxfp4"]))},
        "routing": {"kind": "zipf", "seed": draw(st.integers(0, 99))},
    }  # fmt: skip


def machine(*rules, sharing="bundle", **more):
    made = copy.deepcopy(MACHINE) | more
    made["engines"]["pim"]["sharing"] = sharing
    made["dispatch"] = [*rules, *REST]
    return made


@st.composite
def rules(draw):
    experts = draw(splits) | draw(
        st.fixed_dictionaries({}, optional={"spaces": st.integers(1, 6)})
    )  # fmt: skip
    attention = draw(splits) | {"by": draw(st.sampled_from(["heads", "sequences"]))}
    return {"ops": "moe_expert", "split": experts}, {"ops": "attention", "split": attention}


def sums(graph):
    """What must not change: MACs, points that a mask leaves, primitives, elements reached."""
    found = {}

    def add(key, n):
        found[key] = found.get(key, 0) + n

    for block, op in graph.ops():
        add("macs", block.count * op.macs())
        add("live", block.count * op.live_points())
        for name, n in op.primitive_counts().items():
            add(name, block.count * n)
        for side in (op.reads, op.writes) if op.is_mac else ():
            for i, a in enumerate(side):
                size = graph.tensors[a.tensor].elements
                add((op.op_class, side is op.reads, i), size if a.touched is None else a.touched)
    for role in (Role.WEIGHT, Role.KV_CACHE):
        add(role, graph.stored_bytes(role))
    return found


@SLOW
@given(workloads(), rules(), st.sampled_from(["bundle", "mode_switch"]))
def test_parts_compute_and_reach_what_the_whole_op_does(work, dealt, sharing):
    whole = lower(load_workload(work)[0])
    parts = split_ops(whole, build(load_hardware(machine(*dealt, sharing=sharing))[0]))
    parts.check()
    assert sums(parts) == sums(whole)
    for role in (Role.WEIGHT, Role.KV_CACHE):  # blocks of a narrow form may be cut in two
        more = parts.read_bytes(role) - whole.read_bytes(role)
        assert 0 <= more <= len(parts.tensors)


@SLOW
@given(workloads(contexts.map(lambda c: {"kind": "decode", "context": c * 2})), rules())
def test_sub_batches_compute_what_the_batch_does(work, dealt):
    whole = lower(load_workload(work)[0])
    made = build(load_hardware(machine(*dealt, interleave={"sub_batches": 2}))[0])
    halves = sub_batches(whole, made)
    split_ops(halves, made).check()
    assert len(halves.networks) == 2
    assert halves.macs() == whole.macs()
    for role in (Role.WEIGHT, Role.KV_CACHE):
        assert halves.stored_bytes(role) == whole.stored_bytes(role)
    assert halves.read_bytes(Role.KV_CACHE) == whole.read_bytes(Role.KV_CACHE)


@settings(SLOW, max_examples=4)
@given(
    st.lists(st.integers(0, 9), min_size=8, max_size=8), st.sampled_from(["bundle", "mode_switch"])
)
def test_a_run_on_both_is_no_slower_than_on_the_better_of_them(tokens, sharing):
    """Beyond a twentieth, which closed forms leave of an engine's edges."""
    work = {
        "schema": "archsim.workload/1", "name": "w",
        "model": {"config": MODEL | {"hidden": 2048, "layers": 1,
                                     "moe": {"experts": 8, "top_k": 1, "ffn": 4096}}},
        "phase": {"kind": "decode", "batch": 1 + sum(tokens), "context": 16},
        "dtypes": {"weights": "bf16"},
        "routing": {"kind": "trace", "counts": [[1 + tokens[0], *tokens[1:]]]},
    }  # fmt: skip
    both, *alone = (
        archsim.run(
            machine(rule, sharing=sharing), work, fidelity="tile", advice=False
        ).result["time_ps"]
        for rule in (
            {"ops": "moe_expert", "split": {"over": ["xpu", "pim"]}},
            {"ops": "moe_expert", "run_on": "xpu"},
            {"ops": "moe_expert", "run_on": "pim"},
        )
    )  # fmt: skip
    assert both <= 1.05 * min(alone)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=40))
def test_no_cut_is_better_than_the_one_that_is_found(costs):
    def load(j, start, stop):
        return Load(sum(c[j] for c in costs[start:stop]), 0)

    def slower(cut):
        return max(load(0, 0, cut).time_ps, load(1, cut, len(costs)).time_ps)

    ((_, cut), _) = solved(len(costs), 2, load)
    assert slower(cut) == min(slower(at) for at in range(len(costs) + 1))
