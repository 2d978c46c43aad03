"""Do real models become the flows they should, and do published budgets come out of them?"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from archsim.core.errors import Unsupported
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.memory.allocation.allocate import HEURISTICS, allocate
from archsim.memory.allocation.cosma import least_room
from archsim.memory.allocation.lifetimes import Flow
from archsim.system.allocation import flow_of

KIB = 1024
PHASES: dict[str, dict[str, Any]] = {
    "resnet-50": {"phase": "infer", "batch": 1},
    "mobilenet-v1": {"phase": "infer", "batch": 1},
    "bert-base": {"phase": "encode", "batch": 1, "tokens": 128},
    "gpt2-small": {"phase": "prefill", "batch": 1, "tokens": 128},
}


@cache
def graph_of(name: str, phase: str = "") -> OpGraph:
    """A model with elements of one byte."""
    where = PHASES[name] if not phase else {"phase": phase, "batch": 1, "context": 128}
    elements = ["dtypes.weights=int8", "dtypes.activations=int8"]
    return lower(load_workload(name, set_=elements, **where)[0])


@cache
def model(name: str) -> Flow:
    """A model as an allocator sees it."""
    return flow_of(graph_of(name))


def test_resnet_50_needs_2352_kib_for_its_largest_op_and_for_all_of_it() -> None:
    # COSMA (2023): M_R = M_P = 2352 KB at INT8 and 224 x 224, three maps of 56 x 56 x 256
    flow = model("resnet-50")
    assert flow.largest_op_bytes() == 2352 * KIB == 3 * 56 * 56 * 256
    found = least_room(flow)
    assert (found.bytes, found.bound_bytes) == (2352 * KIB, 2352 * KIB)


@pytest.mark.parametrize("name", PHASES)
def test_at_its_least_room_a_model_moves_compulsory_bytes_only(name: str) -> None:
    flow = model(name)
    found = allocate(flow, least_room(flow).bytes, "cosma")
    found.check()
    assert (found.non_compulsory_bytes, found.status) == (0, "optimal")


@pytest.mark.parametrize("name", ["bert-base", "gpt2-small"])
def test_a_transformer_at_its_largest_op_writes_and_reads_one_residual_a_layer(name: str) -> None:
    flow = model(name)
    found = allocate(flow, flow.largest_op_bytes(), "cosma")
    found.check()
    residual = 128 * 768
    assert found.status == "optimal"
    assert (found.evicted_bytes, found.refetched_bytes) == (12 * residual, 12 * residual)
    assert found.bound_bytes == found.non_compulsory_bytes
    for policy in HEURISTICS:
        least = allocate(flow, flow.largest_op_bytes(), policy).non_compulsory_bytes
        assert least >= found.non_compulsory_bytes


def test_compulsory_bytes_are_weights_input_and_result() -> None:
    graph, flow = graph_of("resnet-50"), model("resnet-50")
    image, scores = 3 * 224 * 224, 1000
    assert flow.compulsory_bytes() == graph.read_bytes(Role.WEIGHT) + image + scores


def test_every_repeat_of_a_block_is_written_out_and_reads_the_one_before() -> None:
    flow = model("bert-base")
    names = [step.name for step in flow.steps]
    assert len(names) == 3 + 12 * 12 + 2
    first, second = (flow.steps[names.index(f"layer.{i}/attn.qkv")] for i in (0, 1))
    assert [flow.tensors[x].name for x in first.reads] == ["embed/hidden"]
    assert [flow.tensors[x].name for x in second.reads] == ["layer.0/hidden.out"]


def test_a_cache_written_whole_is_allocated_and_kept() -> None:
    flow = model("gpt2-small")
    kept = {flow.tensors[x].name for x in flow.kept}
    assert "layer.3/kv.keys" in kept
    assert len(kept) == 2 * 12 + 1  # keys and values of each layer, and the logits


def test_a_cache_from_before_streams_and_keeps_its_readers_behind_its_writer() -> None:
    graph = graph_of("gpt2-small", "decode")
    flow = flow_of(graph)
    sizes = {t.name: t.bytes for t in flow.tensors}
    assert sizes["layer.0/kv.keys"] == 0
    streamed = graph.read_bytes(Role.WEIGHT) + graph.read_bytes(Role.KV_CACHE)
    assert flow.streamed_bytes == streamed + graph.write_bytes(Role.KV_CACHE)
    names = [step.name for step in flow.steps]
    score = flow.steps[names.index("layer.0/attn.score")]
    writers = {names[flow.producer[x]] for x in score.reads}
    assert "layer.0/attn.kv_append" in writers


def test_a_tensor_written_in_parts_is_refused_by_name() -> None:
    whole = Access("y")
    ops = tuple(
        Op(f"half{i}", Kind.MOVE, "move", {"M": 1, "N": 4}, (Access("x"),), (whole,))
        for i in range(2)
    )
    tensors = {n: Tensor(n, (1, 8), DTYPES["int8"], Role.ACTIVATION) for n in ("x", "y")}
    graph = OpGraph("parts", (Block("b", 1, ops),), tensors)
    with pytest.raises(Unsupported) as caught:
        flow_of(graph)
    assert caught.value.render() == (
        "error[E301]: b/half1 writes a part of y, which another op writes a part of\n"
        "      = help: a scratchpad is allocated for tensors that one op writes"
    )
