"""What does each operand of an attention in tiles move, and how does it fall with on-chip room?"""

import pytest

from archsim import api
from archsim.cli._mappings import stages
from archsim.ir.flash import FlashMapping
from archsim.ir.flash_io import least_cache_elements, unfused_bytes
from archsim.report.account import account
from archsim.system.bound import bound
from archsim.system.plan import place
from archsim.system.record import record
from archsim.system.simulate import timed
from archsim.testing.attentions import attention_graph, problem_of
from tests.property.test_flash_runs import machine

PREFILL = {"phase": "prefill", "batch": 4, "tokens": 2048}


def test_the_bytes_of_a_run_are_the_closed_form_of_each_operand():
    plan = api.place_only("npu", "llama-3-8b", **PREFILL)
    (layer,) = [b for b in plan.blocks if b.block.count > 1]
    (stage,) = [s for s in layer.stages if s.template]
    said = {word: 32 * size for word, size in stage.mapping.traffic().items()}
    run = api.run("npu", "llama-3-8b", fidelity="analytic", **PREFILL, advice=False)
    (row,) = [r for r in run.ops if r["op"] == stage.path]
    assert 0 not in said.values()
    assert row["dram_in_bytes"] == said["q"]
    assert row["dram_weight_bytes"] == said["k"] + said["v"]
    assert row["dram_out_bytes"] == said["out"]


@pytest.mark.parametrize("hardware", ["npu", "h100"])
def test_map_prints_what_each_operand_moves_beside_attention_that_is_not_fused(hardware):
    ((data, text),) = stages(hardware, "llama-3-8b", "attention", **PREFILL)
    gib = 2**30
    # 32 layers, 4 x 2048 tokens, 4096 channels of queries and 1024 of keys, 2 bytes each
    tensors = {"q": 2 * gib, "k": gib // 2, "v": gib // 2, "out": 2 * gib}
    assert data["operand_bytes"]["moved"] == tensors
    # 32 layers, 4 x 32 heads, 2048 x 2048 scores of 2 bytes, written once and read once
    scores = 32 * 128 * 2048**2 * 2 * 2
    assert data["operand_bytes"]["unfused"] == tensors | {"scores": scores, "shares": scores}
    lines = text.splitlines()
    assert lines[-2] == (
        "  attention moves: q 2.00 GiB, k 512.00 MiB, v 512.00 MiB, out 2.00 GiB; together 5.00 GiB"
    )
    assert lines[-1] == (
        "  unfused it would: q 2.00 GiB, k 512.00 MiB, scores 64.00 GiB, shares 64.00 GiB, "
        "v 512.00 MiB, out 2.00 GiB; together 133.00 GiB, 26.6 times as much"
    )


def test_an_op_that_is_no_attention_prints_no_operands_of_one():
    ((data, text),) = stages("npu", "llama-3-8b", "layer/ffn.down", **PREFILL)
    assert "operand_bytes" not in data
    assert "attention" not in text


def test_three_ops_move_no_less_than_their_tensors_once_an_op():
    graph = attention_graph(2, 2, 16, ((16, 1), (40, 1)), (8, 8), causal=True)
    apart = unfused_bytes(problem_of(graph))
    plan = place(graph, machine(sram="256 KiB", rule="nothing"))
    totals = account(record(plan, bound(plan), timed(plan, fidelity="analytic"))).all
    assert totals["dma.transfer"] >= sum(apart.values())
    # the products and the softmax by themselves: 2 heads x (16 + 40) keys x 32 rows
    assert apart["scores"] == apart["shares"] == 2 * 2 * 32 * (16 + 40)


@pytest.mark.parametrize("dim", [32, 64, 128])
def test_keys_and_values_fall_as_queries_keys_and_widths_over_the_room(dim):
    # between 32 and 128 times N^2 d^2 / M with M all of the on-chip memory: a stage gets half of
    # it, tiles of queries, sums and their products of 32 bits share that, sizes are powers of two
    graph = attention_graph(2, 1, 2048, ((2048, 2),), (dim, dim))
    problem, before = problem_of(graph), None
    for kib in (64, 128, 256):
        slow = machine(sram=f"{kib} KiB", rows=128, cols=128, count=1, lanes=1024, gbps=20)
        (stage,) = place(graph, slow).blocks[0].stages
        mapping = stage.mapping
        assert isinstance(mapping, FlashMapping)
        moved = (mapping.traffic()["k"] + mapping.traffic()["v"]) / 2  # elements of 2 bytes
        ratio = moved / least_cache_elements(problem, kib * 1024 // 2)
        assert 32 <= ratio <= 128
        assert before is None or moved <= before
        before = moved
