"""What a DRAM standard's file may not contradict, each mistake at its place in the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from archsim.core.errors import InputError, nearest
from archsim.memory.standard import Device, Rule, sum_of

if TYPE_CHECKING:
    from archsim.core.document import Document

FIRST = ("PREpb", "PREab", "RD", "WR", "RDA", "WRA", "REFab")
"""Commands 1 to 7 of every device, so that controllers know them by number; 0 activates."""

ORDERED = (("CCDS", "CCDL"), ("RRDS", "RRDL"), ("WTRS", "WTRL"), ("RAS", "RC"), ("RFC", "REFI"))
"""Timings of which the first may not exceed the second."""


class Mistake(NamedTuple):
    """One thing wrong, below the key `device`."""

    path: tuple[str | int, ...]
    code: str
    message: str
    help: str | None = None


def check(device: Device, document: Document) -> None:
    """Refuse a device that names what it does not have, or whose timings contradict each other.

    Raises:
        InputError: E108 unknown command, level or timing; E105 not a sum; E202 contradictions.
    """
    found = [*_commands(device), *_shape(device), *_rules(device), *_timings(device)]
    if found:
        raise InputError.of(
            [
                document.diagnostic(("device", *m.path), m.code, m.message, help=m.help)
                for m in found
            ]
        )


def _unknown(path: tuple[str | int, ...], what: str, word: str, known: tuple[str, ...]) -> Mistake:
    close = nearest(word, known)
    return Mistake(
        path,
        "E108",
        f'{what} "{word}" is not one of {", ".join(known)}',
        f'did you mean "{close}"?' if close else None,
    )


def _commands(device: Device) -> Iterator[Mistake]:
    if device.commands[1 : 1 + len(FIRST)] != FIRST:
        words = ", ".join(FIRST)
        yield Mistake(
            ("commands",), "E202", f"must be one that activates, then {words}, then others"
        )


def _shape(device: Device) -> Iterator[Mistake]:
    for level in device.counts:
        if level not in device.levels:
            yield _unknown(("counts", level), "level", level, device.levels)
    if device.refresh_level not in device.levels:
        yield _unknown(("refresh_level",), "level", device.refresh_level, device.levels)
    if device.levels[0] != "channel" or device.counts.get("channel", 1) != 1:
        yield Mistake(("levels",), "E202", "the outermost level is one channel")
    if device.levels[-1] != "bank":
        yield Mistake(("levels",), "E202", "the innermost level is bank")
    sizes = {"rows": device.rows, "columns": device.columns, "prefetch": device.prefetch}
    for key, size in sizes.items():
        if size & (size - 1):
            yield Mistake((key,), "E202", f"{size} is not a power of two")
    for level, count in device.counts.items():
        if count & (count - 1):
            yield Mistake(("counts", level), "E202", f"{count} is not a power of two")
    if device.prefetch > device.columns:
        yield Mistake(("prefetch",), "E202", f"exceeds the {device.columns} columns of a row")


def _rules(device: Device) -> Iterator[Mistake]:
    for key in ("read_latency", "burst_ticks"):
        yield from _sum(device, (key,), getattr(device, key))
    for group, rules in device.rules.items():
        for i, rule in enumerate(rules):
            yield from _rule(device, ("rules", group, i), rule, device.commands)
    if device.pim is not None:
        both = device.commands + device.pim.commands
        for i, rule in enumerate(device.pim.rules):
            yield from _rule(device, ("pim", "rules", i), rule, both)


def _rule(
    device: Device, path: tuple[str | int, ...], rule: Rule, commands: tuple[str, ...]
) -> Iterator[Mistake]:
    if rule.level not in device.levels:
        yield _unknown((*path, "level"), "level", rule.level, device.levels)
    for key, words in (("previous", rule.previous), ("next", rule.next)):
        for i, word in enumerate(words):
            if word not in commands:
                yield _unknown((*path, key, i), "command", word, commands)
    yield from _sum(device, (*path, "ticks"), rule.ticks)


def _sum(device: Device, path: tuple[str | int, ...], amount: int | str) -> Iterator[Mistake]:
    if isinstance(amount, int):
        return
    terms = sum_of(amount)
    if not terms:
        yield Mistake(
            path, "E105", f'"{amount}" is not a sum of timings', "example `nCL + nBL + 2`"
        )
    for _, name in terms:
        if not name.isdecimal() and name not in device.timings:
            yield _unknown(path, "timing", name, tuple(device.timings))


def _timings(device: Device) -> Iterator[Mistake]:
    """Contradictions; sources write nRC or tRC, nCCDS or tCCD_S."""
    plain = {key[1:].replace("_", ""): key for key in device.timings if key[0] in "nt"}
    value = {
        word: device.timings[key] for word, key in plain.items() if key not in device.contradicts
    }
    cycle = 2 if device.slots == "half_clock" else 1
    if {"RAS", "RP", "RC"} <= value.keys():
        both = value["RAS"] + value["RP"]
        if abs(both - value["RC"]) > cycle:
            yield Mistake(
                ("timings", plain["RC"]),
                "E202",
                f"{plain['RC']} is {value['RC']}, but {plain['RAS']} + {plain['RP']} is {both}",
                "a clock cycle apart is allowed; name it in `contradicts` if its source has more",
            )
    for low, high in ORDERED:
        if low in value and high in value and value[low] > value[high]:
            yield Mistake(
                ("timings", plain[high]),
                "E202",
                f"{plain[high]} is {value[high]}, less than {plain[low]}, which is {value[low]}",
            )
    for key, ticks in device.timings.items():
        if ticks < 0:
            yield Mistake(("timings", key), "E202", f"{ticks} is negative")
