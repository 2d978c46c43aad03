"""How is an attention planned and written when its scores stay on chip?"""

from dataclasses import replace

import pytest

from archsim.core.errors import Infeasible, Unmappable, Unsupported
from archsim.ir.flash import FlashMapping
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.report.account import account
from archsim.system.bound import bound
from archsim.system.build import build
from archsim.system.plan import place
from archsim.system.record import record
from archsim.system.simulate import timed
from archsim.system.spec import load_hardware
from archsim.testing.attentions import attention_graph, problem_of


def machine(sram="1 MiB", rows=16, lanes=16, **rates):
    data = {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": sram, "bandwidth": "65536 B/cycle"},
            "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "1 TB/s", "energy": "hbm2"},
        },
        "engines": {
            "array": {
                "kind": "systolic_array", "rows": rows, "cols": 16, "rates": rates or {"bf16": 1},
            },
            "vector": {"kind": "vector_unit", "lanes": lanes},
        },
        "placement": {"weights": ["hbm"], "kv_cache": ["hbm"], "activations": ["hbm"]},
        "mapping": [{"ops": "attention", "dataflow": "flash_attention"}],
        "energy": {"table": "7nm"},
    }  # fmt: skip
    return build(load_hardware(data)[0])


def run(graph, hardware):
    plan = place(graph, hardware)
    (stage,) = plan.blocks[0].stages
    done = record(plan, bound(plan), timed(plan, fidelity="cycle"))
    return stage, account(done), done


def with_operand(graph, tensor):
    """The same attention whose softmax reads one more tensor."""
    score, softmax, value = graph.blocks[0].ops
    reads = (*softmax.reads, Access(tensor.name))
    ops = (score, replace(softmax, reads=reads), value)
    return OpGraph("more", (Block("layer", 1, ops),), {**graph.tensors, tensor.name: tensor})


def test_the_array_and_the_vector_unit_work_at_the_same_time():
    graph = attention_graph(4, 1, 64, ((64, 4),), (16, 16))
    _, totals, done = run(graph, machine(sram="128 KiB", lanes=40))
    array, vector = totals.units["array"]["busy_ps"], totals.units["vector"]["busy_ps"]
    assert min(array, vector) > done.time_ps / 4
    assert done.time_ps < 0.8 * (array + vector)
    assert done.time_ps >= max(array, vector)


def test_a_table_that_the_softmax_reads_comes_once_and_a_mask_tile_by_tile():
    graph = attention_graph(2, 1, 48, ((48, 2),), (16, 8))
    table = Tensor("table", (32, 2), DTYPES["bf16"], Role.WEIGHT)
    mask = Tensor("mask", (2, 48, 48), DTYPES["bf16"], Role.ACTIVATION)
    small = machine(sram="32 KiB")
    for extra, key in ((table, "dram.read.weight.weight"), (mask, "dram.read.activation.in")):
        _, totals, _ = run(with_operand(graph, extra), small)
        _, without, _ = run(graph, small)
        assert totals.all[key] - without.all[key] == extra.bytes


def test_an_element_type_without_a_rate_is_refused():
    graph = attention_graph(1, 1, 8, ((8, 1),), (8, 8), cache="fp32")
    with pytest.raises(Unsupported) as caught:
        place(graph, machine())
    assert str(caught.value).splitlines()[0] == (
        "layer/attn.score computes in fp32, and engine array has no rate for it"
    )


def test_a_chip_without_room_for_the_smallest_tiles_says_how_much_is_free():
    graph = attention_graph(1, 1, 64, ((64, 1),), (512, 512))
    with pytest.raises((Infeasible, Unmappable)) as caught:
        place(graph, machine(sram="4 KiB"))
    assert str(caught.value).splitlines()[0] == (
        "attn.score: no tile of 64 queries x 64 keys fits the 2048 bytes that are free on chip"
    )


def test_ops_that_are_no_attention_are_refused_with_what_is_wrong():
    graph = attention_graph(2, 1, 8, ((8, 2),), (8, 8))
    score, softmax, value = graph.blocks[0].ops
    other = replace(value, ranks={**value.ranks, "M": 16})
    with pytest.raises(Unmappable, match="scores and values do not fit each other"):
        problem_of(OpGraph("x", (Block("layer", 1, (score, softmax, other)),), graph.tensors))
    rows = replace(softmax, ranks={"M": 16, "N": 1})
    with pytest.raises(Unmappable, match=r"attn\.softmax is not at each score"):
        problem_of(OpGraph("x", (Block("layer", 1, (score, rows, value)),), graph.tensors))


def test_a_mapping_that_needs_more_than_is_free_is_refused():
    mapping = FlashMapping(problem_of(attention_graph(1, 1, 8, ((8, 1),), (8, 8))), "array",
                           {"b": 1, "q": 8, "kv": 8})  # fmt: skip

    class Target:
        buffer_bytes = 64

    with pytest.raises(Unmappable, match=r"tiles need \d+ bytes on chip, 64 are free"):
        mapping.check(Target())


def test_the_nest_says_what_is_skipped_held_and_split():
    problem = problem_of(attention_graph(2, 1, 64, ((64, 2),), (8, 4), causal=True))
    mapping = FlashMapping(problem, "array", {"b": 1, "q": 32, "kv": 16}, held=True)
    assert mapping.render().splitlines() == [
        "attn.score: flash_attention on array   [b 2  q 64  kv 64  d 8+4]",
        "  for b in 2 tiles of 1",
        "    for q in 2 tiles of 32",
        "      for kv in 4 tiles of 16 (those it sees)",
        "        hold k: 5 tiles of 16 (held over q)",
        "        hold v: 5 tiles of 16 (held over q)",
        "        scores = q k: weight stationary",
        "        running softmax of the scores on the vector unit",
        "        out += shares v: weight stationary",
    ]
    assert mapping.order == ("b", "q", "kv")
    assert mapping.keep == {"q", "out", "k", "v"}
    decode = problem_of(attention_graph(1, 4, 1, ((64, 1),), (8, 4)))
    split = FlashMapping(decode, "array", {"b": 1, "q": 4, "kv": 16}, split=2)
    assert "  2 parts of each context at once, joined at the end" in split.render().splitlines()


def test_a_stage_of_one_tile_takes_its_loads_its_steps_and_its_store():
    graph = attention_graph(1, 1, 16, ((16, 1),), (16, 16))
    stage, totals, done = run(graph, machine(sram="1 MiB"))
    assert stage.mapping.tile == {"b": 1, "q": 16, "kv": 16}
    # in turn: queries, keys (512 B at 1 TB/s), S, softmax, P V, division, store of 512 B
    spent = totals.units
    serial = spent["array"]["busy_ps"] + spent["vector"]["busy_ps"]
    assert done.time_ps >= serial + 3 * 512
    assert totals.all["mac.bf16"] == 2 * 16 * 16 * 16
    assert totals.all["vector.exp"] == 16 * 16 + 16
