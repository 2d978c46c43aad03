"""The lines of a stream graph file: nodes by what they do, FIFOs by the ports they join."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from archsim.core.spec import Cycles, PositiveInt, Spec, problem
from archsim.ir.stream import Fifo, StreamNode, StreamPort
from archsim.ir.stream_functions import FUNCTIONS
from archsim.ir.tensor import Role
from archsim.lowering.architectures._graph_lines import Primitive
from archsim.lowering.phase import Count, DTypeName, DTypes, dtype

Does = Literal[
    "read", "write", "scaled_dot", "exp", "subtract", "divide", "sum", "max", "weighted_sum",
    "running_max", "faded_sum", "faded_weighted_sum", "repeat", "copy",
]  # fmt: skip


class Misplaced(NamedTuple):
    """A mistake within a description: where it lies there, its code, message and help."""

    path: tuple[str | int, ...]
    code: str
    message: str
    help: str | None = None
    on_key: bool = False


def refusal(found: Iterable[Misplaced]) -> ValidationError:
    """All mistakes at once, each at its own place, for a spec's validator to raise."""
    errors = [
        InitErrorDetails(type=problem(m.code, m.message, m.help), loc=m.path,
                         input={} if m.on_key else None)
        for m in found
    ]  # fmt: skip
    return ValidationError.from_exception_data("stream", errors)


class Node(Spec):
    """A node: one that does something known, or one described by its work."""

    name: str = Field(examples=["score"], min_length=1, pattern=r"^[^.>\s]+$")
    """Unique name."""

    does: Does | None = None
    """What it computes; ports, work and state follow. Default: what the next keys say."""

    kind: Literal["source", "sink", "map", "reduce", "scan", "repeat", "broadcast"] | None = None
    """How it fires, of a node without `does`; of one with it, it may be left out."""

    elements: Count = 1
    """Length of the vectors that it works on."""

    tensor: str | None = None
    """What a source reads or a sink writes."""

    count: Count = 1
    """Of a source: tokens in one iteration."""

    reread: bool = False
    """Of a source: the same tokens in every iteration, not further ones."""

    over: Count | None = None
    """Firings of a reduce, a scan or a repeat from one reset to the next."""

    hold: dict[str, Count] = {}
    """Inputs whose token serves for several firings, and how many."""

    inputs: tuple[str, ...] = ()
    """Ports of a node without `does`."""

    outputs: tuple[str, ...] = ()
    """Ports of a node without `does`; copies of a broadcast."""

    ii: PositiveInt = 1
    """Least cycles between two firings: more where the machine's unit needs more for the work."""

    latency: Cycles | None = None
    """From the start of a firing until its tokens leave. Default: the depth of the unit."""

    macs: Annotated[int, Field(ge=0)] = 0
    """Multiply-accumulates of a firing, of a node without `does`."""

    primitives: dict[Primitive, Count] = {}
    """Other arithmetic of a firing, of a node without `does`."""

    dtype: DTypeName | None = None
    """Of its tokens. Default: activations from a source, accumulators from any other."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        known = FUNCTIONS.get(self.does) if self.does else None
        kind = known.kind if known else self.kind
        if kind is None:
            raise problem("E102", f"{self.name} has neither `does` nor `kind`")
        if known and self.kind not in (None, kind):
            raise problem("E202", f"{self.name}: {self.does} is a {kind}, not a {self.kind}")
        ports = {p.removesuffix("*") for p in known.inputs} if known else set(self.inputs)
        own = bool(self.macs or self.primitives or self.inputs)
        if known and (own or (self.outputs and kind != "broadcast")):
            raise problem("E202", f"{self.name}: ports and work of `does: {self.does}` are known")
        if (kind in ("source", "sink")) != (self.tensor is not None):
            raise problem("E202", f"{self.name}: a source and a sink have a `tensor`, others none")
        if (kind in ("reduce", "scan", "repeat")) != (self.over is not None):
            text = f"{self.name}: a reduce, a scan and a repeat have `over`, others none"
            raise problem("E202", text)
        if unknown := sorted(set(self.hold) - ports):
            listed = ", ".join(sorted(ports)) or "none"
            raise problem("E201", f"{self.name} holds {unknown[0]}, its inputs are: {listed}")
        return self

    @property
    def fires_as(self) -> str:
        """Kind of the node."""
        return FUNCTIONS[self.does].kind if self.does else str(self.kind)

    def node(self, dtypes: DTypes) -> StreamNode:
        """The node, with the ports and the work that follow from what it does."""
        kind, n = self.fires_as, self.elements
        does = self.does or {"source": "read", "sink": "write"}.get(kind, "")
        known = FUNCTIONS.get(does)
        into = known.inputs if known else tuple(f"{p}*" for p in self.inputs)
        out = known.outputs if known and known.outputs else tuple(f"{p}*" for p in self.outputs)
        over = self.over or 1
        work: dict[str, int] = {str(k): v for k, v in self.primitives.items()}
        for each, counts in ((n, known.each), (1, known.once)) if known else ():
            for name, amount in counts.items():
                work[name] = work.get(name, 0) + each * amount
        form = self.dtype or (None if kind == "source" else dtypes.accumulators or "fp32")
        return StreamNode(
            name=self.name,
            kind=kind,
            inputs=tuple(self._port(p, self._every(p, over if kind == "repeat" else 1))
                         for p in into),
            outputs=tuple(self._port(p, over if kind == "reduce" else 1) for p in out),
            does=does,
            elements=n,
            count=self.count if kind == "source" else 0,
            over=over,
            ii_cycles=self.ii,
            latency_cycles=self.latency,
            macs=known.macs * n if known else self.macs,
            primitives=work,
            state_elements=known.state[0] * n + known.state[1] if known else 0,
            tensor=self.tensor or "",
            bits=dtype(form).bits if form else dtypes.of(Role.ACTIVATION).bits,
        )  # fmt: skip

    def _every(self, port: str, default: int) -> int:
        return self.hold.get(port.removesuffix("*"), default)

    def _port(self, name: str, every: int) -> StreamPort:
        wide = name.endswith("*")
        return StreamPort(name.removesuffix("*"), every, self.elements if wide else 1)


class Queue(Spec):
    """A FIFO from an output of one node to an input of another."""

    from_: str = Field(alias="from", examples=["exp"])
    """Node, or node.port where it has several outputs."""

    to: str = Field(examples=["share.a"])
    """Node, or node.port where it has several inputs."""

    name: str | None = None
    """Unique name. Default: `from>to`."""

    depth: int = 2
    """Slots: one is taken from the start of the firing that fills it to the end of the one that
    reads it."""

    latency: Cycles = 0
    """From when a token leaves its node until it can be read."""

    initial: Annotated[int, Field(ge=0)] = 0
    """Tokens that are there at first, all zero."""

    def fifo(self) -> Fifo:
        """The FIFO."""
        (start, _, out), (end, _, into) = self.from_.partition("."), self.to.partition(".")
        name = self.name or f"{self.from_}>{self.to}"
        return Fifo(name, (start, out), (end, into), self.depth, self.latency, self.initial)
