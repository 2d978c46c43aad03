"""Does every device of the expert axis get its whole part of a mixed step, and no other?"""

import pytest

from archsim.core.errors import InputError
from archsim.ir.op import Kind
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.mixed import MixedStep
from archsim.parallel.partition import partition


def graph(model="mixtral-8x7b", contexts=(40, 50, 41, 60, 40, 50), prompts=(7, 30), **chunk):
    data = {
        "schema": "archsim.workload/1", "name": "step", "model": {"preset": model},
        "phase": {"kind": "mixed", "decode": {"context": list(contexts)},
                  "prefill": [{"tokens": n, **chunk} for n in prompts]},
    }  # fmt: skip
    return lower(load_workload(data)[0])


def divided(found, **plan):
    plan = ParallelPlan(**plan)
    return partition(found, plan, plan.devices)


def total(found, of):
    return sum(len(share.devices) * of(share.graph) for share in found.shares)


def macs(graph, alone):
    """MACs of all ops but those that every device of the tensor axis repeats."""
    skipped = ("moe_router",) if alone else ("moe_router", "qkv_proj")
    return sum(b.count * op.macs() for b, op in graph.ops() if op.op_class not in skipped)


@pytest.mark.parametrize(("model", "sizes", "plan"), [
    ("mixtral-8x7b", {}, {"expert": 2}),
    ("mixtral-8x7b", {"prompts": (9,), "contexts": (40,)}, {"expert": 2}),
    ("mixtral-8x7b", {"contexts": (50,) * 7, "prompts": (20,)},
     {"expert": 2, "tensor": 4, "experts": "dealt"}),
    ("deepseek-v3", {"contexts": range(40, 53), "prompts": (7, 7, 30)},
     {"expert": 4, "tensor": 2, "experts": "dealt"}),
], ids=str)  # fmt: skip
def test_macs_and_cache_are_those_of_the_step(model, sizes, plan):
    whole = graph(model, **sizes)
    found = divided(whole, **plan)
    alone = model != "deepseek-v3"  # its latents are made, and held, on every device
    assert total(found, lambda g: macs(g, alone)) == macs(whole, alone)
    copies = 1 if alone else plan["tensor"]
    cache = whole.stored_bytes(Role.KV_CACHE)
    assert total(found, lambda g: g.stored_bytes(Role.KV_CACHE)) == copies * cache


def test_shares_have_as_many_sequences_and_chunks_go_to_the_one_with_fewest():
    step = MixedStep.of(graph(prompts=(7, 30, 8, 9), contexts=(40, 50, 41, 60)), 2)
    assert step.owners == (0, 1, 0, 1)
    assert step.decodes == ((60, 40), (50, 41))
    assert step.all_tokens == (2 + 7 + 8, 2 + 30 + 9)


def test_what_devices_send_each_other_is_what_they_get_back():
    found = divided(graph(), expert=2)
    sent = [
        [op.collective.sent_bytes for _, op in share.graph.ops() if op.kind is Kind.COLLECTIVE]
        for share in found.shares
    ]
    assert sent[0] == sent[1]
    there, back = sent[0]
    assert there == tuple(back[j * 2 + i] for i in range(2) for j in range(2))
    token = 2 * 4096
    rows = [sum(there[i * 2 : i * 2 + 2]) // token for i in range(2)]
    assert rows == [2 * n for n in MixedStep.of(graph(), 2).all_tokens]


def test_a_chunk_of_more_sequences_than_a_device_has_is_refused():
    with pytest.raises(InputError) as caught:
        divided(graph(prompts=(7,), contexts=(40,), batch=3), expert=2)
    assert caught.value.code == "E203"
    assert (caught.value.message, caught.value.help) == (
        "chunks of 3 sequences are dealt to one of 2 devices, each of which has 2",
        "chunks of one sequence each, or fewer ways",
    )


def test_shares_hold_the_caches_of_their_sequences_whatever_the_number_of_tokens():
    whole = graph(contexts=(40, 50), prompts=(300, 418))  # 720 tokens, and as many rows of keys
    token = 32 * 2 * 1024 * 2
    held = [s.graph.stored_bytes(Role.KV_CACHE) for s in divided(whole, expert=2).shares]
    assert held == [350 * token, 458 * token]


def test_a_share_without_decoding_sequences_reads_its_projections_too():
    shares = divided(graph(contexts=(40,), prompts=(9,)), expert=2).shares
    for share in shares:
        found = [op for _, op in share.graph.ops() if op.op_class == "qkv_proj"]
        assert [[a.tensor for a in op.reads[1:]] for op in found] == [["attn.qkv.weight"]]
