"""Does an attention kernel through time take what its closed form says, and count what it must?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.api import place_only, run
from archsim.core.errors import Unsupported

SMS, HZ, MACS = 12, 1e9, 256  # SMs, clock, multiply-accumulates of an SM in a clock
BYTES_PER_S, SHARE, L2 = 100e9, 0.9, 2 << 20

PREFILL = {"softmax_cycles": 0.2, "cta_latency": "2 us", "launch": "10 us", "sustained": 0.8}
GROUPED = {"launch": "9 us", "cta_latency": "1 us", "bytes_per_cycle": 16, "miss_latency": "5 us"}
HEADS = {"launch": "7 us", "bytes_per_cycle": 8, "ctas_per_sm": 2, "two_pass_tokens": 300}


def machine(**attention):
    return {
        "schema": "archsim.hardware/1",
        "name": "small-gpu",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "l2": {"kind": "sram", "capacity": f"{L2} B", "bandwidth": "4096 B/cycle"},
            "hbm": {
                "kind": "dram", "capacity": "8 GiB", "bandwidth": "100 GB/s", "latency": "0 ns",
            },
        },
        "engines": {
            "tensor": {
                "kind": "tensor_core", "count": SMS, "tensor_cores": 1, "mma": "4x4x16",
                "launch": "3 us",
                "attention": {
                    "prefill": {"bf16": PREFILL},
                    "decode_grouped": {"bf16": GROUPED},
                    "decode_multi_head": {"bf16": HEADS},
                    "prefill_efficiency": SHARE,
                    "decode_efficiency": SHARE,
                    **attention,
                },
            },
            "vector": {"kind": "vector_unit", "count": SMS, "lanes": 64, "launch": "3 us"},
        },
        "mapping": [
            {"ops": "attention", "dataflow": "flash_attention"},
            {"ops": "kv_append", "launch": "joined"},
        ],
    }  # fmt: skip


def attention(**line):
    given = {"kind": "attention", "name": "attn", "head_dim": 64} | line
    return {
        "schema": "archsim.workload/1",
        "name": "attention",
        "model": {"config": {"architecture": "graph", "ops": [given]}},
    }


def row_of(report, op="ops/attn.score"):
    return next(row for row in report.ops if row["op"] == op)


def prefill_us(batch, queries, heads, kv_heads, before=0, window=None, causal=True, dim=64):
    """Launch, then the longer of thread blocks dealt one by one and bytes."""
    free = [0.0] * SMS
    step = (2 * 64 * 128 * dim / MACS + 64 * 128 * 0.2) / (0.8 * HZ) * 1e6
    keys = queries + before
    for _ in range(batch * heads):
        for low in range(0, queries, 64):
            end = before + min(low + 64, queries) if causal else keys
            first = (before + low + 1 if causal else keys) - window if window else 0
            steps = -(-end // 128) - max(first, 0) // 128
            free[free.index(min(free))] += 2 + steps * step
    moved = 2 * batch * dim * (2 * heads * queries + 2 * kv_heads * keys)
    return 10 + max(*free, moved / (SHARE * BYTES_PER_S) * 1e6)


def decode_us(batch, context, heads, kv_heads, dim=64):
    """Launch, then compute and memory joined by a norm of four, then the split's second part."""
    grouped, alike = heads > kv_heads, batch * kv_heads
    t0, tc, rate, wait, room = (9, 1, 16, 5, SMS) if grouped else (7, 0, 8, 0, 2 * SMS)
    split = max(1, min(SMS // alike, context // 256))
    rows = -(-(heads // kv_heads) // 16) * 16
    part = -(-context // split)
    cycles = max(part * 4 * dim / rate, rows * part * 2 * dim / MACS)
    compute = -(-alike * split // room) * (tc + cycles / HZ * 1e6)
    moved = 2 * batch * dim * (2 * kv_heads * context + 2 * heads)
    memory = moved / (SHARE * BYTES_PER_S) * 1e6 + wait
    return t0 + (compute**4 + memory**4) ** 0.25 + (2 if split > 1 else 0)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 4),
    queries=st.integers(2, 700),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 4),
    before=st.sampled_from([0, 0, 100, 1000]),
    causal=st.booleans(),
)
def test_a_prefill_kernel_takes_its_closed_form(batch, queries, kv_heads, group, before, causal):
    heads = kv_heads * group
    work = attention(
        batch=batch, queries=queries, context=queries + before, heads=heads, kv_heads=kv_heads,
        causal=causal,
    )  # fmt: skip
    report = run(machine(), work, fidelity="tile")
    want = prefill_us(batch, queries, heads, kv_heads, before, causal=causal)
    # the first piece of the operands and the last one of the results overlap with nothing
    assert report.result["time_ps"] / 1e6 == pytest.approx(want, rel=0.035)
    assert report.result["time_ps"] / 1e6 >= want * (1 - 1e-6)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 16),
    context=st.integers(1, 5000),
    kv_heads=st.integers(1, 4),
    group=st.sampled_from([1, 1, 4, 17]),
)
def test_a_decode_kernel_takes_its_closed_form(batch, context, kv_heads, group):
    heads = kv_heads * group
    work = attention(batch=batch, queries=1, context=context, heads=heads, kv_heads=kv_heads)
    got = run(machine(), work, fidelity="tile").result["time_ps"] / 1e6
    assert got == pytest.approx(decode_us(batch, context, heads, kv_heads), rel=0.025)


@pytest.mark.parametrize("line", [
    {"queries": 300, "heads": 4},
    {"queries": 300, "heads": 4, "kv_heads": 2, "append": True},
    {"queries": 90, "context": 800, "heads": 4, "window": 200},
    {"queries": 1, "context": 800, "heads": 4, "kv_heads": 1},
    {"queries": 130, "heads": 2, "causal": False},
    {"queries": 1, "context": 900, "heads": 2, "shared_kv": True, "append": True},
])  # fmt: skip
def test_work_done_and_work_skipped_are_the_graph_and_the_cache_moves_once(line):
    report = run(machine(), attention(batch=3, **line), fidelity="tile")
    plan = place_only(machine(), attention(batch=3, **line))
    counts = plan.blocks[0].stages[-1].mapping.counts
    assert counts["mac.bf16"] + counts.get("skipped.macs", 0) == plan.graph.macs()
    keys = 3 * line.get("kv_heads", line["heads"]) * line.get("context", line["queries"])
    tensors = 1 if line.get("shared_kv") else 2
    twice = 2 if line.get("shared_kv") else 1  # values of long contexts are fetched again
    read = sum(m["kv_cache_read_bytes"] for m in report.result["traffic"].values())
    assert read == keys * 64 * 2 * tensors * twice


def test_a_masked_half_is_skipped_but_its_diagonal_is_paid_in_full():
    work = attention(queries=256, heads=1)
    counts = place_only(machine(), work).blocks[0].stages[-1].mapping.counts
    points = 64 * (128 + 128 + 256 + 256)
    assert counts["mac.bf16"] == points * 128
    assert counts["skipped.points"] == 256 * 256 - points
    whole = place_only(machine(causal_skip=False), work).blocks[0].stages[-1].mapping.counts
    assert "skipped.points" not in whole


def test_a_replayed_cache_that_fits_costs_no_memory_and_a_models_cache_always_does():
    line = {"queries": 1, "context": 64, "heads": 2, "kv_heads": 1, "batch": 2}

    def loads(kv, warm):
        mapping = place_only(machine(warm_l2=warm), attention(**line, kv=kv)).blocks[0].stages[0]
        return {f.tensor for f in mapping.mapping.loads}

    cold = {"attn.in", "attn.keys", "attn.values"}
    assert loads("given", True) == {"attn.in"}
    assert loads("given", False) == loads("cache", True) == cold


def test_a_kernel_is_printed_as_its_loops():
    work = attention(queries=1, context=1024, heads=4, kv_heads=1)
    mapping = place_only(machine(), work).blocks[0].stages[0].mapping
    assert mapping.render().splitlines() == [
        "ops/attn.score: decode attention kernel, 4 thread blocks",
        "  for block in 4:  # 12 at once, first free SM, in launch order",
        "    for step in keys:  # 256 tokens",
        "      scores = queries x keys; running softmax; out += shares x values",
        "  join up to 4 parts of each context",
        "  load attn.in: 512 B",
        "  load attn.keys: 131072 B",
        "  load attn.values: 131072 B",
        "  store attn.out: 512 B",
    ]


def test_both_ways_through_time_agree_on_an_attention_kernel():
    work = attention(batch=2, queries=1, context=3000, heads=8, kv_heads=2)
    answers = [
        run(machine(), work, fidelity="tile", engine=engine).result["time_ps"]
        for engine in ("compiled", "simpy")
    ]
    assert answers[0] == answers[1]


def test_sequences_of_several_lengths_share_one_kernel():
    work = {
        "schema": "archsim.workload/1",
        "name": "ragged",
        "model": {"preset": "gpt2-small"},
        "phase": {"kind": "decode", "context": [100, 100, 700]},
    }
    plan = place_only(machine(), work)
    stage = next(s for b in plan.blocks for s in b.stages if s.template)
    assert stage.mapping.ctas == 12 * (1 + 1 + 1)
    assert stage.mapping.compute_ps > 0
    assert np.isclose(
        sum(f.size_bytes for f in stage.mapping.loads if f.tensor.startswith("kv.")),
        2 * 900 * 12 * 64 * 2,
    )


def test_an_element_type_without_a_rate_is_refused():
    work = attention(queries=64, heads=1) | {"dtypes": {"kv_cache": "int4"}}
    with pytest.raises(Unsupported) as caught:
        place_only(machine(), work)
    assert caught.value.diagnostics[0].message == (
        "ops/attn.score computes in int4, and engine tensor has no rate for it"
    )
