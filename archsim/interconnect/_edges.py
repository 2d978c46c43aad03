"""Links that a description lists one by one: express links of a grid, and whole custom networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.config import JsonDict
from pydantic_core import InitErrorDetails

from archsim.core.spec import BytesPerSecond, Seconds, Spec, problem
from archsim.core.units import PS_PER_S
from archsim.interconnect.base import Topology
from archsim.interconnect.fabric import Floats, Ints

Node = Annotated[int, Field(ge=0)]
Place = tuple[str | int, ...]
AN_EDGE: JsonDict = {"from": 0, "to": 5}  # as an error shows it


class Edge(Spec):
    """Two nodes and the link between them."""

    model_config = ConfigDict(json_schema_extra={"examples": [AN_EDGE]})

    from_: Node = Field(alias="from")
    """One end: the number of a node."""

    to: Node
    """The other end."""

    bandwidth: BytesPerSecond | None = None
    """In each direction. Default: that of the network."""

    latency: Seconds | None = None
    """Router included. Default: that of the network."""

    one_way: bool = False
    """Whether there is no link back."""

    @model_validator(mode="after")
    def _joins_two(self) -> Self:
        if self.from_ == self.to:
            raise problem("E202", f"a link joins node {self.to} to itself")
        return self


def misplaced(at: Place, code: str, message: str, help_: str | None = None) -> ValidationError:
    """A mistake in a part of a description, for its validator to raise: shown at that part."""
    wrong = InitErrorDetails(type=problem(code, message, help_), loc=at, input=None)
    return ValidationError.from_exception_data("network", [wrong])


def refuse_twice(edges: Sequence[Edge], key: str) -> None:
    """Refuse a link that is listed before: messages go by the first of the two alone.

    Raises:
        ValidationError: E202 at the second.
    """
    seen: dict[tuple[int, int], int] = {}
    for i, edge in enumerate(edges):
        ways = [(edge.from_, edge.to)] + [(edge.to, edge.from_)] * (not edge.one_way)
        before = [seen[way] for way in ways if way in seen]
        if before:
            message = f"{key}[{i}] joins nodes {edge.from_} and {edge.to}, as {key}[{before[0]}]"
            raise misplaced((key, i), "E202", message, "one link, with the bandwidth of both")
        seen |= dict.fromkeys(ways, i)


@dataclass(frozen=True)
class Listed:
    """Listed links as arrays; latency and bandwidth cover the links before them too."""

    src: Ints
    dst: Ints
    latency_ps: Ints
    bytes_per_s: Floats


def beside(net: Topology, edges: tuple[Edge, ...], before: int) -> Listed:
    """Links of a list, behind so many that are as the network says; each way is a link."""
    whole = round(net.spec.latency * PS_PER_S)
    src, dst = [], []
    latency, speed = [whole] * before, [float(net.spec.bandwidth)] * before
    for edge in edges:
        ways = ((edge.from_, edge.to), (edge.to, edge.from_))
        for start, end in ways[: 1 if edge.one_way else 2]:
            src.append(start)
            dst.append(end)
            latency.append(whole if edge.latency is None else round(edge.latency * PS_PER_S))
            speed.append(float(edge.bandwidth or net.spec.bandwidth))
    return Listed(
        np.array(src, np.int64), np.array(dst, np.int64), np.array(latency, np.int64),
        np.array(speed, np.float64),
    )  # fmt: skip
