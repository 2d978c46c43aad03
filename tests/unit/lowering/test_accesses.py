"""Do accesses name exactly the elements that an op touches?"""

from itertools import product
from math import prod

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.core.errors import InputError
from archsim.ir.op import Kind
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload


def build(model, phase):
    data = {"schema": "archsim.workload/1", "name": "toy", "model": model, "phase": phase}
    return lower(load_workload(data)[0])


def reached(op, access, shape):
    """Distinct in-bounds elements that an access reaches, by walking the op's points."""
    ranks = sorted(access.ranks)
    found = set()
    for point in product(*(range(op.ranks[r]) for r in ranks)):
        at = dict(zip(ranks, point, strict=True))
        index = tuple(d.offset + sum(c * at[r] for r, c in d.terms) for d in access.dims)
        if all(0 <= i < extent for i, extent in zip(index, shape, strict=True)):
            found.add(index)
    return len(found)


def view(op, access, tensor):
    """The tensor's own shape, or the op's view of it where it merges or splits dimensions."""
    if len(access.dims) == len(tensor.shape):
        return tensor.shape
    shape = [1 + d.offset + sum(c * (op.ranks[r] - 1) for r, c in d.terms) for d in access.dims]
    if access.touched is None:  # where several results lie side by side, each has its own width
        assert tensor.elements % prod(shape[:-1]) == 0, (op.name, access, tensor)
        shape[-1] = tensor.elements // prod(shape[:-1])
    return tuple(shape)


def check(graph):
    for _, op in graph.ops():
        for access in (*op.reads, *op.writes):
            tensor = graph.tensors[access.tensor]
            if access.dims:
                touched = tensor.elements if access.touched is None else access.touched
                found = reached(op, access, view(op, access, tensor))
                assert found == touched, (op.name, access, tensor)


@st.composite
def transformers(draw):
    kv_heads = draw(st.integers(1, 2))
    encoder = draw(st.booleans())
    flags = ("fused_qkv", "norm_first", "qkv_bias", "out_bias", "ffn_bias", "final_norm", "pooler")
    config = {
        "architecture": "transformer", "layers": 2, "hidden": draw(st.integers(1, 5)),
        "kv_heads": kv_heads, "heads": kv_heads * draw(st.integers(1, 3)),
        "head_dim": draw(st.integers(1, 4)), "ffn": draw(st.integers(1, 6)),
        "ffn_matrices": draw(st.sampled_from([2, 3])),
        "norm": draw(st.sampled_from(["rms", "layer"])),
        "activation": draw(st.sampled_from(["silu", "gelu", "gelu_tanh", "relu"])),
        "position": draw(st.sampled_from(["rope", "learned", "none"])),
        "vocab": draw(st.integers(1, 9)), "encoder": encoder, "tied": draw(st.booleans()),
        "embedding_norm": draw(st.booleans()), "token_types": draw(st.integers(0, 2)),
        **{flag: draw(st.booleans()) for flag in flags},
    }  # fmt: skip
    config["positions"] = 12 if config["position"] == "learned" else 0
    batch = draw(st.integers(1, 3))
    if encoder or draw(st.booleans()):
        phase = {"batch": batch, "tokens": draw(st.integers(1, 4))}
        if encoder:
            return config, {"kind": "encode", **phase}
        return config, {"kind": "prefill", **phase, "context_before": draw(st.integers(0, 4))}
    lengths = st.integers(1, 6)
    context = draw(st.one_of(lengths, st.lists(lengths, min_size=1, max_size=4)))
    several = {} if isinstance(context, list) else {"batch": batch}
    decode = {"context": context, **several}
    if draw(st.booleans()):
        return config, {"kind": "decode", **decode, "steps": draw(st.integers(1, 3))}
    chunk = {"tokens": draw(st.integers(1, 4)), "context_before": draw(st.integers(0, 4))}
    return config, {"kind": "mixed", "decode": decode, "prefill": [chunk]}


@given(transformers())
@settings(max_examples=120, deadline=None)
def test_every_affine_access_of_a_transformer_reaches_what_it_says(case):
    config, phase = case
    check(build({"config": config}, phase))


@given(transformers())
@settings(max_examples=120, deadline=None)
def test_every_activation_that_is_read_was_written_or_comes_from_outside(case):
    config, phase = case
    graph = build({"config": config}, phase)
    written = {a.tensor for _, op in graph.ops() for a in op.writes}
    read = {a.tensor for _, op in graph.ops() for a in op.reads}
    outside = {n for n in read - written if graph.tensors[n].role is Role.ACTIVATION}
    assert outside == set()
    unused = {t for t in graph.tensors if t not in read | written}
    assert unused == set()


@given(transformers())
@settings(max_examples=120, deadline=None)
def test_stored_weights_are_the_parameters(case):
    config, phase = case
    graph = build({"config": config}, phase)
    assert graph.stored_bytes(Role.WEIGHT) == 2 * graph.facts["parameters"]


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 2, "depthwise"]))
    kernel, dilation = (draw(st.integers(1, 3)) for _ in range(2))
    layer = {
        "kind": "conv", "name": "conv", "out_channels": 4 * draw(st.integers(1, 2)),
        "kernel": [kernel, draw(st.integers(1, 3))], "stride": draw(st.integers(1, 4)),
        "padding": draw(st.integers(0, 2)), "dilation": dilation, "groups": groups,
    }  # fmt: skip
    size = [draw(st.integers(dilation * 2 + 1, 10)) for _ in range(2)]
    return {"architecture": "cnn", "input": [4, *size], "layers": [layer]}


@given(convolutions(), st.integers(1, 2))
@settings(max_examples=150, deadline=None)
def test_every_access_of_a_convolution_reaches_what_it_says(config, batch):
    try:
        graph = build({"config": config}, {"kind": "infer", "batch": batch})
    except InputError as error:
        assume("nothing but padding" not in error.message)
        raise
    check(graph)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_a_pool_touches_what_its_windows_reach(kind):
    pool = {"kind": "pool", "name": "pool", "mode": kind, "kernel": 2, "stride": 3, "padding": 0}
    config = {"architecture": "cnn", "input": [2, 8, 8], "layers": [pool]}
    graph = build({"config": config}, {"kind": "infer"})
    op = graph.blocks[0].ops[0]
    assert op.kind is Kind.VECTOR
    assert op.ranks == {"M": 2 * 3 * 3, "N": 4}
    assert op.reads[0].touched == 2 * 6 * 6
    assert graph.tensors["pool.out"].shape == (1, 2, 3, 3)
