"""The lines of an op graph file: each says one op, or one attention, by name and size."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.collective import Pattern
from archsim.ir.parallel import Axis
from archsim.lowering.phase import Count, DTypeName

Primitive = Literal["add", "mul", "max", "exp", "div", "rsqrt", "gather"]
Few = Annotated[int, Field(ge=1, le=1000)]
Padding = Annotated[int, Field(ge=0, le=1_000_000)]


class Line(Spec):
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


class GemmLine(Line):
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


class ConvLine(Line):
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


class VectorLine(Line):
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

    result: Literal["points", "rows"] = "points"
    """A result for each point, or one a row, as a maximum is."""

    dtype: DTypeName | None = None
    """Element type of the result, such as that of a quantisation. Default: the activations'."""


class GatherLine(Line):
    """Rows looked up in a table."""

    kind: Literal["gather"]
    """Which op this is."""

    rows: Count
    """Rows taken."""

    cols: Count
    """Elements of a row."""

    table_rows: Count
    """Rows of the table."""


class MoveLine(Line):
    """Data that change place."""

    kind: Literal["move"]
    """Which op this is."""

    rows: Count
    """Rows."""

    cols: Count
    """Elements of a row."""


class AttentionLine(Line):
    """Attention of `batch` sequences: scores, softmax, values, and optionally what comes before.

    The main input is Q; with `append` it is Q, K and V side by side, as a projection writes them.
    """

    kind: Literal["attention"]
    """Which op this is."""

    batch: Count = 1
    """Sequences."""

    queries: Count
    """New tokens of each sequence."""

    context: Count | None = None
    """Tokens attended by each sequence, the newest included. Default: the new ones."""

    heads: Count
    """Query heads."""

    kv_heads: Count | None = None
    """Key heads; each serves as many query heads. Default: one to each query head."""

    head_dim: Count
    """Elements of a query, key or value of one head."""

    causal: bool = True
    """A token attends to itself and those before it."""

    window: Count | None = None
    """A token attends to so many tokens, itself included. Default: all."""

    kv: Literal["cache", "given"] = "cache"
    """Keys and values lie in a KV cache, or come as plain activations from outside the graph; of
    the type `dtypes.kv_cache` both ways."""

    shared_kv: bool = False
    """One tensor serves as keys and as values."""

    append: bool = False
    """An op before it rotates new queries and keys, and writes keys and values to the cache."""

    @property
    def attended(self) -> int:
        """Tokens attended by each sequence."""
        return self.context or self.queries

    @property
    def key_heads(self) -> int:
        """Key heads of each sequence."""
        return self.kv_heads or self.heads

    @model_validator(mode="after")
    def _extents(self) -> Self:
        if self.heads % self.key_heads:
            raise problem(
                "E202", f"{self.heads} query heads cannot share {self.key_heads} key heads evenly"
            )
        if self.attended < self.queries:
            raise problem(
                "E202", f"a context of {self.attended} tokens does not hold {self.queries} new ones"
            )
        if self.append and self.kv == "given":
            raise problem("E202", "append writes to a KV cache, and kv is given", "kv: cache")
        return self


class CollectiveLine(Line):
    """An exchange between devices, each of which runs this whole graph."""

    kind: Literal["collective"]
    """Which op this is."""

    pattern: Pattern
    """What is exchanged."""

    axis: Axis = "tensor"
    """Axis of the parallel plan whose groups exchange."""

    devices: Count
    """Devices of a group: the ways of that axis."""

    elements: Count
    """Elements of the whole buffer: all_reduce, reduce_scatter: what each device gives; all_gather,
    gather: what a device has in the end; all_to_all: what each has for all; others: the message."""

    algorithm: str | None = None
    """How. Default: the network's choice."""

    @property
    def share(self) -> int:
        """Elements of one device's share of the buffer, the largest."""
        return -(-self.elements // self.devices)

    @property
    def reads(self) -> int:
        """Elements that a device gives."""
        return self.share if self.pattern in ("all_gather", "gather") else self.elements

    @property
    def writes(self) -> int:
        """Elements that a device has in the end."""
        return self.share if self.pattern == "reduce_scatter" else self.elements


AnyLine = GemmLine | ConvLine | VectorLine | GatherLine | MoveLine | AttentionLine | CollectiveLine
