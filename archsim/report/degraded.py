"""A run with faults against the same run without: what they cost in time and energy."""

from __future__ import annotations

from typing import Any

from archsim.core.units import PS_PER_S, format_si

UNLIKE = (
    "a device with less memory bandwidth is simulated without banks, all others bank by bank: part "
    "of the difference is that; fidelity tile compares like with like"
)


def against(result: dict[str, Any], healthy: dict[str, Any], faults: list[Any]) -> dict[str, Any]:
    """What a result says of its faults.

    Args:
        result: of the run with them.
        healthy: of the run without.
        faults: as described.
    """
    narrow = any(fault.get("memory_bandwidth") is not None for fault in faults)
    if narrow and healthy["banks"]:
        result["fidelity_notes"].append(UNLIKE)
    joules = [r["metrics"]["energy_j"]["total"] for r in (result, healthy)]
    return {
        "survives": True,  # a job that does not is refused
        "faults": faults,
        "healthy_time_ps": healthy["time_ps"],
        "healthy_energy_j": joules[1],
        "time_ratio": result["time_ps"] / healthy["time_ps"],
        "energy_ratio": joules[0] / joules[1],
    }


def row(result: dict[str, Any]) -> list[list[str]]:
    """A row of the console summary's head."""
    found = result.get("degraded")
    if not found:
        return []
    n, slower = len(found["faults"]), found["time_ratio"]
    before = format_si(found["healthy_time_ps"] / PS_PER_S, "s")
    said = f"{slower:.3f} x the time and {found['energy_ratio']:.3f} x the energy of none"
    return [["Faults", str(n), f"{said} ({before})"]]
