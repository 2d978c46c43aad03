"""What a node of a stream graph can compute: ports, arithmetic and state of each named function.

Counts follow from the formula beside each. How long a firing takes is the engine's business; what
the functions return is executed in `testing.functional_stream`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Function:
    """A function of tokens; a *wide* port carries the node's `elements` in one token, others one.

    Attributes:
        kind: of node that computes it.
        inputs, outputs: names of ports, `*` behind those that are wide.
        macs: multiply-accumulates of a firing, for each of the node's elements.
        each: arithmetic primitives of a firing, for each element.
        once: arithmetic primitives of a firing.
        state: what it keeps between firings: elements for each of the node's, and beside them.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int = 0
    each: dict[str, int] = field(default_factory=dict)
    once: dict[str, int] = field(default_factory=dict)
    state: tuple[int, int] = (0, 0)


FUNCTIONS = MappingProxyType(
    {
        "read": Function("source", (), ("out*",)),
        "write": Function("sink", ("in*",), ()),
        # a . b / sqrt(elements)
        "scaled_dot": Function("map", ("a*", "b*"), ("out",), macs=1, once={"mul": 1}),
        "exp": Function("map", ("in*",), ("out*",), each={"exp": 1}),
        "subtract": Function("map", ("a*", "b"), ("out*",), each={"add": 1}),
        "divide": Function("map", ("a*", "b"), ("out*",), each={"div": 1}),
        "sum": Function("reduce", ("in*",), ("out*",), each={"add": 1}, state=(1, 0)),
        "max": Function("reduce", ("in*",), ("out*",), each={"max": 1}, state=(1, 0)),
        # sum of w v
        "weighted_sum": Function("reduce", ("w", "v*"), ("out*",), macs=1, state=(1, 0)),
        # m' = max(m, in); shifted = in - m', fade = m - m'
        "running_max": Function(
            "scan", ("in",), ("shifted", "fade"), once={"max": 1, "add": 2}, state=(0, 1)
        ),
        # s' = s fade + in
        "faded_sum": Function(
            "reduce", ("in", "fade"), ("out",), once={"mul": 1, "add": 1}, state=(0, 1)
        ),
        # o' = o fade + w v, the fading product on the same cells
        "faded_weighted_sum": Function(
            "reduce", ("w", "fade", "v*"), ("out*",), macs=2, state=(1, 0)
        ),
        "repeat": Function("repeat", ("in*",), ("out*",)),
        "copy": Function("broadcast", ("in*",), ()),  # its outputs are named where it is used
    }
)
"""By name. Running maximum and faded sums are those of Milakov and Gimelshein (2018)."""
