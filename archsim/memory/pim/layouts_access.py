"""What ordinary accesses pay for a layout made for units: new elements written, matrices read.

Closed forms over the memory's own rules. A layout leaves whole accesses of padding out, so reading
costs the bandwidth of rows that are cut short, of accesses that are partly padding and of channels
that hold more than others; writing costs a row opened for every run of neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Literal

from archsim.core.errors import InputError
from archsim.ir.pim import Product
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.lane_rules import lane_rules
from archsim.memory.pim.layouts import Banks, Placed
from archsim.memory.pim.products_key import Same
from archsim.memory.standard import Standard

if TYPE_CHECKING:
    from archsim.memory.pim.products import PimDevice


@dataclass(frozen=True)
class Appended:
    """What new elements of matrices take when they are written where units find them.

    Attributes:
        banks_ps: of the busiest channel.
        read_bytes: that are read because an access is written in part.
        write_bytes: whole accesses, over all channels.
        activates: rows opened, over all channels.
    """

    banks_ps: int
    read_bytes: int
    write_bytes: int
    activates: int


@dataclass(frozen=True)
class Relaid:
    """What another engine pays for matrices in a layout of units.

    Attributes:
        share: of the memory's bandwidth at which it reads their bytes where they are.
        copy_bytes: that are read and written to lay them out anew.
        copy_ps: of such a copy, at the bandwidth of the data buses.
    """

    share: float
    copy_bytes: int
    copy_ps: int


@dataclass
class _Load:
    """Rows and accesses of one channel."""

    rows: float = 0
    reads: float = 0
    writes: float = 0


def append(
    device: PimDevice,
    product: Product,
    grows: Literal["n", "k"],
    *,
    tokens: int = 1,
    gathered: bool = False,
) -> Appended:
    """Cost of new elements at the end of every matrix of a product.

    A new output, such as the key of a token, is a run of neighbours in each bank that holds a part
    of it. An output that grows, such as a value, gets one element, and the access around it is
    read first, unless elements are gathered until they fill one.

    Args:
        device: whose banks hold the matrices.
        product: the matrices as they are.
        grows: extent that is one longer for every token.
        tokens: of every matrix.
        gathered: whether accesses are only written when they are full.
    """
    loads, totals = [], _Load()
    for piece, busy in device.shares(product):
        placed = piece.placed
        if grows == "n":
            one, touched = _new_outputs(placed, device.banks, tokens), placed.parts
        else:
            one = _longer_outputs(placed, piece.e.n, tokens, gathered=gathered)
            touched = placed.channels // placed.parts
        loads.append((one, max(busy / placed.channels, 1 / touched) if busy else 0))
        totals.rows += one.rows * piece.e.b
        totals.reads += one.reads * piece.e.b
        totals.writes += one.writes * piece.e.b
    access = device.banks.access_bytes
    return Appended(
        banks_ps=_ticks(device, loads) * device.tick_ps,
        read_bytes=ceil(totals.reads) * access,
        write_bytes=ceil(totals.writes) * access,
        activates=ceil(totals.rows),
    )


def _new_outputs(placed: Placed, banks: Banks, tokens: int) -> _Load:
    lying = placed.lying
    pieces = tokens * placed.parts * lying.sums
    rows = min(pieces * -(-lying.reduction // lying.width), placed.stored_bytes // banks.row_bytes)
    return _Load(rows, 0, pieces * lying.reduction // lying.access_elements)


def _longer_outputs(placed: Placed, outputs: int, tokens: int, *, gathered: bool) -> _Load:
    lying = placed.lying
    rows = -(-outputs // lying.sharing) * -(-tokens // lying.width)
    full, rest = divmod(tokens, lying.access_elements)
    if gathered:
        writes = tokens / lying.access_elements
        return _Load(rows * min(writes, 1), 0, outputs * writes)
    return _Load(rows, outputs * (rest > 0), outputs * (full + (rest > 0)))


@dataclass(frozen=True)
class _Spacing:
    """Ticks between ordinary commands of a channel, by its own rules.

    Attributes:
        written: from a row's opening to the next one's in the same bank, one access written.
        merged: the same, where the access is read first and goes back when its data have come.
        again: between accesses written to one row.
        opens: between rows of several banks: their spacing, or their share of a window.
        turn: for which the data bus idles when reads are followed by writes, and these by reads.
        cycle: between openings of rows of a bank that are only read.
        column: from a row's opening to an access written.
    """

    written: int
    merged: int
    again: int
    opens: float
    turn: int
    cycle: int
    column: int


def _spacing(device: PimDevice) -> _Spacing:
    """Those of a device.

    Raises:
        InputError: E102 where a standard lacks a rule that every memory has.
    """
    return _spacing_of(Same(device.standard), Same(device.commands))


@lru_cache(maxsize=64)
def _spacing_of(memory: Same, chosen: Same) -> _Spacing:
    standard, commands = memory.it, chosen.it
    assert isinstance(standard, Standard)
    assert isinstance(commands, CommandSet)
    chip, rules = standard.device, lane_rules(standard, commands)
    assert chip is not None
    roles = rules.roles

    def between(before: str, after: str) -> int:
        ticks = rules.between(before, after)
        if not ticks:
            raise InputError(f"{standard.name} has no rule from {before} to {after}", code="E102")
        return ticks

    opened, read, write = roles.open_bank, roles.read, roles.write
    end = between(write, roles.close_bank) + between(roles.close_bank, opened)
    cycle, column = between(opened, opened), between(opened, write)
    back = max(between(read, write), chip.ticks_of(chip.read_latency))
    window = rules.window.ticks / rules.window.size if rules.window else 0.0
    far: dict[tuple[str, str], int] = {}  # between commands to any two banks
    for rule in rules.rules:
        pair = rule.before, rule.after
        far[pair] = max(far.get(pair, 0), 0 if rule.level else rule.ticks)
    turns = [far.get(pair, 0) for pair in ((read, write), (write, read))]
    burst = chip.ticks_of(chip.burst_ticks)
    return _Spacing(
        written=max(column + end, cycle),
        merged=max(between(opened, read) + back + end, cycle),
        again=max(between(write, write), burst),
        opens=max(window, far.get((opened, opened), 0)),
        turn=sum(max(ticks - burst, 0) for ticks in turns),
        cycle=cycle,
        column=column,
    )


def _ticks(device: PimDevice, loads: Iterable[tuple[_Load, float]]) -> int:
    """Ticks of the busiest channel: its bus, its activates, or its fullest bank."""
    banks, spacing = device.banks, _spacing(device)
    some = list(loads)
    rows = sum(load.rows * n for load, n in some)
    reads = sum(load.reads * n for load, n in some)
    writes = sum(load.writes * n for load, n in some)
    if not rows:
        return 0
    cycle = spacing.merged if reads else spacing.written
    cycle += ceil(max(writes / rows - 1, 0)) * spacing.again
    beside = max(min(rows, banks.at_once * banks.turns * banks.sets), 1)
    bus = device.rules.burst * (reads + writes) + (spacing.turn * rows / beside if reads else 0)
    return ceil(max(bus, spacing.opens * rows, cycle * rows / beside) + spacing.column)


def relayout(device: PimDevice, product: Product) -> Relaid:
    """Cost of matrices in their layout for an engine that reads them as ordinary data."""
    banks, burst, spacing = device.banks, device.rules.burst, _spacing(device)
    useful = stored = read = 0.0
    slowest = 0.0
    for piece, busy in device.shares(product):
        lying, placed = piece.placed.lying, piece.placed
        accesses = lying.accesses * banks.at_once
        useful += piece.e.b * placed.matrix_bytes
        stored += piece.e.b * placed.stored_bytes
        read += piece.e.b * accesses * placed.channels * banks.access_bytes
        in_row = max(lying.accesses / lying.rows, 1)
        at_bus = burst * in_row
        closed = spacing.cycle / (banks.at_once * banks.turns * banks.sets)
        row = max(at_bus, spacing.opens, closed)
        slowest += busy * accesses * row / in_row
    if not useful:
        return Relaid(1.0, 0, 0)
    peak = device.channels * banks.access_bytes / burst
    share = min(useful / peak / slowest, 1.0)
    moved = round(read + stored)
    return Relaid(share, moved, round(moved / peak * device.tick_ps))
