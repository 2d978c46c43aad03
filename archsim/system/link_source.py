"""Where the energy of a link comes from: the description of its network, or the energy table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archsim.interconnect.base import Topology

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable


def source_of(link: Topology, table: EnergyTable, level: int) -> tuple[str, str]:
    """Who says what a link costs: the description, or the energy table; and how exact that is."""
    levels: Sequence[Any] = getattr(link.spec, "levels", ())
    spec = levels[level] if levels else link.spec
    if getattr(spec, "energy", None) is not None:
        text = spec.provenance.get("energy") or link.spec.provenance.get("energy")
        return text or "assumed", "derived" if text else "assumed"
    row = table.of(*(("router", "transfer") if spec.medium == "chip" else ("link", spec.medium)))
    return row.source, row.accuracy
