"""Does a feed-forward block under shared loops run as one stage, as printed, and what does it save?

That its bytes are those of its closed form, and that it computes the block, is in
`tests/property/test_fused_nest_runs.py`.
"""

from copy import deepcopy

import pytest

from archsim import api
from archsim.cli._mappings import rules, stages
from archsim.ir.nest_fused import FusedNest
from archsim.system.spec import load_hardware

GATED = [f"layer/ffn.{part}" for part in ("gate", "up", "act", "down")]
OUTPUTS = {  # sums stay in the cells of a systolic array
    "buffer": {"loops": ["M/128", "N/128", "M/1 @rows", "N/1 @cols"]},
    "registers": {"keep": ["out"], "loops": ["K/1"]},
}
ROWS = {  # filter rows and sums stay in the elements of a spatial array
    "buffer": {"loops": ["N/14", "K/60", "M/1", "K/5 @rows", "N/1 @cols"]},
    "registers": {"keep": ["in", "weight", "out"], "loops": ["K/1"]},
}


def fused(m, f, k, n, levels=OUTPUTS, ops=GATED, **options):
    fuse = {
        "loops": [f"M/{m}", f"F/{f}"],
        "keep": ["in", "out"],
        "first": {"dram": {"loops": [f"K/{k}"]}, **deepcopy(levels)},
        "last": {"dram": {"loops": [f"N/{n}"]}, **deepcopy(levels)},
    }
    return {"ops": list(ops), "nest": {"fuse": fuse | options}}


def machine(name, *own, **memories):
    data = load_hardware(name)[0].to_data()
    data["mapping"] = [*own, *data["mapping"]]
    data["placement"]["activations"] = data["placement"]["activations"][-1:]
    for memory, fields in memories.items():
        data["memory"][memory] |= fields
    return data


def block(report):
    """Time and bytes behind the chip of a layer's feed-forward products, all layers together."""
    rows = [r for r in report.ops if r["op"] in GATED]
    moved = ("dram_in_bytes", "dram_weight_bytes", "dram_out_bytes", "dram_partial_bytes")
    return sum(r["time_ps"] for r in rows), sum(r[key] for r in rows for key in moved)


def run(hardware, **options):
    return api.run(hardware, "llama-3-8b-prefill", **options)


NPU = fused(1024, 256, 128, 128)


def test_a_block_is_one_stage_and_its_hidden_tensors_never_leave_the_chip():
    report = run(machine("npu", NPU))
    (row,) = [r for r in report.ops if r["op"] in GATED]
    assert row["dataflow"] == "fused_feed_forward"
    assert row["fused"] == "ffn.up + ffn.act + ffn.down + ffn.residual"
    rows, wide, deep, hidden = 2048, 4096, 32, 14336
    # once its input and its results, and what the residual adds; weights once a tile of 1024 rows
    assert row["dram_in_bytes"] == 2 * deep * 2 * rows * wide
    assert row["dram_out_bytes"] == 2 * deep * rows * wide
    assert row["dram_weight_bytes"] == 2 * deep * 2 * 3 * wide * hidden
    assert row["dram_partial_bytes"] == 0


def test_a_fused_block_saves_bytes_and_time_where_memory_is_slow():
    slow = {"bandwidth": "250 GB/s"}
    alone, together = (block(run(machine("npu", *own, hbm=slow))) for own in ((), (NPU,)))
    assert together[1] / alone[1] == pytest.approx(24.16 / 34.09, rel=0.01)
    assert alone[0] / together[0] == pytest.approx(1.35, rel=0.02)


def test_a_fused_block_saves_no_time_where_the_array_is_busy_anyway():
    alone, together = (block(run(machine("npu", *own))) for own in ((), (NPU,)))
    assert together[0] / alone[0] == pytest.approx(1.0, abs=0.01)
    assert together[1] < 0.75 * alone[1]


def test_the_array_that_does_not_go_ahead_waits_for_the_activation():
    ahead, not_ahead = (
        block(run(machine("npu", fused(1024, 256, 128, 128, ahead=a))))[0] for a in (True, False)
    )
    # one hidden tile after the other: 2 x 56 of them in each of 32 layers wait for the vector unit
    assert 1.1 < not_ahead / ahead < 1.2


def test_rows_of_an_eyeriss_that_all_stay_are_worth_fusing_and_others_are_not():
    def both(capacity, rows):
        own = fused(rows, 120, 60, 56, ROWS)
        sram, dram = {"capacity": capacity}, {"capacity": "64 GiB"}
        return (
            block(run(machine("eyeriss", *some, sram=sram, dram=dram), tokens=64))
            for some in ((), (own,))
        )

    alone, together = both("4 MiB", 64)
    assert together[0] < alone[0]
    assert together[1] < alone[1]
    alone, together = both("1 MiB", 16)  # weights come again for each 16 rows
    assert together[0] > 1.5 * alone[0]
    assert together[1] > 2 * alone[1]


def write(folder, text):
    file = folder / "rules.yaml"
    file.write_text(text)
    return [str(file)]


@pytest.mark.parametrize(
    ("name", "own", "memories"),
    [
        ("npu", NPU, {}),
        ("npu", fused(512, 256, 256, 256, keep=["in"], depth=1, ahead=False), {}),
        ("eyeriss", fused(32, 120, 60, 56, ROWS),
         {"sram": {"capacity": "4 MiB"}, "dram": {"capacity": "64 GiB"}}),
    ],
)  # fmt: skip
def test_what_map_prints_runs_again_in_the_same_time(name, own, memories, tmp_path):
    hardware, tokens = machine(name, own, **memories), {} if name == "npu" else {"tokens": 64}
    text = rules(hardware, "llama-3-8b-prefill", "layer/ffn.*", **tokens)
    assert text.count("fuse:\n") == 1
    before = run(hardware, **tokens)
    files = write(tmp_path, text)
    after = run(machine(name, **memories), set_files=files, **tokens)
    assert after.result["time_ps"] == before.result["time_ps"]
    assert after.ops == before.ops


def test_map_prints_shared_loops_what_is_held_and_both_products():
    ((_, text),) = stages(machine("npu", NPU), "llama-3-8b-prefill", "layer/ffn.up")
    assert text.splitlines()[:16] == [
        "layer/ffn.gate  x 32",
        "  ffn.gate: fused_feed_forward on array   [m 2048  f 14336  k 4096  n 4096]",
        "    for m in 2 tiles of 1024",
        "      for f in 56 tiles of 256",
        "        hold in: 8650752 B (held)",
        "        hold first: 262144 B",
        "        hold hidden: 3145728 B",
        "        hold last: 131072 B",
        "        hold out: 17301504 B (held)",
        "        for k in 32 tiles of 128",
        "          gate and up += in weight",
        "            spatial m over rows: 128",
        "            spatial n over cols: 128",
        "            stream k over stream: 128",
        "        hidden = activation of the sums, while the next one's are made",
        "        for n in 32 tiles of 128",
    ]


def stage_of(hardware, workload, **options):
    plan = api.place_only(hardware, workload, **options)
    (stage,) = (s for b in plan.blocks for s in b.stages if isinstance(s.mapping, FusedNest))
    return stage


@pytest.mark.parametrize(
    ("workload", "parts", "rule"),
    [
        ("gpt2-small-prefill", ("ffn.up", "ffn.act", "ffn.down"), (256, 384, 768, 768)),
        ("mixtral-8x7b-prefill", ("moe.gate", "moe.up", "moe.act", "moe.down"),
         (256, 256, 256, 256)),
    ],
)  # fmt: skip
def test_blocks_with_biases_and_of_experts_move_what_their_nest_says(workload, parts, rule):
    own = fused(*rule, ops=[f"layer/{part}" for part in parts])
    own["nest"]["fuse"]["loops"].insert(0, "B/1")
    hardware = machine("npu", own, hbm={"capacity": "200 GiB"})
    stage = stage_of(hardware, workload)
    report = api.run(hardware, workload, fidelity="analytic")
    row = next(r for r in report.ops if r["dataflow"] == "fused_feed_forward")
    moved = stage.mapping.traffic()
    biases = 2 * (3072 + 768) if "gpt2" in workload else 0
    weights = 2 * (moved["first"][0] + moved["last"][0]) + biases
    assert row["dram_weight_bytes"] == row["repeats"] * weights
    assert row["dram_partial_bytes"] == 0


def test_a_run_step_by_step_ends_when_the_folded_one_does():
    own = fused(256, 384, 768, 768, ops=[f"layer/ffn.{part}" for part in ("up", "act", "down")])
    hardware = machine("npu", own)
    folded, exact = (
        api.run(hardware, "gpt2-small-prefill", exact=exact) for exact in (False, True)
    )
    assert folded.result["time_ps"] == exact.result["time_ps"]
    assert folded.result["counts"] == exact.result["counts"]
