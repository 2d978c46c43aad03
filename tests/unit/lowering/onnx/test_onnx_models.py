"""Does a model written as ONNX cost what the preset of its name does?"""

import pytest
from onnx import TensorProto, helper

from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def preset(name, **phase):
    return lower(load_workload(name, **phase)[0])


def bert(w, *, layers=12, hidden=768, heads=12, ffn=3072, vocab=30522, positions=512):
    """BERT with its pooler as PyTorch exports it: shapes come from the input's own."""
    depth = hidden // heads
    ids = w.input("input_ids", ["batch", "seq"], INT)
    mask = w.input("attention_mask", ["batch", "seq"], INT)
    shape = w.add("Shape", [ids])
    zero, one = w.constant("zero", [0], []), w.constant("one", [1], [])
    batch = w.add("Gather", [shape, zero], axis=0)
    length = w.add("Gather", [shape, one], axis=0)
    axis0 = w.constant("axis0", [0])
    sizes = [w.add("Unsqueeze", [x, axis0]) for x in (batch, length)]
    wide = w.add("Unsqueeze", [mask, w.constant("axes12", [1, 2])])
    penalty = w.add(
        "Mul",
        [
            w.add("Sub", [w.constant("1f", [1.0], [], FLOAT), w.add("Cast", [wide], to=FLOAT)]),
            w.constant("low", [-1e9], [], FLOAT),
        ],
    )
    words = w.add("Gather", [w.weight("words", vocab, hidden), ids], axis=0)
    range_ = w.add("Range", [zero, length, one])
    place = w.add("Gather", [w.weight("positions", positions, hidden), range_], axis=0)
    types = w.add(
        "Gather",
        [w.weight("types", 2, hidden), w.add("ConstantOfShape", [w.add("Concat", sizes, axis=0)],
         value=helper.make_tensor("z", INT, [1], [0]))], axis=0,
    )  # fmt: skip
    x = norm(w, "embed", w.add("Add", [w.add("Add", [words, place]), types]), hidden)

    def linear(name, source, k, n):
        product = w.add("MatMul", [source, w.weight(f"{name}.w", k, n)], name=name)
        return w.add("Add", [w.weight(f"{name}.b", n), product])

    for i in range(layers):
        tail = [w.constant(f"l{i}.heads", [heads]), w.constant(f"l{i}.depth", [depth])]
        split = w.add("Concat", [*sizes, *tail], axis=0)
        q, k, v = (
            w.add("Transpose", [
                w.add("Reshape", [linear(f"l{i}.{n}", x, hidden, hidden), split])], perm=order)
            for n, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3]))
        )  # fmt: skip
        scores = w.add("MatMul", [q, k], name=f"l{i}.score")
        root = w.constant(f"l{i}.root", [depth**0.5], [], FLOAT)
        shares = w.add("Softmax", [w.add("Add", [w.add("Div", [scores, root]), penalty])], axis=-1)
        mixed = w.add("Transpose", [w.add("MatMul", [shares, v], name=f"l{i}.value")],
                      perm=[0, 2, 1, 3])  # fmt: skip
        flat = w.add("Concat", [*sizes, w.constant(f"l{i}.flat", [hidden])], axis=0)
        out = linear(f"l{i}.out", w.add("Reshape", [mixed, flat]), hidden, hidden)
        x = norm(w, f"l{i}.n1", w.add("Add", [out, x]), hidden)
        up = linear(f"l{i}.up", x, hidden, ffn)
        erf = w.add("Erf", [w.add("Div", [up, w.constant(f"l{i}.r2", [2**0.5], [], FLOAT)])])
        half = w.add("Mul", [up, w.add("Add", [erf, w.constant(f"l{i}.1", [1.0], [], FLOAT)])])
        act = w.add("Mul", [half, w.constant(f"l{i}.h", [0.5], [], FLOAT)])
        down = linear(f"l{i}.down", act, ffn, hidden)
        x = norm(w, f"l{i}.n2", w.add("Add", [down, x]), hidden)
    first = w.add("Gather", [x, zero], axis=1)
    weights = [w.weight("pooler.w", hidden, hidden), w.weight("pooler.b", hidden)]
    pooled = w.add("Tanh", [w.add("Gemm", [first, *weights], transB=1, name="pooler")])
    return x, pooled


def norm(w, name, x, width):
    scale, bias = w.weight(f"{name}.g", width), w.weight(f"{name}.b", width)
    return w.add("LayerNormalization", [x, scale, bias], name=name, axis=-1)


def resnet50(w, *, folded=False):
    """ResNet-50 with its batch norms as nodes, or folded into the convolutions."""
    x = w.input("image", ["N", 3, 224, 224])

    def conv(name, source, inner, outer, kernel, stride=1):
        given = [source, w.weight(f"{name}.w", outer, inner, kernel, kernel)]
        given += [w.weight(f"{name}.b", outer)] if folded else []
        pads = [kernel // 2] * 4
        made = w.add("Conv", given, name=name, strides=[stride] * 2, pads=pads)
        if folded:
            return made
        stats = [w.weight(f"{name}.{s}", outer) for s in ("g", "beta", "mean", "var")]
        return w.add("BatchNormalization", [made, *stats], name=f"{name}.bn")

    x = w.add("Relu", [conv("stem", x, 3, 64, 7, 2)])
    x = w.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, name="pool")
    channels = 64
    for s, (width, count, step) in enumerate(((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))):
        for i in range(count):
            name, stride = f"s{s}.{i}", step if i == 0 else 1
            y = w.add("Relu", [conv(f"{name}.reduce", x, channels, width, 1)])
            y = w.add("Relu", [conv(f"{name}.spatial", y, width, width, 3, stride)])
            y = conv(f"{name}.expand", y, width, 4 * width, 1)
            if i == 0:
                x = conv(f"{name}.shortcut", x, channels, 4 * width, 1, stride)
            x, channels = w.add("Relu", [w.add("Add", [y, x])]), 4 * width
    x = w.add("Flatten", [w.add("GlobalAveragePool", [x], name="average")], axis=1)
    given = [x, w.weight("fc.w", 1000, 2048), w.weight("fc.b", 1000)]
    return w.add("Gemm", given, transB=1, name="fc")


@pytest.mark.parametrize(("batch", "tokens"), [(1, 512), (3, 128)])
def test_bert_has_the_macs_and_parameters_of_its_preset(w, build, batch, tokens):
    graph = build(w, *bert(w), batch=batch, seq=tokens)
    other = preset("bert-base", phase="encode", batch=batch, tokens=tokens)
    assert graph.macs() == other.macs()
    assert graph.facts["parameters"] == other.facts["parameters"]


@pytest.mark.parametrize("folded", [False, True])
def test_resnet_has_the_macs_of_its_preset_and_reads_as_many_weights(w, build, folded):
    graph = build(w, resnet50(w, folded=folded), N=2)
    other = preset("resnet-50", phase="infer", batch=2)
    assert graph.macs() == other.macs()
    assert graph.read_bytes(Role.WEIGHT) == other.read_bytes(Role.WEIGHT)
    if not folded:
        assert graph.facts["parameters"] == other.facts["parameters"]


def test_a_folded_batch_norm_leaves_convolutions_pools_and_additions(w, ops):
    found = ops(w, resnet50(w), N=1)
    assert {op.op_class for op in found.values()} == {
        "conv", "pool", "activation", "elementwise", "linear",
    }  # fmt: skip
    assert all(len(op.reads) == 3 for op in found.values() if op.op_class == "conv")


def test_decomposed_attention_is_told_from_other_products(w, ops):
    by_class = {}
    for op in ops(w, *bert(w, layers=2), batch=2, seq=64).values():
        by_class.setdefault(op.op_class, []).append(op)
    assert [op.name for op in by_class["attention_score"]] == ["l0.score"]
    assert [op.name for op in by_class["attention_value"]] == ["l0.value"]
    assert len(by_class["linear"]) == 6 + 1
    assert by_class["attention_score"][0].ranks == {"B": 24, "M": 64, "N": 64, "K": 64}
    assert [op.name for op in by_class["softmax"]] == ["div32", "add33", "softmax34"]
    parts = ("attention_score", "softmax", "attention_value")
    assert {op.queries for part in parts for op in by_class[part]} == {64}


def test_the_layers_of_bert_and_the_blocks_of_resnet_repeat(w, build):
    assert [b.count for b in build(w, *bert(w), batch=2, seq=64).blocks] == [1, 12, 1]
    images = type(w)()
    counts = [b.count for b in build(images, resnet50(images), N=1).blocks]
    assert [n for n in counts if n > 1] == [2, 3, 5, 2]


def test_shape_arithmetic_and_what_is_known_before_the_run_cost_nothing(w, ops):
    found = ops(w, *bert(w, layers=1), batch=2, seq=64)
    assert not [name for name in found if name.startswith(("shape", "concat", "range", "constant"))]
    lookups = [op for op in found.values() if op.op_class == "embedding"]
    assert len(lookups) == 1  # positions and segments are the same in every run
