"""ONNX operators of the vector unit: elementwise arithmetic, softmax, norms and reductions.

Counts follow from the formula beside each operator, in the primitives that engines have rates for.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from archsim.lowering.onnx.nodes import Node
from archsim.lowering.onnx.walk import Handler, Walk, axis_of, has, matrix, number, unpriced, word
from archsim.lowering.primitives import FORMS, Form, total

ADD, MUL, DIV, MAX = (Form({name: 1}) for name in ("add", "mul", "div", "max"))
SIGMOID = FORMS["silu"]  # 1 / (1 + exp(-x)): the counts of x / (1 + exp(-x))
LOG = Form({"exp": 1})  # assumed: a table and interpolation, as exp
SINE = Form({"mul": 5, "add": 4})  # assumed: range reduction and a polynomial of four terms

UNARY = {
    "Abs": MAX,  # max(x, -x)
    "Ceil": ADD,
    "Cos": SINE,
    "Elu": Form({"exp": 1, "add": 1, "mul": 1, "max": 1}),  # max(x, 0) + a (exp(min(x, 0)) - 1)
    # Abramowitz and Stegun 7.1.26: t = 1 / (1 + p x), five terms of t, times exp(-x^2)
    "Erf": Form({"mul": 8, "add": 6, "exp": 1, "div": 1}),
    "Exp": Form({"exp": 1}),
    "Floor": ADD,
    "HardSigmoid": Form({"mul": 1, "add": 1, "max": 2}),
    "HardSwish": Form({"mul": 2, "add": 1, "max": 2}),
    "IsNaN": MAX,  # a comparison
    "LeakyRelu": Form({"mul": 1, "max": 1}),
    "Log": LOG,
    "Neg": MUL,
    "Not": ADD,
    "Reciprocal": DIV,
    "Relu": MAX,
    "Sigmoid": SIGMOID,
    "Silu": FORMS["silu"],
    "Sin": SINE,
    "Softplus": Form({"exp": 2, "add": 1}),  # log(1 + exp(x))
    "Sqrt": Form({"rsqrt": 1, "mul": 1}),  # x / sqrt(x)
    "Swish": FORMS["silu"],
    "Tanh": FORMS["tanh"],
    "com.microsoft.FastGelu": FORMS["gelu_tanh"],
    "com.microsoft.QuickGelu": Form({"mul": 2, "exp": 1, "add": 1, "div": 1}),  # x / (1+exp(-a x))
}
PAIRWISE = {
    "Add": ADD,
    "And": ADD,
    "Div": DIV,
    "Equal": MAX,
    "Greater": MAX,
    "GreaterOrEqual": MAX,
    "Less": MAX,
    "LessOrEqual": MAX,
    "Max": MAX,
    "Mean": ADD,
    "Min": MAX,
    "Mul": MUL,
    "Or": ADD,
    "PRelu": Form({"mul": 1, "max": 1}),
    "Sub": ADD,
    "Sum": ADD,
}
REDUCES = {
    "GlobalAveragePool": ADD,
    "GlobalMaxPool": MAX,
    "ReduceMax": MAX,
    "ReduceMean": ADD,
    "ReduceMin": MAX,
    "ReduceSum": ADD,
}
ACTIVATIONS = ("Relu", "Sigmoid", "Silu", "Swish", "Tanh", "HardSwish", "Clip", "LeakyRelu", "Elu")


def elementwise(w: Walk, node: Node, form: Form) -> None:
    """One result a point; smaller operands are broadcast."""
    out = node.outputs[0]
    gelu = "Gelu" in node.op
    op_class = "activation" if gelu or node.op in ACTIVATIONS else "elementwise"
    w.vector(node.name, op_class, w.operands(node.inputs), out, matrix(w.shape(out)), form)


def unary(w: Walk, node: Node) -> None:
    """A function of one number; of `com.microsoft`, with a bias before it."""
    form = UNARY[node.op]
    elementwise(w, node, _then(ADD, form) if has(node, 1) else form)


def pairwise(w: Walk, node: Node) -> None:
    """Two operands or more; a division by what is known before the run is a product."""
    form = PAIRWISE[node.op]
    if node.op == "Div" and w.is_weight(node.inputs[1]):
        form = MUL
    several = Form({name: n * max(1, len(node.inputs) - 1) for name, n in form.point.items()})
    elementwise(w, node, _then(several, MUL) if node.op == "Mean" else several)


def clip(w: Walk, node: Node) -> None:
    """A maximum and a minimum, where both bounds are given."""
    given = sum(has(node, i) for i in (1, 2)) or sum(x in node.attributes for x in ("min", "max"))
    elementwise(w, node, Form({"max": max(1, given)}))


def power(w: Walk, node: Node) -> None:
    """A known whole exponent is products, a half a root; else exp(y log x)."""
    y = w.value(node.inputs[1])
    if y is not None and y == int(y) and 2 <= y <= 16:
        n = int(y)
        form = Form({"mul": n.bit_length() - 1 + n.bit_count() - 1})  # squares, and products
    elif y in (0.5, -0.5):
        form = UNARY["Sqrt"] if y == 0.5 else Form({"rsqrt": 1})
    else:
        form = _then(LOG, MUL, Form({"exp": 1}))
    elementwise(w, node, form)


def where(w: Walk, node: Node) -> None:
    """A choice at each point, costed as a comparison."""
    elementwise(w, node, MAX)


def gelu(w: Walk, node: Node) -> None:
    """With the error function, or its form with tanh."""
    form = FORMS["gelu_tanh" if word(node, "approximate", "none") == "tanh" else "gelu"]
    elementwise(w, node, _then(ADD, form) if has(node, 1) else form)


def softmax(w: Walk, node: Node) -> None:
    """Over an axis; before version 13 over all that follow one."""
    shape, out = w.shape(node.inputs[0]), node.outputs[0]
    if w.model.opset < 13:
        size = matrix(shape, axis_of(node, shape, 1, end=1))
    else:
        cols = shape[axis_of(node, shape, -1)] if shape else 1
        size = (prod(shape) // cols, cols)
    w.vector(node.name, "softmax", [w.at(node.inputs[0])], out, size, FORMS["softmax"])


@dataclass(frozen=True)
class Norm:
    """A norm over the last axes: its form, and where a sum before it is written."""

    form: str
    adds: bool = False

    def __call__(self, w: Walk, node: Node) -> None:
        """Append the norm; one that adds its inputs first also hands on their sum."""
        source, out = node.inputs[0], node.outputs[0]
        shape = w.shape(source)
        size = matrix(shape, axis_of(node, shape, -1))
        read, reads = w.at(source), w.operands(node.inputs[1:])
        if self.adds:
            after = 3 if self.form == "layer" else 2  # scale (and bias) come between
            name = f"{node.name}.add"
            total_name = node.outputs[3] if len(node.outputs) > 3 and node.outputs[3] else ""
            summed = w.at(total_name) if total_name else w.p.tensor(f"{name}.out", size)
            bias = w.operands(node.inputs[after + 1 :])
            adds = total(*["add"] * (1 + len(bias)))
            skip, reads = reads[0], w.operands(node.inputs[2 : after + 1])
            op = w.p.vector(name, "residual", [read, skip, *bias], [summed], size, "add")
            op.primitives.update(adds.point)
            w.ops.append(op)
            read = summed
        w.vector(node.name, "norm", [read, *reads], out, size, FORMS[self.form])


def batch_norm(w: Walk, node: Node) -> None:
    """A scale and a shift of each channel, known before the run."""
    if number(node, "training_mode", 0):
        raise unpriced(node, "in training")
    shape, out = w.shape(node.inputs[0]), node.outputs[0]
    reads = w.operands(node.inputs[:3])
    w.vector(node.name, "norm", reads, out, matrix(shape), _then(MUL, ADD))


def reduce_axes(w: Walk, node: Node) -> None:
    """A sum, mean or maximum over axes; a mean is scaled once a row."""
    source, out = node.inputs[0], node.outputs[0]
    rows = w.size(out)
    cols = w.size(source) // rows
    if cols == 1:
        w.alias(out, source)
        return
    row = {"mul": 1} if node.op in ("ReduceMean", "GlobalAveragePool") else {}
    op_class = "pool" if "Pool" in node.op else "reduction"
    form = Form(REDUCES[node.op].point, row)
    w.vector(node.name, op_class, [w.at(source)], out, (rows, cols), form)


def _then(*forms: Form) -> Form:
    """Several forms at the same points."""
    point: dict[str, int] = {}
    for form in forms:
        for name, n in form.point.items():
            point[name] = point.get(name, 0) + n
    return Form(point)


POINTS: dict[str, Handler] = {
    **dict.fromkeys(UNARY, unary),
    **dict.fromkeys(PAIRWISE, pairwise),
    **dict.fromkeys(REDUCES, reduce_axes),
    "BatchNormalization": batch_norm,
    "Clip": clip,
    "Gelu": gelu,
    "LayerNormalization": Norm("layer"),
    "Pow": power,
    "RMSNormalization": Norm("rms"),
    "SimplifiedLayerNormalization": Norm("rms"),
    "Softmax": softmax,
    "Where": where,
    "com.microsoft.BiasGelu": gelu,
    "com.microsoft.Gelu": gelu,
    "com.microsoft.SimplifiedLayerNormalization": Norm("rms"),
    "com.microsoft.SkipLayerNormalization": Norm("layer", adds=True),
    "com.microsoft.SkipSimplifiedLayerNormalization": Norm("rms", adds=True),
}
