"""What does a training step compute, save and hold, against closed forms?"""

import pytest

from archsim import api
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.allocation import flow_of

DENSE = ("gpt2-small", "llama-3-8b", "falcon-40b", "mistral-7b", "phi-2", "qwen3-32b", "opt-1.3b")
BATCH, TOKENS = 2, 256


def graph(model, phase="train", optimizer="none", **more):
    data = {
        "schema": "archsim.workload/1", "name": "w", "model": {"preset": model},
        "phase": {"kind": phase, "batch": BATCH, "tokens": TOKENS, **more},
    }  # fmt: skip
    if phase == "train":
        data["phase"]["optimizer"] = optimizer
    return lower(load_workload(data)[0])


def macs(of, *, attention):
    """MACs of products with weights, or of those of attention."""
    return sum(
        block.count * op.macs()
        for block, op in of.ops()
        if op.is_mac and op.op_class.startswith("attention_") is attention
    )


@pytest.mark.parametrize("model", DENSE)
def test_products_with_weights_are_three_times_the_forward_ones_and_attention_seven_halves(model):
    trained, forward = graph(model), graph(model, "prefill", logits="all")
    assert macs(trained, attention=False) == 3 * macs(forward, attention=False)
    assert 2 * macs(trained, attention=True) == 7 * macs(forward, attention=True)
    kinds = [op.op_class for _, op in trained.ops() if op.is_mac]
    assert kinds.count("attention_backward") == 5 * kinds.count("attention_score")


@pytest.mark.parametrize("model", ["llama-3-8b", "gpt2-small"])
def test_a_parameter_costs_six_flop_a_token(model):
    trained = graph(model)
    weights = {
        a.tensor: b.count * trained.tensors[a.tensor].elements
        for b, op in trained.ops()
        for a in op.reads
        if op.is_mac and trained.tensors[a.tensor].role is Role.WEIGHT
        and not a.tensor.endswith(".bias")
    }  # fmt: skip
    assert 2 * macs(trained, attention=False) == 6 * sum(weights.values()) * BATCH * TOKENS


def test_activations_are_saved_once_a_layer_and_nothing_of_the_scores_is():
    trained = graph("llama-3-8b")
    # a layer: its result, two norms, attention's result and what it is added to, queries; keys and
    # values; gate, up and their product; besides the embedding and the last norm
    h, kv, ffn = 4096, 1024, 14336
    elements = 32 * (6 * h + 2 * kv + 3 * ffn) + 2 * h
    held = 2 * elements * BATCH * TOKENS
    assert trained.stored_bytes(Role.SAVED) == held == trained.facts["saved_activation_bytes"]
    assert trained.write_bytes(Role.SAVED) == held


@pytest.mark.parametrize(("optimizer", "states"), [("none", 0), ("sgd", 0), ("adam", 2)])
def test_every_parameter_has_a_gradient_and_what_its_optimizer_keeps(optimizer, states):
    trained = graph("gpt2-small", optimizer=optimizer)
    parameters = trained.facts["parameters"]
    assert trained.stored_bytes(Role.WEIGHT) == trained.facts["gradient_bytes"] == 2 * parameters
    assert trained.facts["optimizer_bytes"] == 4 * states * parameters
    written = trained.write_bytes(Role.WEIGHT)
    assert written == (2 * parameters if optimizer != "none" else 0)
    kinds = {op.op_class for _, op in trained.ops()}
    assert ("optimizer" in kinds) is (optimizer != "none")


def test_a_tied_table_has_one_gradient_that_both_of_its_uses_add_to():
    trained = graph("gpt2-small")
    writers = [op.name for _, op in trained.ops() if "embed.table.grad" in {
        a.tensor for a in op.writes}]  # fmt: skip
    assert writers == ["lm_head.dw", "embed.dw"]


def test_backward_blocks_repeat_and_hand_the_gradient_down():
    trained = graph("llama-3-8b")
    names = ["embed", "layer", "head", "loss", "head.backward", "layer.backward", "embed.backward"]
    assert [block.name for block in trained.blocks] == names
    backward = trained.blocks[5]
    assert backward.count == 32
    assert backward.carry == (("d.hidden.out", "d.hidden"),)


@pytest.mark.parametrize("hardware", ["npu", "h100", "tpu-v4"])
def test_a_step_runs_and_its_bytes_are_accounted_for(hardware):
    run = api.run(
        hardware,
        "gpt2-small",
        phase="train",
        batch=BATCH,
        tokens=TOKENS,
        fidelity="tile",
        advice=False,
    ).result
    trained = graph("gpt2-small")
    (moved,) = run["traffic"].values()
    # attention on chip keeps one fp32 number a row: 12 layers of 12 heads
    kept = 12 * 12 * BATCH * TOKENS * 4
    assert moved["saved_written_bytes"] == trained.write_bytes(Role.SAVED) + kept
    assert moved["gradient_written_bytes"] >= trained.write_bytes(Role.GRADIENT)
    assert run["time_ps"] >= run["bound_ps"]


def test_what_is_saved_counts_against_the_capacity():
    from archsim.core.errors import Infeasible

    settings = ["memory.hbm.capacity=30 GiB"]
    with pytest.raises(Infeasible) as caught:
        api.run(
            "npu", "llama-3-8b", phase="train", batch=1, tokens=2048, set_=settings, advice=False
        )
    assert caught.value.diagnostics[0].message == (
        "llama-3-8b needs 39.43 GiB, hbm holds 30.00 GiB (short by 9.43 GiB)"
    )
    # most activations live at once between logits and their gradient: 2 x 2048 x 128256 x 2 B
    assert caught.value.diagnostics[0].help == (
        "weights 14.96 GiB, kv_cache 0 B, activations 1002.00 MiB, saved activations 8.54 GiB, "
        "gradients 14.96 GiB; narrower dtypes, a smaller batch, or --set memory.hbm.capacity=..."
    )


def test_what_is_saved_spills_to_the_next_memory_with_the_activations():
    run = api.run(
        "npu-flash", "gpt2-small", phase="train", batch=8, tokens=512, fidelity="analytic",
        set_=["memory.hbm.capacity=1 GiB"],
        advice=False,
    ).result  # fmt: skip
    assert run["traffic"]["host"]["saved_written_bytes"] > 0
    assert run["traffic"]["host"]["gradient_written_bytes"] > 0


def test_a_run_of_another_phase_lists_nothing_of_training():
    run = api.run(
        "npu", "gpt2-small", phase="decode", context=128, fidelity="analytic", advice=False
    ).result
    assert not [key for key in run["traffic"]["hbm"] if key.startswith(("saved", "gradient"))]


def test_the_scratchpad_sees_each_layer_read_what_it_has_saved():
    flow = flow_of(graph("gpt2-small"))
    names = [tensor.name for tensor in flow.tensors]
    steps = {step.name: step for step in flow.steps}
    for i in (0, 11):
        made = names.index(f"layer.{i}/attn.mixed")
        assert made in steps[f"layer.backward.{11 - i}/attn.out.dw"].reads
    first = names.index("embed/hidden")
    assert first in steps["layer.backward.11/attn_norm.dx"].reads


def test_options_of_a_cache_say_that_training_keeps_none():
    data = {
        "schema": "archsim.workload/1", "name": "w", "model": {"preset": "gpt2-small"},
        "phase": {"kind": "train", "tokens": 64}, "kv": {"k_bits": 4, "kept": 0.5},
    }  # fmt: skip
    assert lower(load_workload(data)[0]).facts["warnings"] == [
        ("W101", "kv.kept has no effect: it is of sequences that decode"),
        ("W101", "kv.k_bits has no effect: it is of a cache, and there is none"),
    ]
