"""What an answer rests on: sources of its largest numbers, what is assumed, what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archsim.ir.record import RunRecord

LARGEST = 3  # contributors that are named

# what no fidelity of this version accounts for; a reader must know before the numbers are used
NO_FLOOR = "networks on chip: engines reach the SRAM at its bandwidth"
NOT_MODELLED = (
    "register files' energy",
    NO_FLOOR,
    "area of PHYs, networks and control",
    "power of clocks, control and idle parts: energy is that of actions and of cells' leakage",
    "power peaks, thermal limits",
    "host and framework time",
)


def not_modelled(run: RunRecord, machine: Mapping[str, Any]) -> Iterator[str]:
    """What the numbers of a run leave out.

    Args:
        run: what the run left behind.
        machine: the resolved description.
    """
    banked = {record.memory for record in run.banks}
    flat = [tier.name for tier in run.memory.tiers if tier.name not in banked]
    if flat:
        names, parts = ", ".join(flat), "banks, refresh and command timing"
        yield f"{parts} of {names}: bandwidth, latency and efficiency stand for them"
    if banked:
        names = ", ".join(sorted(banked))
        yield f"when in absolute time {names} refreshes; the energy of refresh and standby"
    if not machine["memory"][run.machine.sram].get("interleave"):
        yield "bank conflicts of the SRAM"
    if run.memory.experts or machine.get("placement", {}).get("residency"):
        yield "cold caches: those of experts and tensors begin warm; short runs miss too little"
    if run.pod is not None:
        yield "memory ports that exchanges between devices share with what runs beside them"
        yield "energy and time of the sums in a reduction between devices; switches' own area"
    yield from (text for text in NOT_MODELLED if run.floor is None or text != NO_FLOOR)


def provenance(
    energy_rows: Mapping[str, Mapping[str, Any]], area_mm2: Mapping[str, float], machine: Any
) -> dict[str, Any]:
    """Sources of the largest contributors, and how many constants have none.

    Args:
        energy_rows: of the result.
        area_mm2: by component.
        machine: the resolved description, with its `provenance`.
    """
    energy = sum(row["j"] for row in energy_rows.values())
    first = sorted(energy_rows, key=lambda k: (-energy_rows[k]["j"], k))[:LARGEST]
    area = sum(area_mm2.values())
    widest = sorted((n for n in area_mm2 if area_mm2[n]), key=lambda n: (-area_mm2[n], n))
    said = dict(_said(machine))
    assumed = sorted(path for path, text in said.items() if text.startswith("assumed"))
    return {
        "largest_energy": [
            {"row": k, "share": energy_rows[k]["j"] / energy if energy else None,
             "source": energy_rows[k]["source"]}
            for k in first
        ],
        "largest_area": [
            {"component": n, "share": area_mm2[n] / area, "source": _source(said, n)}
            for n in widest[:LARGEST]
        ],
        "assumed_energy_rows": sum(r["accuracy"] == "assumed" for r in energy_rows.values()),
        "assumed_settings": assumed,
    }  # fmt: skip


def _said(machine: Any) -> Any:
    """Sources by dotted path: the machine's own, then those its components carry."""
    yield from machine.get("provenance", {}).items()
    for room in ("memory", "engines", "interconnect"):
        for name, part in machine.get(room, {}).items():
            for field, text in part.get("provenance", {}).items():
                yield f"{room}.{name}.{field}", text


def _source(said: Mapping[str, str], component: str) -> str:
    """What is said of a component's size, or of the component as a whole."""
    for room in ("engines", "memory"):
        for field in ("", ".count", ".rows", ".lanes", ".capacity"):
            text = said.get(f"{room}.{component}{field}")
            if text:
                return text
    return "not said"
