"""The walk over an ONNX model's nodes: which tensor a name stands for, and the ops made so far.

A reshape makes a name an alias of the data that it views; only where data move is there an op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from archsim.core.errors import InputError, Unsupported
from archsim.ir.op import Access, Dim, Op
from archsim.ir.tensor import Role
from archsim.lowering.onnx.nodes import Node, Onnx
from archsim.lowering.parts import Parts
from archsim.lowering.primitives import Form

Handler = Callable[["Walk", Node], None]


@dataclass
class Walk:
    """Ops of the nodes before, and what the handlers of further nodes need to know."""

    p: Parts
    model: Onnx
    ops: list[Op] = field(default_factory=list)
    done: set[str] = field(default_factory=set)  # nodes that an earlier one has taken in
    _root: dict[str, str] = field(default_factory=dict)
    _readers: dict[str, list[Node]] = field(default_factory=dict)
    _makers: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.model.nodes:
            self._makers |= dict.fromkeys(node.outputs, node)
            for name in dict.fromkeys(node.inputs):
                self._readers.setdefault(name, []).append(node)

    def shape(self, name: str) -> tuple[int, ...]:
        """Extents of a tensor."""
        return self.model.tensors[name].shape

    def size(self, name: str) -> int:
        """Elements of a tensor."""
        return prod(self.shape(name))

    def is_weight(self, name: str) -> bool:
        """True for what is known before the run."""
        return self.model.tensors[name].role == "weight"

    def value(self, name: str) -> float | None:
        """The number that a constant of one element holds."""
        return self.model.tensors[name].value if name else None

    def at(self, name: str, dims: tuple[Dim, ...] = (), touched: int | None = None) -> Access:
        """An access to the data that a name stands for; `touched` where it is less than all."""
        root = self._root.get(name, name)
        data = self.model.tensors[root]
        self.p.tensor(root, data.shape, Role(data.role))
        return Access(root, dims, touched if touched and touched < data.elements else None)

    def alias(self, name: str, of: str) -> None:
        """A name becomes another view of data that stay where they are."""
        self._root[name] = self._root.get(of, of)

    def follower(self, name: str, *ops: str) -> Node | None:
        """The node that alone reads a tensor, where it is one of some operators."""
        readers = self._readers.get(name, [])
        if len(readers) != 1 or name in self.model.results or readers[0].op not in ops:
            return None
        return readers[0]

    def maker(self, name: str) -> Node | None:
        """The node that writes a tensor."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[Node]:
        """Nodes that read a tensor."""
        return self._readers.get(name, [])

    def vector(
        self,
        name: str,
        op_class: str,
        reads: Sequence[Access],
        out: str,
        size: tuple[int, int],
        form: Form,
    ) -> None:
        """Append a vector op that writes one tensor; each input is read once."""
        once = list(dict.fromkeys(reads))
        op = self.p.vector(name, op_class, once, [self.at(out)], size)
        self.ops.append(
            replace(
                op,
                primitives=dict(form.point),
                row_primitives=dict(form.row),
                reduces=form.reduces,
            )
        )

    def operands(self, names: Sequence[str]) -> list[Access]:
        """Accesses to inputs; a constant of one element is part of the instruction."""
        return [self.at(name) for name in names if name and self.value(name) is None]


def unpriced(node: Node, reason: str) -> Unsupported:
    """The refusal of a node whose operator is known but whose form has no cost model."""
    return Unsupported(f'node "{node.name}" uses {node.op} {reason}: no cost model', code="E302")


def number(node: Node, name: str, default: int) -> int:
    """An integer attribute."""
    value = node.attributes.get(name, default)
    return value if isinstance(value, int) else default


def numbers(node: Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """An attribute that lists integers."""
    value = node.attributes.get(name)
    return tuple(int(x) for x in value) if isinstance(value, tuple) else default


def axis_of(node: Node, shape: Sequence[int], default: int, end: int = 0) -> int:
    """The axis that a node works along, counted from the front; `end` more than the last counts.

    Raises:
        InputError: E202 when the tensor has no such axis.
    """
    axis, rank = number(node, "axis", default), len(shape)
    if not -rank <= axis < max(rank, 1) + end:
        message = f'node "{node.name}" works along axis {axis} of a tensor with {rank}'
        raise InputError(message, code="E202")
    return axis % rank if axis < rank and rank else axis


def word(node: Node, name: str, default: str) -> str:
    """An attribute that is text."""
    value = node.attributes.get(name, default)
    return value if isinstance(value, str) else default


def has(node: Node, i: int) -> bool:
    """True when a node is given its i-th input."""
    return len(node.inputs) > i and node.inputs[i] != ""


def matrix(shape: Sequence[int], axis: int = -1) -> tuple[int, int]:
    """Extents before an axis and from it on, multiplied: rows and points of a row."""
    return prod(shape[:axis]), prod(shape[axis:])
