"""Small machines for mappings of cascades, and mappings of drawn attentions on them."""

from __future__ import annotations

from hypothesis import strategies as st

from archsim.core.errors import Unmappable
from archsim.dataflows._cascade import CascadeDataflow
from archsim.dataflows.base import dataflows
from archsim.ir.cascade_mapping import CascadeMapping
from archsim.ir.cascade_target import CascadeTarget, Tiling
from archsim.testing.attentions import attentions, problem_of

KINDS = tuple(
    kind for kind, flow in dataflows.items() if issubclass(flow, CascadeDataflow)
)  # every one that is registered


def cascade_target(rows: int, cols: int, buffer_bytes: int) -> CascadeTarget:
    """An array whose elements take maxima, add and do exponentials, and four lanes."""
    return CascadeTarget(
        engine="array", vector="lanes", rows=rows, cols=cols, count=1,
        mac_cycles=lambda points: points, element_cycles={"max": 1, "add": 1, "exp": 6},
        lane_cycles=lambda parts, points: -(-sum(parts.values()) * points // 4),
        clock_hz=1e9, vector_clock_hz=1e9, buffer_bytes=buffer_bytes,
    )  # fmt: skip


@st.composite
def cascade_mappings(draw: st.DrawFn) -> CascadeMapping:
    """Any mapping of a small attention as a cascade: masked or not, ragged edges, little room."""
    problem = problem_of(draw(attentions()))
    kind = draw(st.sampled_from(KINDS))
    sides = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    held = draw(st.sampled_from([None, ("q",), ("k", "v"), ("q", "out")]))
    tiling = Tiling(held=frozenset(held) if held and kind == "flat" else None)
    flow = dataflows.get(kind)()
    assert isinstance(flow, CascadeDataflow)
    for room in (draw(st.sampled_from([400, 1500, 6000])), 10**7):
        try:
            return flow.map_cascade(problem, cascade_target(*sides, room), tiling)
        except Unmappable:
            continue
    raise AssertionError(f"{kind} finds no room in ten megabytes")


def moved_bytes(mapping: CascadeMapping) -> dict[str, int]:
    """Bytes of operands that a mapping says it moves, those of spilled scores left out."""
    traffic = mapping.traffic()
    return {word: int(traffic[word]) for word in ("q", "k", "v", "out")}
