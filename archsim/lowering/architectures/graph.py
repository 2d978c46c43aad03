"""An op graph written out: one op a line, by name and size; attention is a line of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.collective import Collective
from archsim.ir.graph import Block
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.lowering.architectures._graph_attention import attention
from archsim.lowering.architectures._graph_lines import (
    AnyLine,
    AttentionLine,
    CollectiveLine,
    ConvLine,
    GatherLine,
    GemmLine,
    MoveLine,
    VectorLine,
)
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.convolution import Geometry, Image, Pair, convolve, pair
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, Infer, Several

PlainLine = GemmLine | ConvLine | VectorLine | GatherLine | MoveLine | CollectiveLine


class Ops(Spec):
    """Ops in an order in which they may run."""

    repeat: Count = 1
    """Times that the whole list runs, each with weights of its own."""

    ops: Several[Annotated[AnyLine, Field(discriminator="kind")]]
    """Ops in order; one may only read earlier ones."""


class Graph(Ops):
    """An op graph written out."""

    architecture: Literal["graph"] = "graph"
    """Which builder reads these numbers."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for _, _, code, message, help_text in mistakes(self.ops):
            raise problem(code, message, help_text)
        return self


class Mistake(NamedTuple):
    """What is wrong between ops: a line's index and key, and the message."""

    line: int
    key: str
    code: str
    message: str
    help: str | None = None


def mistakes(ops: Sequence[AnyLine]) -> Iterator[Mistake]:
    """Names given twice, sources that do not come before, results of another size than is read."""
    made: dict[str, int] = {}
    for i, line in enumerate(ops):
        if line.name in made:
            yield Mistake(i, "name", "E002", f'op "{line.name}" is given twice')
        for at, name in enumerate(line.sources):
            wants = _reads(line, at)
            if name not in made:
                message = f'{line.name} comes after op "{name}", which does not come before it'
                help_text = f"earlier ops: {', '.join(made) or 'none'}"
                yield Mistake(i, "after", "E201", message, help_text)
            elif made[name] != wants:
                message = f"{line.name} reads {wants} elements of {name}, which writes {made[name]}"
                yield Mistake(i, "after", "E202", message)
        if isinstance(line, ConvLine):
            misfit = _geometry(line).misfit(line.channels, (line.height, line.width))
            if misfit:
                yield Mistake(i, "kernel", "E107", f"{line.name}: {misfit}")
        made[line.name] = _writes(line)


def _reads(line: AnyLine, at: int) -> int:
    """Elements that a line reads of one of its sources; further ones are like the result."""
    if isinstance(line, VectorLine):
        return line.rows * line.cols
    if at > 0 or isinstance(line, MoveLine):
        return _writes(line)
    if isinstance(line, GemmLine):
        return line.b * line.m * line.k
    if isinstance(line, AttentionLine):
        wide = line.heads + 2 * line.key_heads if line.append else line.heads
        return line.batch * line.queries * wide * line.head_dim
    if isinstance(line, ConvLine):
        return line.channels * line.height * line.width
    return line.reads if isinstance(line, CollectiveLine) else line.rows


def _writes(line: AnyLine) -> int:
    """Elements of a line's result; 0 for a convolution that does not fit."""
    if isinstance(line, GemmLine):
        return line.b * line.m * line.n
    if isinstance(line, ConvLine):
        high, wide = _geometry(line).out((line.height, line.width))
        return line.out_channels * high * wide
    if isinstance(line, AttentionLine):
        return line.batch * line.queries * line.heads * line.head_dim
    if isinstance(line, VectorLine) and line.result == "rows":
        return line.rows
    if isinstance(line, CollectiveLine):
        return line.writes
    return line.rows * line.cols


def _geometry(line: ConvLine) -> Geometry:
    stride, pad, dilation = (pair(x) for x in (line.stride, line.padding, line.dilation))
    kernel: Pair = pair(line.kernel)
    return Geometry(line.out_channels, kernel, stride, pad, dilation, line.groups)


class GraphBuilder(Architecture):
    """One op a line, in one block that may repeat."""

    kind = "graph"
    Spec = Graph

    spec: Graph

    @property
    def keeps_cache(self) -> bool:
        """True where some attention reads keys and values."""
        return any(isinstance(line, AttentionLine) for line in self.spec.ops)

    def objections(self, phase: AnyPhase | None) -> Iterator[Objection]:
        """A graph states its own extents."""
        if isinstance(phase, Infer) and phase.batch != 1:
            yield Objection("batch", "E202", "an op graph has its batch in its own extents")

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """Each result is a tensor named after its op."""
        ops: list[Op] = []
        for line in self.spec.ops:
            if isinstance(line, AttentionLine):
                ops += attention(parts, line)
            else:
                ops.append(_op(parts, line))
        return (Block("ops", self.spec.repeat, tuple(ops)),)


def _op(p: Parts, line: PlainLine) -> Op:
    name, op_class = line.name, line.op_class or line.kind
    more = [Access(f"{source}.out") for source in line.sources]

    def given(*shape: int, role: Role = Role.ACTIVATION) -> Access:
        return more.pop(0) if more else p.tensor(f"{name}.in", shape, role)

    if isinstance(line, ConvLine):
        shape = (line.channels, line.height, line.width)
        op, _ = convolve(p, name, Image(given(1, *shape), *shape), _geometry(line), 1)
        return replace(op, op_class=op_class, reads=(*op.reads, *more))
    if isinstance(line, GemmLine):
        b, m, n, k = line.b, line.m, line.n, line.k
        operands = (given(b, m, k), p.weight(f"{name}.weight", b, k, n))
        out = p.tensor(f"{name}.out", (b, m, n))
        op = p.batched(name, op_class, (*operands, out), (b, m, n, k))
        return replace(op, reads=(*op.reads, *more))
    if isinstance(line, CollectiveLine):
        return _collective(p, line, [given(1, line.reads), *more])
    size = (line.rows, line.cols)
    if isinstance(line, VectorLine):
        return _vector(p, line, [given(*size), *more])
    out = p.tensor(f"{name}.out", size)
    if isinstance(line, GatherLine):
        role = Role.ACTIVATION if more else Role.INDEX
        touched = line.rows * line.cols if line.rows < line.table_rows else None
        table = Access(p.weight(f"{name}.table", line.table_rows, line.cols).tensor, (), touched)
        reads = [given(line.rows, role=role), table, *more]
        return p.vector(name, op_class, reads, [out], size, "gather", kind=Kind.GATHER)
    ranks = {"M": size[0], "N": size[1]}
    return Op(name, Kind.MOVE, op_class, ranks, (given(*size), *more), (out,))


def _collective(p: Parts, line: CollectiveLine, reads: list[Access]) -> Op:
    out = p.tensor(f"{line.name}.out", (1, line.writes))
    size_bytes = p.dtypes.of(Role.ACTIVATION).bytes(line.elements)
    found = Collective(
        line.pattern, line.axis, line.devices, size_bytes, algorithm=line.algorithm,
        peer={"send": 1, "receive": -1}.get(line.pattern, 0),
    )  # fmt: skip
    op_class, ranks = line.op_class or f"comm_{line.axis}", {"M": 1, "N": line.elements}
    return Op(
        line.name, Kind.COLLECTIVE, op_class, ranks, tuple(reads), (out,), collective=found
    )  # fmt: skip


def _vector(p: Parts, line: VectorLine, reads: list[Access]) -> Op:
    name, size = f"{line.name}.out", (line.rows, line.cols)
    dtype = DTYPES[line.dtype] if line.dtype else p.dtypes.of(Role.ACTIVATION)
    shape = size if line.result == "points" else (line.rows, 1)
    p.tensors[name] = Tensor(name, shape, dtype, Role.ACTIVATION)
    return replace(
        p.vector(line.name, line.op_class or line.kind, reads, [Access(name)], size),
        primitives={str(k): n for k, n in line.primitives.items()},
        row_primitives={str(k): n for k, n in line.row_primitives.items()},
        reduces=line.reduces,
    )
