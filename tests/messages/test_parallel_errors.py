"""Is the error helpful? Plans that do not divide a model or a machine, with their full text."""

import pytest
from pydantic import ValidationError

from archsim.core.errors import InputError
from archsim.ir.parallel import ParallelPlan
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.partition import partition

DECODE = {"phase": "decode", "batch": 8, "context": 64}
PREFILL = {"phase": "prefill", "batch": 8, "tokens": 64}
TRAIN = {"phase": "train", "batch": 6, "tokens": 64}
LLAMA, PALM = "llama-3-8b", "palm-540b"

CASES = [
    (LLAMA, DECODE, {"tensor": 6},
     "tensor: 6 does not divide 32 heads", "tensor: 1, 2"),
    (LLAMA, DECODE, {"data": 3},
     "data x expert: 3 does not divide 8 sequences", "data x expert: 1, 2, 4, 8"),
    (LLAMA, DECODE, {"pipeline": 33},
     "pipeline: 33 exceeds the 32 layers that can be dealt out", "a product of 32 at most"),
    (LLAMA, DECODE, {"pipeline": 2, "microbatches": 3},
     "microbatches: 3 does not divide 8 sequences", "microbatches: 1, 2, 4, 8"),
    (LLAMA, DECODE, {"expert": 2},
     "expert: 2 is of a model with experts, and this one is dense", "tensor, data or pipeline"),
    ("mixtral-8x7b", DECODE, {"expert": 5},
     "expert: 5 does not divide 8 experts", "expert: 1, 2, 4, 8"),
    ("mixtral-8x7b", {**DECODE, "batch": 9}, {"tensor": 2, "experts": "dealt", "expert": 3},
     "expert: 3 does not divide 8 experts", "expert: 1, 2, 4, 8"),
    ("mixtral-8x7b", DECODE, {"tensor": 2, "experts": "dealt", "expert": 2, "shadow_experts": 1},
     "shadow_experts: are held by every device, and experts: dealt gives each device its own",
     "shadow_experts: 0, or experts: shared"),
    ("grok-1", DECODE, {"tensor": 6, "experts": "dealt"},
     "experts: dealt: tensor: 6 neither divides 8 experts nor is a multiple of them",
     "tensor: 1, 2, 4, 8, 16"),
    (LLAMA, {**DECODE, "context": 65}, {"context": 2},
     "context: 2 does not divide a context of 65 tokens", "context: 1, 5, 13, 65"),
    (LLAMA, {**PREFILL, "tokens": 65}, {"context": 2},
     "context: 2 does not divide 65 tokens", "context: 1, 5, 13, 65"),
    ("deepseek-v3", PREFILL, {"context": 2},
     "context: prompts of models with latent keys are not divided", "context: 1"),
    ("mistral-7b", {**PREFILL, "tokens": 6000}, {"context": 2},
     "context_kind: ring is of prompts without tokens before them and without a window",
     "context_kind: all_gather"),
    (LLAMA, {**DECODE, "batch": 6}, {"tensor": 4, "sequence": True},
     "sequence: tensor: 4 does not divide 6 tokens", "tensor: 1, 2"),
    (LLAMA, {**DECODE, "batch": 6}, {"tensor": 4, "attention": "batch"},
     "attention: batch: tensor: 4 does not divide 6 sequences", "tensor: 1, 2"),
    ("mixtral-8x7b", DECODE, {"tensor": 4, "layout": "2d"},
     "layout: 2d is of decoders with dense feed-forward parts", "layout: 1d"),
    (PALM, {**DECODE, "batch": 4}, {"tensor": 8, "layout": "gathered_xyz"},
     "layout: gathered_xyz deals 4 sequences out over 8 devices",
     "a batch that is a multiple of 8"),
    (PALM, DECODE, {"tensor": 8, "layout": "2d", "tensor_dims": (2, 2)},
     "tensor_dims: [2, 2] are not the dimensions of tensor: 8",
     "three numbers at most whose product is 8"),
    (LLAMA, DECODE, {"tensor": 4, "tensor_dims": (2, 2)},
     "tensor_dims is of layouts that tell dimensions apart, and 1d does not",
     "layout: 2d, gathered_x, gathered_xy or gathered_xyz"),
    (LLAMA, DECODE, {"tensor": 16, "layout": "2d"},
     "layout: 2d: tensor: 16 does not divide 8 heads of keys", "attention: batch"),
    (LLAMA, TRAIN, {"tensor": 16},
     "tensor: 16 does not divide 8 heads of keys, of which each has one gradient",
     "tensor: 1, 2, 4, 8"),
    (LLAMA, TRAIN,
     {"pipeline": 4, "schedule": "interleaved", "virtual_stages": 2, "microbatches": 6},
     "schedule: interleaved takes microbatches in groups of 4, and there are 6",
     "microbatches: a larger batch"),
    (LLAMA, {"phase": "decode", "context": [100, 200, 300, 450]},
     {"pipeline": 2, "microbatches": 2}, "sequences of these lengths cannot be dealt out evenly",
     "microbatches: 1, attention: heads, or lengths that come in equal numbers"),
    ("edge-vision", {}, {"data": 2},
     "networks that run at once, and stream graphs, are of one device",
     "a machine without a network between chips"),
    (PALM, PREFILL, {"tensor": 8, "layout": "2d", "sequence": True},
     "sequence: 2d deals the residual stream out by width, not by tokens", "sequence: false"),
    ("deepseek-v3", DECODE, {"pipeline": 62}, "pipeline: 62 exceeds the 61 layers that can be "
     "dealt out", "a product of 61 at most"),
    ("resnet-50-infer", {"batch": 4}, {"tensor": 2},
     "tensor: 2 is of layers with attention and its projections, and there are none",
     "data: divides the batch of any model"),
]  # fmt: skip


def refused(model, phase, plan, devices):
    graph = lower(load_workload(model, **phase)[0])
    with pytest.raises(InputError) as caught:
        partition(graph, plan, devices)
    assert caught.value.code == "E203"
    return caught.value.message, caught.value.help


@pytest.mark.parametrize(("model", "phase", "plan", "message", "help_text"), CASES)
def test_a_plan_that_does_not_divide_names_the_values_that_do(
    model, phase, plan, message, help_text
):
    plan = ParallelPlan(**plan)
    assert refused(model, phase, plan, plan.devices) == (message, help_text)


def test_a_plan_of_other_devices_than_the_machine_has_says_both_numbers():
    assert refused(LLAMA, DECODE, ParallelPlan(tensor=2), 4) == (
        "the parallel plan takes 2 devices (tensor 2), and the machine has 4",
        "the product of tensor, context, expert, data, pipeline must be 4, "
        "such as {tensor: 4} or {tensor: 2, data: 2} or {data: 4}",
    )


def test_devices_that_divide_nothing_ask_for_a_plan():
    assert refused(LLAMA, {**DECODE, "batch": 5}, None, 33) == (
        "no plan was given, and 33 devices divide neither 32 heads nor 5 sequences",
        "a batch that is a multiple of 33, or fewer devices",
    )
    assert refused("resnet-50-infer", {}, None, 8) == (
        "no plan was given, and 8 devices divide no batch of 1, and there are no heads",
        "a batch that is a multiple of 8, or fewer devices",
    )


@pytest.mark.parametrize(("plan", "path"), [
    ({"tensor": 2, "pipeline": 2, "microbatches": 3}, "parallel.microbatches"),
    ({"tensor": 4, "layout": "2d", "tensor_dims": (3, 3)}, "parallel.tensor_dims"),
    ({"data": 3, "tensor": 2}, "parallel.data"),
    ({"tensor": 5}, "parallel.tensor"),
    ({"context": 3}, "parallel.context"),
])  # fmt: skip
def test_the_field_at_fault_is_named(plan, path):
    graph, given = lower(load_workload(PALM, **DECODE)[0]), ParallelPlan(**plan)
    with pytest.raises(InputError) as caught:
        partition(graph, given, given.devices)
    assert caught.value.details["path"] == path


@pytest.mark.parametrize("order", [("data", "tensor"), ("tensor",) * 5])
def test_an_order_names_each_axis_once(order):
    with pytest.raises(ValidationError, match="order names each axis once"):
        ParallelPlan(order=order)
