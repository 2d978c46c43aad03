"""Does each ONNX operator cost what its formula says, and nothing where data stay in place?"""

import pytest

from archsim.ir.op import Kind
from archsim.ir.tensor import Role


def product(w, ops, a, b, right="activation"):
    """Ranks of the product of an input and another, or a weight."""
    other = w.weight("w", *b) if right == "weight" else w.input("b", b)
    return ops(w, w.add("MatMul", [w.input("a", a), other], name="mm"))["mm"]


@pytest.mark.parametrize(
    ("a", "b", "ranks"),
    [
        ((4, 8), (8, 6), (1, 4, 6, 8)),
        ((2, 3, 4, 8), (8, 6), (1, 24, 6, 8)),
        ((2, 3, 4, 8), (2, 3, 8, 6), (6, 4, 6, 8)),
        ((2, 3, 4, 8), (1, 1, 8, 6), (1, 24, 6, 8)),
        ((4, 8), (5, 8, 6), (5, 4, 6, 8)),
        ((2, 1, 4, 8), (1, 3, 8, 6), (6, 4, 6, 8)),
        ((8,), (8, 6), (1, 1, 6, 8)),
        ((4, 8), (8,), (1, 4, 1, 8)),
    ],
)
def test_leading_extents_are_rows_of_one_matrix_or_problems_of_many(w, ops, a, b, ranks):
    assert tuple(product(w, ops, a, b).ranks.values()) == ranks


def test_an_operand_shared_by_all_problems_has_no_batch_rank(w, ops):
    op = product(w, ops, (4, 8), (5, 8, 6))
    assert op.reads[0].ranks == {"M", "K"}
    assert op.reads[1].ranks == {"B", "K", "N"}


@pytest.mark.parametrize("turned", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_gemm_takes_either_matrix_transposed(w, ops, turned):
    a = w.input("a", (8, 4) if turned[0] else (4, 8))
    given = [a, w.weight("w", *((6, 8) if turned[1] else (8, 6))), w.weight("c", 6)]
    op = ops(w, w.add("Gemm", given, name="g", transA=turned[0], transB=turned[1]))["g"]
    assert op.ranks == {"B": 1, "M": 4, "N": 6, "K": 8}
    assert len(op.reads) == 3


def test_a_scale_on_a_product_of_activations_is_vector_work(w, ops):
    given = [w.input("a", (4, 8)), w.input("b", (8, 6))]
    found = ops(w, w.add("Gemm", given, name="g", alpha=0.5))
    assert found["g.alpha"].primitive_counts() == {"mul": 24}


def test_a_bias_behind_a_weights_product_is_where_it_starts(w, ops):
    mm = w.add("MatMul", [w.input("a", (2, 4, 8)), w.weight("w", 8, 6)], name="mm")
    found = ops(w, w.add("Add", [mm, w.weight("b", 6)]))
    assert [*found] == ["mm"]
    assert [a.tensor for a in found["mm"].reads] == ["a", "w", "b"]


def test_an_addition_that_is_no_bias_or_not_alone_stays(w, ops):
    mm = w.add("MatMul", [w.input("a", (4, 8)), w.weight("w", 8, 4)], name="mm")
    one = w.add("Add", [mm, w.weight("b", 4)], name="one")
    assert [*ops(w, one, w.add("Relu", [mm]))] == ["mm", "one", "relu2"]


def conv(w, ops, shape, filters, **attributes):
    given = [w.input("x", shape), w.weight("w", *filters)]
    return ops(w, w.add("Conv", given, name="c", **attributes))["c"]


def test_groups_dilation_and_uneven_pads_of_a_convolution(w, ops):
    op = conv(w, ops, (2, 8, 11, 9), (16, 2, 3, 2), group=4, dilations=[2, 1],
              strides=[2, 1], pads=[1, 0, 2, 1])  # fmt: skip
    assert op.ranks == {"B": 2, "G": 4, "OH": 5, "OW": 9, "OC": 4, "IC": 2, "FH": 3, "FW": 2}
    assert op.macs() == 2 * 16 * 5 * 9 * 2 * 3 * 2
    assert op.window.pad == (1, 0)


@pytest.mark.parametrize(
    ("auto", "pad", "out"), [("SAME_UPPER", 1, 5), ("SAME_LOWER", 2, 5), ("VALID", 0, 4)]
)
def test_automatic_padding_puts_the_odd_row_before_or_behind(w, ops, auto, pad, out):
    op = conv(w, ops, (1, 3, 10, 10), (4, 3, 4, 4), auto_pad=auto, strides=[2, 2])
    assert op.window.pad == ((1 if auto != "VALID" else 0),) * 2
    assert op.ranks["OH"] == out
    odd = conv(type(w)(), ops, (1, 3, 10, 10), (4, 3, 5, 5), auto_pad=auto, strides=[2, 2])
    assert odd.window.pad == (pad, pad)


def test_a_series_is_an_image_of_height_one(w, ops):
    op = conv(w, ops, (1, 80, 100), (64, 80, 3), pads=[1, 1])
    assert op.ranks == {
        "B": 1, "G": 1, "OH": 1, "OW": 100, "OC": 64, "IC": 80, "FH": 1, "FW": 3,
    }  # fmt: skip


def test_a_pool_takes_its_windows_and_one_that_sticks_out_counts(w, ops):
    x = w.input("x", (1, 4, 8, 8))
    pools = [
        w.add("MaxPool", [x], name=f"p{up}", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=up)
        for up in (0, 1)
    ]
    mean = w.add("AveragePool", [x], name="mean", kernel_shape=[2, 2], strides=[2, 2])
    found = ops(w, *pools, mean)
    assert found["p0"].primitive_counts() == {"max": 4 * 3 * 3 * 9}
    assert found["p1"].primitive_counts() == {"max": 4 * 4 * 4 * 9}
    assert found["mean"].primitive_counts() == {"add": 4 * 16 * 4, "mul": 4 * 16}
    assert found["p0"].reads[0].touched == 4 * 7 * 7


POINTS = [
    ("Relu", {}, {"max": 1}),
    ("Sqrt", {}, {"rsqrt": 1, "mul": 1}),
    ("Neg", {}, {"mul": 1}),
    ("Erf", {}, {"mul": 8, "add": 6, "exp": 1, "div": 1}),
    ("Gelu", {"opset": 20}, {"mul": 11, "add": 7, "exp": 1, "div": 1}),
    ("Gelu", {"opset": 20, "approximate": "tanh"}, {"mul": 4, "add": 2, "exp": 1, "div": 1}),
    ("com.microsoft.QuickGelu", {}, {"mul": 2, "exp": 1, "add": 1, "div": 1}),
]


@pytest.mark.parametrize(("op", "attributes", "counts"), POINTS)
def test_a_function_costs_its_formula_at_each_point(w, ops, op, attributes, counts):
    attributes = dict(attributes)
    w.opset = attributes.pop("opset", 17)
    domain, _, word = op.rpartition(".")
    made = w.add(word, [w.input("x", (3, 5))], name="f", domain=domain, **attributes)
    found = ops(w, made)["f"]
    assert found.ranks == {"M": 3, "N": 5}
    assert found.primitives == counts


@pytest.mark.parametrize(
    ("exponent", "counts"),
    [
        (2.0, {"mul": 1}),
        (3.0, {"mul": 2}),
        (8.0, {"mul": 3}),
        (0.5, {"rsqrt": 1, "mul": 1}),
        (-0.5, {"rsqrt": 1}),
        (1.7, {"exp": 2, "mul": 1}),
    ],
)
def test_a_power_is_products_a_root_or_a_logarithm(w, ops, kinds, exponent, counts):
    y = w.constant("y", [exponent], [], kinds.float)
    assert ops(w, w.add("Pow", [w.input("x", (4,)), y], name="f"))["f"].primitives == counts


def test_two_operands_are_broadcast_and_a_constant_number_is_not_read(w, ops, kinds):
    a, b = w.input("a", (4, 1, 6)), w.input("b", (5, 1))
    both = w.add("Add", [a, b], name="both")
    half = w.add("Div", [both, w.constant("two", [2.0], [], kinds.float)], name="half")
    square = w.add("Mul", [half, half], name="square")
    found = ops(w, square)
    assert found["both"].primitive_counts() == {"add": 4 * 5 * 6}
    assert found["half"].primitives == {"mul": 1}  # by the reciprocal, known before
    assert [a.tensor for a in found["half"].reads] == ["both.o"]
    assert [a.tensor for a in found["square"].reads] == ["half.o"]


def test_a_mask_may_be_filled_with_infinity(w, ops, kinds):
    given = [w.add("IsNaN", [w.input("m", (4, 6))]), w.input("x", (4, 6))]
    low = w.constant("low", [float("-inf")], [], kinds.float)
    op = ops(w, w.add("Where", [given[0], low, given[1]], name="f"))["f"]
    assert [a.tensor for a in op.reads] == ["isnan0.o", "x"]


@pytest.mark.parametrize(
    ("opset", "axis", "size"), [(17, -1, (12, 5)), (17, 1, (20, 3)), (11, 1, (4, 15))]
)
def test_a_softmax_holds_one_axis_or_before_version_13_all_that_follow(w, ops, opset, axis, size):
    w.opset = opset
    op = ops(w, w.add("Softmax", [w.input("x", (4, 3, 5))], name="s", axis=axis))["s"]
    assert tuple(op.ranks.values()) == size
    assert op.reduces


def test_norms_hold_a_row_and_a_skip_adds_before(w, ops):
    x, y = w.input("x", (2, 3, 8)), w.input("y", (2, 3, 8))
    g, b = w.weight("g", 8), w.weight("b", 8)
    plain = w.add("LayerNormalization", [x, g, b], name="layer")
    skip = w.add("SkipLayerNormalization", [plain, y, g, b, w.weight("bias", 8)], 4,
                 name="skip", domain="com.microsoft")  # fmt: skip
    rms = w.add("SimplifiedLayerNormalization", [skip[0], g], name="rms")
    found = ops(w, rms, w.add("Relu", [skip[3]], name="sum"))
    assert [*found] == ["layer", "skip.add", "skip", "rms", "sum"]
    assert found["layer"].ranks == {"M": 6, "N": 8}
    assert found["layer"].reduces
    assert found["skip.add"].primitives == {"add": 2}
    assert found["sum"].reads[0].tensor == found["skip.add"].writes[0].tensor
    assert found["rms"].primitives == {"mul": 3, "add": 1}


def test_a_mean_over_axes_is_sums_and_one_product_a_row(w, ops):
    op = ops(w, w.add("ReduceMean", [w.input("x", (2, 3, 8))], name="m", axes=[1, 2]))["m"]
    assert op.primitive_counts() == {"add": 48, "mul": 2}


def test_reshapes_and_casts_are_free_and_readers_see_the_data_behind_them(w, ops, kinds):
    x = w.input("x", (4, 1, 6))
    x = w.add("Reshape", [x, w.constant("s", [2, -1])])
    x = w.add("Flatten", [w.add("Unsqueeze", [x, w.constant("ax", [0])])])
    x = w.add("Transpose", [w.add("Identity", [w.add("Cast", [x], to=kinds.float)])], perm=[1, 0])
    found = ops(w, w.add("Relu", [x], name="r"))
    assert [*found] == ["r"]
    assert found["r"].reads[0].tensor == "x"


def test_data_that_change_place_are_read_and_written_once(w, build):
    x = w.input("x", (4, 6))
    turned = w.add("Transpose", [x], name="t", perm=[1, 0])
    part = w.add("Slice", [x, w.constant("from", [1]), w.constant("to", [3]),
                           w.constant("axis", [1])], name="s")  # fmt: skip
    grown = w.add("Expand", [part, w.constant("size", [3, 4, 2])], name="e")
    left, right = w.add("Split", [turned], 2, name="cut", axis=0)
    whole = w.add("Concat", [left, right], name="join", axis=1)
    graph = build(w, grown, whole)
    found = {op.name: op for _, op in graph.ops()}
    assert {op.kind for op in found.values()} == {Kind.MOVE}
    size = {
        name: [sum(graph.touched_bytes(a) for a in side) // 2 for side in (op.reads, op.writes)]
        for name, op in found.items()
    }
    assert size == {"t": [24, 24], "s": [8, 8], "e": [8, 24], "cut": [24, 24], "join": [24, 24]}


def test_a_lookup_reads_its_rows_and_a_known_index_is_a_copy(w, ops, kinds):
    ids = w.input("ids", (2, 5), kinds.int)
    rows = w.add("Gather", [w.weight("table", 100, 8), ids], name="look")
    first = w.add("Gather", [rows, w.constant("zero", [0], [])], name="first", axis=1)
    found = ops(w, first)
    assert found["look"].kind is Kind.GATHER
    assert found["look"].ranks == {"M": 10, "N": 8}
    assert found["look"].reads[1].touched == 80
    assert found["first"].kind is Kind.MOVE
    assert found["first"].reads[0].touched == 16


def test_values_are_told_behind_what_exporters_put_after_a_softmax(w, ops, kinds):
    q, k, v = (w.input(n, s) for n, s in (("q", (2, 5, 4)), ("k", (2, 4, 9)), ("v", (2, 9, 4))))
    shares = w.add("Softmax", [w.add("MatMul", [q, k], name="score")], name="s")
    zero = w.constant("zero", [0.0], [], kinds.float)
    sure = w.add("Where", [w.add("IsNaN", [shares]), zero, shares])
    found = ops(w, w.add("MatMul", [sure, v], name="value"))
    assert found["score"].op_class == "attention_score"
    assert found["value"].op_class == "attention_value"
    assert found["value"].queries == 5


def test_microsofts_attention_is_a_projection_scores_softmax_and_values(w, build):
    given = [w.input("x", (2, 7, 16)), w.weight("w", 16, 48), w.weight("b", 48)]
    out = w.add("Attention", given, name="a", domain="com.microsoft", num_heads=4,
                unidirectional=1)  # fmt: skip
    graph = build(w, w.add("Relu", [out]))
    found = {op.name: op for _, op in graph.ops()}
    assert [*found] == ["a.qkv", "a.score", "a.softmax", "a.value", "relu1"]
    assert graph.macs() == 14 * 16 * 48 + 2 * 2 * 4 * 7 * 7 * 4
    assert all(found[f"a.{x}"].causal for x in ("score", "softmax", "value"))
    assert {found[f"a.{x}"].queries for x in ("score", "value")} == {7}
    assert graph.tensors["a.o"].elements == 2 * 7 * 16


def test_values_may_have_another_width_than_queries(w, ops):
    given = [w.input("x", (2, 7, 16)), w.weight("w", 16, 16 + 16 + 8)]
    out = w.add("Attention", given, name="a", domain="com.microsoft", num_heads=4,
                qkv_hidden_sizes=[16, 16, 8])  # fmt: skip
    found = ops(w, w.add("Relu", [out], name="r"))
    assert found["a.value"].ranks == {"B": 8, "M": 7, "N": 2, "K": 7}
    assert found["r"].ranks == {"M": 14, "N": 8}


def test_multi_head_attention_adds_its_bias_before(w, ops):
    q, k, v = (w.input(n, (2, length, 16)) for n, length in (("q", 5), ("k", 9), ("v", 9)))
    given = [q, k, v, w.weight("b", 48)]
    out = w.add("MultiHeadAttention", given, name="a", domain="com.microsoft", num_heads=4)
    found = ops(w, out)
    assert [*found] == ["a.q_bias", "a.k_bias", "a.v_bias", "a.score", "a.softmax", "a.value"]
    assert found["a.score"].ranks == {"B": 8, "M": 5, "N": 9, "K": 4}


@pytest.mark.parametrize("flat", [False, True])
def test_query_heads_that_share_keys_are_rows_of_one_product(w, ops, flat):
    w.opset = 23
    shapes = [(2, 8, 5, 4), (2, 2, 9, 4), (2, 2, 9, 4)]
    if flat:
        shapes = [(b, t, h * d) for b, h, t, d in shapes]
    heads = {"q_num_heads": 8, "kv_num_heads": 2} if flat else {}
    given = [w.input(n, s) for n, s in zip("qkv", shapes, strict=True)]
    found = ops(w, w.add("Attention", given, name="a", is_causal=1, **heads))
    assert found["a.score"].ranks == {"B": 4, "M": 20, "N": 9, "K": 4}
    assert found["a.score"].queries == 5
    assert found["a.softmax"].primitives["add"] == 3  # two of its own, one of the mask


def test_fused_embeddings_look_up_add_and_norm(w, build, kinds):
    ids, segments = (w.input(n, (2, 5), kinds.int) for n in ("ids", "segments"))
    given = [ids, segments, w.weight("words", 50, 8), w.weight("places", 20, 8),
             w.weight("types", 2, 8), w.weight("g", 8), w.weight("b", 8)]  # fmt: skip
    out = w.add("EmbedLayerNormalization", given, 2, name="e", domain="com.microsoft")[0]
    graph = build(w, w.add("Relu", [out], name="r"))
    found = {op.name: op for _, op in graph.ops()}
    assert [*found] == ["e.words", "e.add", "e.norm", "r"]
    assert found["e.add"].primitives == {"add": 2}
    assert graph.stored_bytes(Role.WEIGHT) == 2 * (72 * 8 + 16)
