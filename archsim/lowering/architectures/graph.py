"""An op graph written out: GEMM, convolution, vector, lookup and move ops by name and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.graph import Block
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import Role
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.convolution import Geometry, Image, Pair, convolve, pair
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, Infer, Several

Primitive = Literal["add", "mul", "max", "exp", "div", "rsqrt", "gather"]
Few = Annotated[int, Field(ge=1, le=1000)]
Padding = Annotated[int, Field(ge=0, le=1_000_000)]


class _Line(Spec):
    """What every op of a graph file has."""

    name: str = Field(examples=["proj"], min_length=1)
    """Unique name."""

    after: tuple[str, ...] | str = ()
    """Earlier ops whose results are read, the main input first; none: it comes from memory."""

    op_class: str | None = None
    """Class that reports and rules use. Default: the kind."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the ops read."""
        return (self.after,) if isinstance(self.after, str) else self.after


class GemmLine(_Line):
    """`b` independent products of m x k and k x n."""

    kind: Literal["gemm"]
    """Which op this is."""

    m: Count
    """Rows of the result."""

    n: Count
    """Columns of the result."""

    k: Count
    """Length of the reduction."""

    b: Count = 1
    """Independent products, each with its own weights."""


class ConvLine(_Line):
    """A convolution."""

    kind: Literal["conv"]
    """Which op this is."""

    channels: Count
    """Input channels."""

    height: Count
    """Input height."""

    width: Count
    """Input width."""

    out_channels: Count
    """Filters."""

    kernel: Count | tuple[Count, Count]
    """Height and width of a filter."""

    stride: Count | tuple[Count, Count] = 1
    """Step of the window."""

    padding: Padding | tuple[Padding, Padding] = 0
    """Zeros around the input."""

    dilation: Count | tuple[Count, Count] = 1
    """Distance between the taps."""

    groups: Count = 1
    """Groups of channels; as many as there are is depthwise."""


class VectorLine(_Line):
    """A vector op over rows x cols points."""

    kind: Literal["vector"]
    """Which op this is."""

    rows: Count
    """Rows."""

    cols: Count
    """Points of a row."""

    primitives: dict[Primitive, Few] = Field(examples=[{"add": 1}], min_length=1)
    """Arithmetic at each point."""

    row_primitives: dict[Primitive, Few] = {}
    """Arithmetic once a row."""

    reduces: bool = False
    """A whole row must be held before its result is known, as in softmax."""


class GatherLine(_Line):
    """Rows looked up in a table."""

    kind: Literal["gather"]
    """Which op this is."""

    rows: Count
    """Rows taken."""

    cols: Count
    """Elements of a row."""

    table_rows: Count
    """Rows of the table."""


class MoveLine(_Line):
    """Data that change place."""

    kind: Literal["move"]
    """Which op this is."""

    rows: Count
    """Rows."""

    cols: Count
    """Elements of a row."""


AnyLine = GemmLine | ConvLine | VectorLine | GatherLine | MoveLine


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
    if at > 0 or isinstance(line, VectorLine | MoveLine):
        return _writes(line)
    if isinstance(line, GemmLine):
        return line.b * line.m * line.k
    if isinstance(line, ConvLine):
        return line.channels * line.height * line.width
    return line.rows


def _writes(line: AnyLine) -> int:
    """Elements of a line's result; 0 for a convolution that does not fit."""
    if isinstance(line, GemmLine):
        return line.b * line.m * line.n
    if isinstance(line, ConvLine):
        high, wide = _geometry(line).out((line.height, line.width))
        return line.out_channels * high * wide
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

    def objections(self, phase: AnyPhase) -> Iterator[Objection]:
        """A graph states its own extents."""
        if isinstance(phase, Infer) and phase.batch != 1:
            yield Objection("batch", "E202", "an op graph has its batch in its own extents")

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """Each result is a tensor named after its op."""
        ops = tuple(_op(parts, line) for line in self.spec.ops)
        return (Block("ops", self.spec.repeat, ops),)


def _op(p: Parts, line: AnyLine) -> Op:
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
    size = (line.rows, line.cols)
    out = p.tensor(f"{name}.out", size)
    if isinstance(line, GatherLine):
        role = Role.ACTIVATION if more else Role.INDEX
        touched = line.rows * line.cols if line.rows < line.table_rows else None
        table = Access(p.weight(f"{name}.table", line.table_rows, line.cols).tensor, (), touched)
        reads = [given(line.rows, role=role), table, *more]
        return p.vector(name, op_class, reads, [out], size, "gather", kind=Kind.GATHER)
    reads = [given(*size), *more]
    if isinstance(line, MoveLine):
        return Op(name, Kind.MOVE, op_class, {"M": size[0], "N": size[1]}, tuple(reads), (out,))
    return replace(
        p.vector(name, op_class, reads, [out], size),
        primitives={str(k): n for k, n in line.primitives.items()},
        row_primitives={str(k): n for k, n in line.row_primitives.items()},
        reduces=line.reduces,
    )
