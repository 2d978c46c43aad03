"""What `explain --sensitivity` adds: the tornado, what bounds a run, the cheapest change."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.dse.executors.base import Executor

SHOWN = 12  # resources; those that move the time most
LEAST = 0.001  # of the time: what moves less is counted, not shown
HALF = 5  # characters of a bar, either side
ADDS = {
    "bound": "least bytes and work at peak rates",
    "analytic": "mappings; stages do not overlap",
    "tile": "overlap, waiting, fill and drain",
    "cycle": "memory banks, contended networks",
}


def added(folder: str, workers: int) -> dict[str, Any]:
    """The sensitivity of a run, also written into its folder."""
    from archsim.core.files import atomic_write
    from archsim.dse.sensitivity import sensitivity
    from archsim.report.model import SENSITIVITY
    from archsim.report.stored import read_run

    executor = _executor(workers)
    try:
        found = sensitivity(read_run(folder), executor=executor)
    finally:
        if executor is not None:
            executor.close()
    atomic_write(Path(folder) / SENSITIVITY, out.json_text(found) + "\n")
    return found


def _executor(workers: int) -> "Executor | None":
    """Processes that answer beside each other; none where one is enough."""
    if workers == 1:
        return None
    from archsim.dse.executors.base import How
    from archsim.dse.executors.local import Local

    return Local(How(workers=workers))


def text(found: dict[str, Any]) -> str:
    """The same for people."""
    return "\n\n".join([_bounded(found), _tornado(found), _changes(found), _levels(found)])


def _bounded(found: dict[str, Any]) -> str:
    by = found["bounded_by"]
    if by is None:
        return "What bounds it: no resource of the machine moves its time."
    reason = f"{by['relieves']} is {100 * by['share']:.0f} % of the time" if by["relieves"] else ""
    parts = [
        f"time elasticity {by['elasticity_time']:.2f}, energy {by['elasticity_energy']:.2f}",
        *([reason] if reason else []), *([by["why"]] if by["why"] else []),
    ]  # fmt: skip
    return out.table_text(
        [[f"What bounds it: {by['resource']}, now {by['now']} ({'; '.join(parts)})."]]
    )


def _tornado(found: dict[str, Any]) -> str:
    """Bars of the resources that matter: left of the middle faster, right of it slower."""
    step = f"{100 * found['step']:.0f} %"
    moving = [row for row in found["rows"] if _most(row) >= LEAST]
    widest = max((_most(row) for row in moving), default=1.0)
    rows = [
        [
            _percent(row, "time_s", "low"), _percent(row, "time_s", "high"), _bar(row, widest),
            _percent(row, "energy_j", "low"), _percent(row, "energy_j", "high"),
            f"{row['resource']} {row['now']}",
        ]
        for row in moving[:SHOWN]
    ]  # fmt: skip
    header = [f"time -{step}", f"+{step}", "", "energy", "", "of, now"]
    parts = [out.table_text(rows, header)] if rows else []
    if len(moving) > SHOWN:
        parts.append(f"{len(moving) - SHOWN} more move the time less.")
    still = len(found["rows"]) - len(moving)
    if still:
        parts.append(f"{still} more move the time by less than {100 * LEAST:.1f} %.")
    refused = [row for row in moving[:SHOWN] if row["said_low"] or row["said_high"]]
    for row in refused:
        for side, sign in (("low", "-"), ("high", "+")):
            if row[f"said_{side}"]:
                parts.append(f"{row['resource']} {sign}{step}: {row[f'said_{side}']}")
    return "\n".join(parts)


def _most(row: dict[str, Any]) -> float:
    """The larger change of the time, as a share of it."""
    return max((abs(change) for side in ("low", "high")
                if (change := _change(row, "time_s", side)) is not None), default=0.0)  # fmt: skip


def _change(row: dict[str, Any], name: str, side: str) -> float | None:
    """Change of a metric on one side, as a share of it now; None where it was not simulated."""
    value, now = row[f"{name}_{side}"], row[name]
    return None if value is None or not now else value / now - 1


def _percent(row: dict[str, Any], name: str, side: str) -> str:
    change = _change(row, name, side)
    return "-" if change is None else f"{100 * change:+.1f} %"


def _bar(row: dict[str, Any], widest: float) -> str:
    """A bar from the fastest to the slowest of both sides, now in the middle."""
    changes = [_change(row, "time_s", side) or 0.0 for side in ("low", "high")]
    left, right = (
        min(HALF, round(HALF * abs(end) / widest))
        for end in (min(*changes, 0.0), max(*changes, 0.0))
    )
    return f"{'━' * left:>{HALF}}│{'━' * right:<{HALF}}"


def _changes(found: dict[str, Any]) -> str:
    if not found["changes"]:
        return "No change of one resource, or of two, fourfold at most, makes it 1.10 x as fast."
    rows = [
        [f"{c['gain']:.2f} x", _cost(c), " ".join(f"--set {_quoted(s)}" for s in c["set"])]
        for c in found["changes"]
    ]
    return out.table_text(rows, ["Cheapest first", "costs", "simulated with"])


def _cost(change: dict[str, Any]) -> str:
    if change["cost_is"] == "added area":
        return f"{change['added_mm2']:.3g} mm2 ({100 * change['cost']:.2g} %)"
    return f"{100 * change['cost']:.3g} % of it"


def _quoted(setting: str) -> str:
    path, _, value = setting.partition("=")
    return f"{path}='{value}'"


def _levels(found: dict[str, Any]) -> str:
    from archsim.core.units import format_si

    rows = [
        [
            level["fidelity"], format_si(level["time_s"], "s"), f"{level['over_bound']:.2f}",
            "" if level is found["levels"][0] else _signed(level["adds_s"]),
            ADDS[level["fidelity"]],
        ]
        for level in found["levels"]
    ]  # fmt: skip
    return out.table_text(rows, ["Level of detail", "time", "x bound", "adds", "which counts"])


def _signed(seconds: float) -> str:
    from archsim.core.units import format_si

    return ("+" if seconds > 0 else "") + format_si(seconds, "s")
