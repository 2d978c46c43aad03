"""Does a partition give each device what its plan says?"""

import pytest

from archsim.core.units import format_bytes
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Turn
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.partition import partition

DECODE = {"phase": "decode", "batch": 8, "context": 64}
PREFILL = {"phase": "prefill", "batch": 8, "tokens": 64}
TRAIN = {"phase": "train", "batch": 8, "tokens": 64}


def divided(model, phase, **plan):
    graph = lower(load_workload(model, **phase)[0])
    plan = ParallelPlan(**plan)
    return partition(graph, plan, plan.devices)


def collectives(share):
    return [
        (op.name, op.collective.pattern, op.collective.axis, op.collective.devices,
         op.collective.size_bytes)
        for _, op in share.graph.ops() if op.collective
    ]  # fmt: skip


def test_a_dense_layer_reduces_twice_what_its_tokens_hold():
    (share,) = divided("llama-3-8b", DECODE, tensor=4).shares
    size = 8 * 4096 * 2
    assert collectives(share) == [
        ("embed.all_reduce", "all_reduce", "tensor", 4, size),
        ("attn.out.all_reduce", "all_reduce", "tensor", 4, size),
        ("ffn.down.all_reduce", "all_reduce", "tensor", 4, size),
        ("lm_head.all_gather", "all_gather", "tensor", 4, 8 * 128256 * 2),
    ]


def test_a_parallel_block_reduces_once():
    (share,) = divided("palm-540b", DECODE, tensor=8).shares
    layer = [op for b, op in share.graph.ops() if b.name == "layer" and op.collective]
    assert [op.collective.pattern for op in layer] == ["all_reduce"]


def test_two_dimensions_move_eight_times_tokens_by_width_over_the_root_of_devices():
    # Pope et al., MLSys 2023, section 3.2.2: of a matrix and back, gathers and scatters of
    # B L E / X and B L F / YZ; a gated feed-forward part scatters twice
    (share,) = divided("palm-540b", DECODE, tensor=16, layout="2d", tensor_dims=(2, 8)).shares
    ffn = {
        name: size for name, pattern, axis, _, size in collectives(share)
        if name.startswith("ffn") and axis != "tensor"
    }  # fmt: skip
    width, inner, tokens, element = 18432, 73728, 8, 2
    assert ffn == {
        "ffn.gate.reduce_scatter": tokens * inner // 8 * element,
        "ffn.up.reduce_scatter": tokens * inner // 8 * element,
        "ffn.act.all_gather": tokens * inner // 8 * element,
        "ffn.residual.terms.reduce_scatter": tokens * width // 2 * element,
    }


def test_gathered_weights_move_each_matrix_once_and_no_activation():
    (share,) = divided("palm-540b", PREFILL, tensor=8, layout="gathered_xyz").shares
    layer = [op for b, op in share.graph.ops() if b.name == "layer" and op.collective]
    moved = sum(op.collective.size_bytes for op in layer)
    assert {op.collective.pattern for op in layer} == {"all_gather"}
    assert moved == 2 * (18432 * 12800 + 12288 * 18432 + 3 * 18432 * 73728)


def test_of_a_gathered_table_only_the_rows_that_are_looked_up_travel():
    plan = {"tensor": 8, "layout": "gathered_xyz"}
    (share,) = divided("palm-540b", {**DECODE, "batch": 16}, **plan).shares
    lookup = next(op for b, op in share.graph.ops() if b.name == "embed" and op.collective)
    assert lookup.collective.pattern == "all_to_all"
    assert lookup.collective.size_bytes == 16 // 8 * 18432 * 2
    assert share.graph.touched_bytes(lookup.reads[0]) == lookup.collective.size_bytes


def test_keys_that_fewer_heads_share_than_devices_are_replicated_and_said_so():
    found = divided("palm-540b", DECODE, tensor=8)
    whole = found.whole.stored_bytes(Role.KV_CACHE)
    assert found.shares[0].graph.stored_bytes(Role.KV_CACHE) == whole
    assert found.notes == (
        ("W110", f"1 KV head is held 8 times over tensor: 8: {format_bytes(8 * whole)} of KV "
                 f"cache, not {format_bytes(whole)}"),
    )  # fmt: skip


def test_attention_by_sequences_replicates_no_key():
    found = divided("palm-540b", DECODE, tensor=8, attention="batch")
    whole = found.whole.stored_bytes(Role.KV_CACHE)
    assert 8 * found.shares[0].graph.stored_bytes(Role.KV_CACHE) == whole
    assert found.shares[0].graph.macs() * 8 == found.whole.macs()
    assert found.notes == ()


def test_without_a_plan_heads_come_first_and_copies_next():
    graph = lower(load_workload("llama-3-8b", **DECODE)[0])
    found = partition(graph, None, 64)
    assert (found.plan.tensor, found.plan.data) == (32, 2)
    assert found.notes[0] == ("W112", "no parallel plan was given: tensor 32 x data 2 was chosen")


@pytest.mark.parametrize(("model", "phase", "devices", "ways"), [
    ("llama-3-8b", {**PREFILL, "batch": 1}, 64, {"tensor": 32, "context": 2}),
    ("llama-3-8b", {**DECODE, "batch": 1}, 64, {"tensor": 32, "pipeline": 2}),
    ("palm-540b", {**DECODE, "batch": 1}, 64, {"tensor": 16, "pipeline": 4}),
    ("bert-base", {"phase": "encode", "batch": 2, "tokens": 64}, 16,
     {"tensor": 4, "data": 2, "context": 2}),
])  # fmt: skip
def test_where_heads_and_copies_do_not_reach_a_third_axis_helps(model, phase, devices, ways):
    graph = lower(load_workload(model, **phase)[0])
    found = partition(graph, None, devices).plan
    axes = ("tensor", "data", "context", "pipeline")
    assert {axis: found.ways(axis) for axis in axes if found.ways(axis) > 1} == ways


def test_a_step_of_decode_is_one_microbatch_and_a_prompt_as_many_as_stages():
    assert divided("llama-3-8b", DECODE, pipeline=4).plan.microbatches == 1
    assert divided("llama-3-8b", DECODE, pipeline=4, microbatches=4).plan.microbatches == 4
    assert divided("llama-3-8b", PREFILL, pipeline=4).plan.microbatches == 4


def test_chunks_with_nothing_to_cut_have_no_effect_and_say_so():
    notes = divided("llama-3-8b", DECODE, data=4, overlap_chunks=2).notes
    assert notes == ((
        "W101", "parallel.overlap_chunks has no effect: no product is followed by a collective of "
        "its own result",
    ),)  # fmt: skip
    assert not divided("llama-3-8b", DECODE, tensor=2, overlap_chunks=2).notes


def test_one_device_runs_the_graph_as_it_is():
    graph = lower(load_workload("llama-3-8b", **DECODE)[0])
    found = partition(graph, None, 1)
    assert [share.graph.blocks for share in found.shares] == [graph.blocks]
    assert found.notes == ()


def test_a_vocabulary_that_does_not_divide_is_padded_and_said_so():
    found = divided("gpt3-small", PREFILL, tensor=4)
    assert found.shares[0].graph.tensors["embed.table"].shape == (12565, 768)
    text = "the vocabulary of 50257 is padded to 50260, for tensor: 4"
    assert found.notes == (("W111", text),)


def test_stages_hold_layers_whose_numbers_differ_by_one_at_most():
    found = divided("gpt3-small", TRAIN, pipeline=5, microbatches=8)
    layers = [
        next(b.count for b in share.graph.blocks if b.name == "layer") for share in found.shares
    ]
    assert layers == [2, 3, 3, 2, 2]
    assert [share.devices for share in found.shares] == [(0,), (1,), (2,), (3,), (4,)]


def test_each_message_between_stages_has_its_partner():
    found = divided("gpt3-small", TRAIN, pipeline=4, data=2)
    for stage, share in enumerate(found.shares):
        peers = [
            (op.collective.pattern, op.collective.peer)
            for b, op in share.graph.ops()
            if op.collective and op.collective.axis == "pipeline" and b.name != "tied.gradients"
        ]
        before = [("receive", -1)] if stage else []
        after = [("send", 1)] if stage < 3 else []
        back = [("receive", 1)] if stage < 3 else []
        last = [("send", -1)] if stage else []
        assert peers == [*before, *after, *back, *last]


def test_one_forward_one_backward_holds_as_many_microbatches_as_stages_follow():
    found = divided("gpt3-small", TRAIN, pipeline=4, microbatches=8)
    assert [share.held for share in found.shares] == [4, 3, 2, 1]
    assert found.shares[0].turns == (
        Turn(3, ("forward",)), Turn(5, ("forward", "backward")), Turn(3, ("backward",)),
        Turn(1, ("update",)),
    )  # fmt: skip


def test_gpipe_holds_all_microbatches():
    found = divided("gpt3-small", TRAIN, pipeline=4, microbatches=8, schedule="gpipe")
    assert [share.held for share in found.shares] == [8, 8, 8, 8]
    assert found.shares[3].turns[:2] == (Turn(8, ("forward",)), Turn(8, ("backward",)))


@pytest.mark.parametrize("parts", [2, 3])
def test_interleaved_stages_run_every_part_for_every_microbatch(parts):
    found = divided(
        "gpt3-small", TRAIN, pipeline=4, microbatches=8, schedule="interleaved",
        virtual_stages=parts,
    )  # fmt: skip
    for share in found.shares:
        runs = {}
        for turn in share.turns:
            for part in turn.parts:
                runs[part] = runs.get(part, 0) + turn.times
        assert runs.pop("update", 1) == 1
        assert set(runs.values()) == {8}
        assert len(runs) == 2 * parts
    whole = sum(share.graph.macs() for share in found.shares) * 8
    assert whole == found.whole.macs()


def test_a_tied_table_is_summed_between_the_first_and_the_last_stage():
    found = divided("gpt3-small", TRAIN, pipeline=3, microbatches=2)
    ends = [
        [op.name for b, op in share.graph.ops() if b.name == "tied.gradients"]
        for share in found.shares
    ]
    names = ["tied.send", "tied.receive", "tied.sum"]
    assert ends == [names, [], names]


def test_gradients_of_a_block_are_summed_behind_its_backward_pass():
    (share,) = divided("llama-3-8b", TRAIN, data=4, microbatches=1).shares
    last = {b.name: b.ops[-1] for b in share.graph.blocks if b.name.endswith(".backward")}
    layer = last["layer.backward"].collective
    gradients = share.graph.stored_bytes(Role.GRADIENT)
    head = last["head.backward"].collective.size_bytes
    embed = last["embed.backward"].collective.size_bytes
    assert (layer.pattern, layer.axis, layer.devices) == ("all_reduce", "data", 4)
    assert 32 * layer.size_bytes + head + embed == gradients


def test_several_microbatches_sum_gradients_once():
    (share,) = divided("llama-3-8b", TRAIN, data=2, microbatches=4).shares
    assert share.parts["update"] == ("head.gradients", "layer.gradients", "embed.gradients")
    assert share.turns == (Turn(4, ("forward", "backward")), Turn(1, ("update",)))


def test_training_by_columns_keeps_macs_and_states():
    whole = lower(load_workload("llama-3-8b", **TRAIN, set_=["phase.optimizer=adam"])[0])
    found = partition(whole, ParallelPlan(tensor=4), 4)
    share = found.shares[0].graph
    assert 4 * share.macs() == whole.macs()
    norms = 65 * 4096
    assert 4 * share.stored_bytes(Role.OPTIMIZER) == (
        whole.stored_bytes(Role.OPTIMIZER) + 3 * 8 * norms
    )
    assert 4 * share.stored_bytes(Role.GRADIENT) == (
        whole.stored_bytes(Role.GRADIENT) + 3 * 2 * norms
    )


def test_experts_are_held_once_and_tokens_go_where_they_are():
    found = divided("mixtral-8x7b", DECODE, expert=4)
    shares = [share.graph for share in found.shares for _ in share.devices]
    assert {g.tensors["moe.up.weight"].shape[0] for g in shares} == {2}
    assert sum(g.macs() for g in shares) == found.whole.macs()
    sent = next(op.collective.sent_bytes for _, op in shares[0].ops() if op.name == "moe.dispatch")
    back = next(op.collective.sent_bytes for _, op in shares[0].ops() if op.name == "moe.return")
    assert sum(sent) == 8 * 2 * 4096 * 2
    assert [sent[i * 4 + j] for j in range(4) for i in range(4)] == list(back)


def test_shadowed_experts_keep_their_tokens_at_home():
    plain = divided("mixtral-8x7b", DECODE, expert=4)
    shadowed = divided("mixtral-8x7b", DECODE, expert=4, shadow_experts=2)

    def travelling(found):
        op = next(op for _, op in found.shares[0].graph.ops() if op.name == "moe.dispatch")
        sent = op.collective.sent_bytes
        return sum(n for i, n in enumerate(sent) if i // 4 != i % 4)

    assert travelling(shadowed) < travelling(plain)
    held = {s.graph.tensors["moe.up.weight"].shape[0] for s in shadowed.shares}
    assert held <= {2, 3, 4}


def test_a_capacity_drops_tokens_and_says_how_many():
    found = divided("mixtral-8x7b", PREFILL, expert=4, capacity_factor=1.0)
    assert sum(s.graph.macs() * len(s.devices) for s in found.shares) < found.whole.macs()
    assert [code for code, _ in found.notes] == ["W113"]
    wide = divided("mixtral-8x7b", PREFILL, expert=4, capacity_factor=8.0)
    text = "parallel.capacity_factor 8 has no effect: all tokens fit"
    assert wide.notes == (("W101", text),)


def test_a_ring_does_more_work_the_later_its_tokens_and_stripes_the_same():
    ring = divided("llama-3-8b", PREFILL, context=4)
    steps = [
        sum(op.op_class == "attention_score" for _, op in share.graph.ops())
        for share in ring.shares
    ]
    assert steps == [1, 2, 3, 4]
    (striped,) = divided("llama-3-8b", PREFILL, context=4, context_kind="striped").shares
    assert sum(op.op_class == "attention_score" for _, op in striped.graph.ops()) == 4


def test_keys_go_round_all_but_once():
    found = divided("llama-3-8b", PREFILL, context=4)
    for share in found.shares:
        shifts = [op.collective for _, op in share.graph.ops() if ".shift." in op.name]
        assert len(shifts) == 2 * 3
        part = 8 * 16 * 8 * 128 * 2  # sequences x tokens x heads x width, in bf16
        assert all(c.sent_bytes.count(part) == 4 and sum(c.sent_bytes) == 4 * part for c in shifts)


def test_decode_over_parts_of_the_cache_combines_results_with_their_statistics():
    (share,) = divided("llama-3-8b", DECODE, context=4).shares
    assert share.graph.tensors["kv.keys"].shape == (64, 16, 128)
    combine = next(op for _, op in share.graph.ops() if op.name == "attn.value.combine")
    assert combine.collective.size_bytes == 8 * 32 * (128 + 2) * 2


def test_chunks_cut_a_product_and_its_collective_alike():
    (share,) = divided("llama-3-8b", DECODE, tensor=2, overlap_chunks=3).shares
    down = [op for _, op in share.graph.ops() if op.name.startswith("ffn.down")]
    assert [op.ranks["M"] for op in down] == [3, 3, 3, 3, 2, 2]
    sizes = [op.collective.size_bytes for op in down if op.collective]
    assert sum(sizes) == 8 * 4096 * 2


def test_sequences_of_different_lengths_are_dealt_there_and_back():
    found = divided("llama-3-8b", {"phase": "decode", "context": [10, 20, 30, 40]}, data=2)
    lengths = [
        [dict(g.extents)["N"] for _, op in share.graph.ops() if op.name == "attn.score"
         for g in op.groups]
        for share in found.shares
    ]  # fmt: skip
    assert lengths == [[10, 40], [20, 30]]


def test_options_without_effect_are_named():
    found = divided("llama-3-8b", DECODE, data=2, sequence=True, schedule="gpipe",
                    context_kind="ring", virtual_stages=2, shadow_experts=1)  # fmt: skip
    assert found.notes == (
        ("W101", "parallel.shadow_experts has no effect: experts are not dealt out over devices"),
        ("W101", "parallel.sequence has no effect: the tensor axis has one device"),
        ("W101", "parallel.context_kind has no effect: the context axis has one device"),
        ("W101", "parallel.virtual_stages has no effect: no pipeline of a training step is "
                 "interleaved"),
        ("W101", "parallel.schedule has no effect: only a pipeline of a training step has several "
                 "orders"),
    )  # fmt: skip


def test_parts_of_the_tensor_axis_have_groups_of_their_own():
    plan = ParallelPlan(tensor=8, tensor_dims=(2, 2, 2), data=2)
    assert plan.groups("tensor.x")[:2] == ((0, 1), (2, 3))
    assert plan.groups("tensor.yz")[0] == (0, 2, 4, 6)
    assert plan.groups("tensor.xyz") == plan.groups("tensor")
    assert plan.groups("data")[0] == (0, 8)
    assert plan.ways("tensor.yz") == 4


def test_many_devices_of_one_kind_are_one_class():
    found = divided("llama-3-8b", {**DECODE, "batch": 128}, tensor=8, data=128)
    assert [len(share.devices) for share in found.shares] == [1024]


@pytest.mark.parametrize(
    ("model", "settings", "tensor"),
    [
        ("llama-3-8b", ["workload.kv.kept=0.5"], 4),
        ("llama-3-8b", ["workload.kv.shared_prefix=32"], 4),
        ("llama-3-8b", ["workload.phase.steps=3"], 8),
        ("llama-3-8b", ["workload.scores=block_diagonal"], 4),
        ("qwen3-32b", [], 8),
    ],
)
def test_options_of_attention_divide_by_heads(model, settings, tensor):
    graph = lower(load_workload(model, **DECODE, set_=settings)[0])
    (share,) = partition(graph, ParallelPlan(tensor=tensor), tensor).shares
    assert share.graph.macs() * tensor == graph.macs()
    assert share.graph.stored_bytes(Role.KV_CACHE) * tensor == graph.stored_bytes(Role.KV_CACHE)


@pytest.mark.parametrize(("model", "ways"), [("vit-b-16", 4), ("mobilenet-v2", 2)])
def test_models_without_tokens_are_copied_with_a_share_of_the_batch(model, ways):
    graph = lower(load_workload(model, batch=4)[0])
    (share,) = partition(graph, ParallelPlan(data=ways), ways).shares
    assert share.graph.macs() * ways == graph.macs()
    assert share.graph.stored_bytes(Role.WEIGHT) == graph.stored_bytes(Role.WEIGHT)


def test_a_step_with_prompts_and_decoding_sequences_divides_by_heads():
    phase = {"kind": "mixed", "decode": {"batch": 4, "context": 64}, "prefill": [{"tokens": 32}]}
    work = {"schema": "archsim.workload/1", "name": "w", "model": {"preset": "llama-3-8b"}}
    graph = lower(load_workload({**work, "phase": phase})[0])
    (share,) = partition(graph, ParallelPlan(tensor=4), 4).shares
    assert share.graph.macs() * 4 == graph.macs()


def test_latents_that_all_heads_share_are_said_to_be_replicated():
    found = divided("deepseek-v3", PREFILL, tensor=2)
    whole = found.whole.stored_bytes(Role.KV_CACHE)
    assert found.notes == (
        ("W110", f"cached latents, which all heads share, are held 2 times over tensor: 2: "
                 f"{format_bytes(2 * whole)} of KV cache, not {format_bytes(whole)}"),
    )  # fmt: skip
