"""What `pim` prints and writes."""

from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.memory.pim.measure import PimResult


def show(found: "PimResult", fmt: str) -> None:
    """Print a result."""
    data = found.to_dict()
    if fmt == "json":
        out.result(out.json_text(data))
    elif fmt == "csv":
        out.result(out.csv_text(commands(data)))
    else:
        out.result(text(data))


def commands(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Commands with their energies, None where no source prices one."""
    priced = data["energy_j"]["by_command"]
    return [
        {"command": name, "count": count, "energy_j": priced.get(name, None if count else 0.0)}
        for name, count in data["counts"].items()
    ]


def text(data: dict[str, Any]) -> str:
    """Time, commands, what channels waited for, and energy, for people."""
    from archsim.core.units import format_si

    energy, priced = data["energy_j"], data["energy_j"]["by_command"]
    rows = [
        [name, f"{count}", format_si(priced[name], "J") if name in priced else "-"]
        for name, count in data["counts"].items()
        if count
    ]
    lines = [
        f"{data['standard']}, commands of {data['command_set']}, refresh "
        f"{data['options']['refresh']}: {data['instructions']} instructions",
        "",
        f"{data['cycles']} cycles, {format_si(data['time_s'], 's')}" + _macs(data),
        "",
        out.table_text(rows, ["command", "count", "energy"]),
    ]
    if priced:
        without = f", without {', '.join(energy['missing'])}" if energy["missing"] else ""
        lines += ["", f"Energy {format_si(energy['total'], 'J')}{without}."]
    for group in data["channels"]:
        lines += ["", *_group(group, data["cycles"], data["channel_kind"])]
    return "\n".join(lines)


def _macs(data: dict[str, Any]) -> str:
    """Multiply-accumulates, and those of a channel: sizes of a trace by name are of each."""
    work = [group for group in data["channels"] if group["issuing_ticks"]]
    n, kind = sum(len(group["channels"]) for group in work), data["channel_kind"]
    if not data["macs"]:
        return ""
    if n > 1 and all(group["counts"] == work[0]["counts"] for group in work):
        return f", {data['macs']:,} MACs: {data['macs'] // n:,} in each of {n} {kind}s"
    return f", {data['macs']:,} MACs in {n} {kind}{'s' if n > 1 else ''}"


def _group(group: dict[str, Any], cycles: int, kind: str) -> list[str]:
    """What each of some alike channels did with its time."""
    numbers, name = group["channels"], kind.capitalize()
    alike = f"{name}s {spans(numbers)}, each" if len(numbers) > 1 else f"{name} {numbers[0]}"
    waits = sorted(group["waiting_ticks"].items(), key=lambda item: -item[1])
    rows = [["issuing", f"{group['issuing_ticks']}", f"{group['issuing_ticks'] / cycles:.1%}"]]
    rows += [[name.replace("_", " "), f"{n}", f"{n / cycles:.1%}"] for name, n in waits if n]
    limits = ", ".join(
        f"{name.replace('_', ' ')} {share:.1%}"
        for name, share in group["power_limit_share"].items()
    )
    said = (
        f"{alike}: rows open {group['row_open_share']:.1%} of the time, "
        f"{group['open_banks']:.3g} of {group['banks']} banks on average"
    )
    return [
        fill(said, out.width()),
        fill(f"Power limit: {limits}", out.width()),
        "",
        out.table_text(rows, ["waiting for", "ticks", "share"]),
    ]


def spans(numbers: list[int]) -> str:
    """Sorted numbers as spans.

    Example:
        >>> spans([0, 1, 2, 5])
        '0-2, 5'
    """
    found = []
    for _, some in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in some]
        found.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}")
    return ", ".join(found)


def write(found: "PimResult", folder: str) -> None:
    """Result and tables of a run."""
    from archsim.core.files import atomic_write

    data = found.to_dict()
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    waits = [
        {"channels": spans(group["channels"]), "reason": name, "ticks": ticks}
        for group in data["channels"]
        for name, ticks in {"issuing": group["issuing_ticks"], **group["waiting_ticks"]}.items()
    ]
    atomic_write(base / "result.json", out.json_text(data) + "\n")
    atomic_write(base / "commands.csv", out.csv_text(commands(data)))
    atomic_write(base / "waiting.csv", out.csv_text(waits))
    out.note(f"wrote {folder}")
