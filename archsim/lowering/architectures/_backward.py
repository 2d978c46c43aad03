"""The backward pass of a block: for each op, last to first, the gradients of what it read.

Linear products: dX = dY W^T and dW = X^T dY. Where several ops read a tensor, what they yield is
added; a residual hands its gradient on as it is. That of attention is in `_backward_attention`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from archsim.ir.op import Access, Dim, Kind, Op, dims
from archsim.ir.tensor import Role, Tensor
from archsim.lowering.architectures._backward_attention import attention_backward
from archsim.lowering.architectures._train_forms import (
    ACTIVATIONS,
    BIAS,
    GATE,
    NORMS,
    SCALES,
    SCATTER,
    SUM,
    Gradient,
)
from archsim.lowering.parts import Parts
from archsim.lowering.primitives import total

BEHIND = ".backward"  # stands behind the names of blocks
CLASS = "_backward"  # and of op classes


def gradient_of(tensor: str) -> str:
    """Name of the gradient of an activation."""
    return f"d.{tensor}"


def with_form(op: Op, form: Gradient) -> Op:
    """A vector op that computes a gradient at each point."""
    return replace(op, primitives=form.point, row_primitives=form.row, reduces=form.reduces)


class Backward:
    """Walks the ops of one forward block backwards.

    Args:
        p: where tensors go; names of forward tensors are those of the whole graph.
        forward: the ops.
    """

    def __init__(self, p: Parts, forward: Sequence[Op]) -> None:
        self.p, self.forward = p, forward
        self.readers = Counter(a.tensor for op in forward for a in op.reads)
        self.found: dict[str, list[str]] = {}  # gradients of each tensor, not added yet
        self.out: list[Op] = []

    def ops(self, results: Sequence[str], given: Sequence[str]) -> list[Op]:
        """Ops from the gradients of what the block yields to those of what it was given."""
        for name in results:
            self.found[name] = [gradient_of(name)]
        left = list(self.forward)
        while left:
            op = left.pop()
            if op.op_class == "attention_value":
                softmax, score = left.pop(), left.pop()
                self.out += attention_backward(self, score, softmax, op)
            else:
                self.out += self._of(op)
        for name in given:
            self.settled(name, gradient_of(name))
        return self.out

    def _of(self, op: Op) -> Iterator[Op]:
        """The gradients of what one op reads."""
        if op.is_mac:
            return self._linear(op)
        if op.kind is Kind.GATHER:
            return self._scatter(op)
        if op.op_class == "norm":
            return self._norm(op)
        if op.op_class == "activation":
            return self._activation(op)
        return self._sum(op) if op.op_class in ("residual", "embedding") else self._turned(op)

    def settled(self, tensor: str, name: str | None = None) -> Access:
        """The whole gradient of a tensor, after all ops that read it have had their turn."""
        parts = self.found.pop(tensor)
        if len(parts) == 1:
            return Access(parts[0])
        shape = self.p.tensors[tensor].shape
        whole = self.p.tensor(name or gradient_of(tensor), shape)
        size = (self.p.elements(tensor) // shape[-1], shape[-1])
        reads = [Access(part) for part in parts]
        op = self.p.vector(f"{whole.tensor}.sum", "residual" + CLASS, reads, [whole], size)
        form = Gradient({k: n * (len(parts) - 1) for k, n in SUM.items()})
        self.out.append(with_form(op, form))
        return whole

    def give(self, tensor: str) -> Access:
        """A new gradient of a tensor, from one of the ops that read it."""
        known = self.found.setdefault(tensor, [])
        name = gradient_of(tensor)
        if self.readers[tensor] > 1:
            name += f".{len(known)}"
        known.append(name)
        return self.p.tensor(name, self.p.tensors[tensor].shape)

    def weight(self, tensor: str, touched: int | None = None) -> Access:
        """The gradient of a weight, at the element type of activations."""
        weight = self.p.tensors[tensor]
        grad = Tensor(
            f"{tensor}.grad", weight.shape, self.p.dtypes.of(Role.ACTIVATION), Role.GRADIENT
        )
        self.p.tensors[grad.name] = grad
        return Access(grad.name, (), touched)

    def _linear(self, op: Op) -> Iterator[Op]:
        """For inputs dX = dY W^T, for weights dW = X^T dY, and the sum of dY for a bias."""
        source, weight, *bias = op.reads
        m, n, k = (op.ranks[r] for r in "MNK")
        dy = self.settled(op.writes[0].tensor)
        base = replace(op, op_class=op.op_class + CLASS)
        reads = (_named(dy, "M", "K"), _renamed(weight, {"N": "K", "K": "N"}))
        dx = _named(self.give(source.tensor), "M", "N")
        ranks = {"B": 1, "M": m, "N": k, "K": n}
        yield replace(base, name=f"{op.name}.dx", ranks=ranks, reads=reads, writes=(dx,))
        grad = _renamed(replace(weight, tensor=self.weight(weight.tensor).tensor), {"K": "M"})
        reads = (_named(Access(source.tensor), "K", "M"), _named(dy, "K", "N"))
        ranks = {"B": 1, "M": k, "N": n, "K": m}
        yield replace(base, name=f"{op.name}.dw", ranks=ranks, reads=reads, writes=(grad,))
        for access in bias:
            size = (m, n)
            name, writes = f"{op.name}.db", [self.weight(access.tensor)]
            yield with_form(self.p.vector(name, base.op_class, [dy], writes, size), BIAS)

    def _norm(self, op: Op) -> Iterator[Op]:
        source, scale, *bias = op.reads
        form = "layer" if bias else "rms"
        size = (op.ranks["M"], op.ranks["N"])
        dy, made = self.settled(op.writes[0].tensor), op.op_class + CLASS
        reads = [dy, Access(source.tensor), Access(scale.tensor)]
        dx = self.p.vector(f"{op.name}.dx", made, reads, [self.give(source.tensor)], size)
        yield with_form(dx, NORMS[form])
        writes = [self.weight(a.tensor) for a in (scale, *bias)]
        dw = self.p.vector(f"{op.name}.dw", made, reads[:2], writes, size)
        yield with_form(dw, Gradient(SCALES[form]))

    def _activation(self, op: Op) -> Iterator[Op]:
        """Of an activation, or of a gate with it: both gradients at once."""
        form = next(name for name, n in _activations() if n == _without_gate(op))
        gated = len(op.reads) > 1
        point = dict(ACTIVATIONS[form].point)
        for name, n in GATE.items() if gated else ():
            point[name] = point.get(name, 0) + n
        reads = [self.settled(op.writes[0].tensor), *(Access(a.tensor) for a in op.reads)]
        writes = [self.give(a.tensor) for a in op.reads]
        size = (op.ranks["M"], op.ranks["N"])
        made = self.p.vector(f"{op.name}.dx", op.op_class + CLASS, reads, writes, size)
        yield with_form(made, Gradient(point))

    def _turned(self, op: Op) -> Iterator[Op]:
        """Of a rotation: the rotation by the opposite angle."""
        reads = [self.settled(op.writes[0].tensor)]
        dx = [self.give(op.reads[0].tensor)]
        size = (op.ranks["M"], op.ranks["N"])
        yield self.p.vector(f"{op.name}.dx", op.op_class + CLASS, reads, dx, size, "rope")

    def _sum(self, op: Op) -> Iterator[Op]:
        """Of a sum: each term has the gradient of all; a table of positions adds up its rows."""
        dy = self.settled(op.writes[0].tensor)
        size = (op.ranks["M"], op.ranks["N"])
        for access in op.reads:
            if self.p.tensors[access.tensor].role is not Role.WEIGHT:
                self.found.setdefault(access.tensor, []).append(dy.tensor)
                continue
            grad = self.weight(access.tensor, access.touched)
            name = f"{op.name}.{access.tensor}.dw"
            yield with_form(self.p.vector(name, op.op_class + CLASS, [dy], [grad], size), BIAS)

    def _scatter(self, op: Op) -> Iterator[Op]:
        """Of a lookup: rows are added to those of the table that they came from."""
        ids, table = op.reads
        grad = self.weight(table.tensor, table.touched)
        size = (op.ranks["M"], op.ranks["N"])
        reads = [ids, self.settled(op.writes[0].tensor), grad]
        made = self.p.vector(
            f"{op.name}.dw", op.op_class + CLASS, reads, [grad], size, kind=Kind.GATHER
        )
        yield with_form(made, SCATTER)


def _activations() -> list[tuple[str, dict[str, int]]]:
    """Activations by what they compute at a point."""
    return [(name, total(name).point) for name in ACTIVATIONS]


def _without_gate(op: Op) -> dict[str, int]:
    """Primitives of the activation of an op, without the product of a gate."""
    point = dict(op.primitives)
    if len(op.reads) > 1:
        point["mul"] -= 1
    return {name: n for name, n in point.items() if n}


def _named(access: Access, *ranks: str) -> Access:
    """A whole tensor with plain dimensions."""
    return Access(access.tensor, dims(*ranks))


def _renamed(access: Access, names: dict[str, str]) -> Access:
    """The same elements under other ranks."""
    found = tuple(
        Dim(tuple((names.get(rank, rank), n) for rank, n in dim.terms), dim.offset)
        for dim in access.dims
    )
    return replace(access, dims=found)
