"""From the commands of the busiest channel to what a product takes of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from archsim.core.units import PS_PER_S
from archsim.ir.pim import PimWork, Product
from archsim.ir.problem import Extents
from archsim.memory.pim.gemv import STEP
from archsim.memory.pim.gemv_rules import StreamRules
from archsim.memory.pim.gemv_stream import WAITS, Node
from archsim.memory.pim.layouts import Banks, Placed, opening_commands

if TYPE_CHECKING:
    from archsim.memory.pim.products import PimDevice


@dataclass(frozen=True)
class Walked:
    """What a stream took in one channel: ticks, commands, ticks by reason, transfers by role."""

    ticks: int
    counts: Mapping[str, int]
    waits: Mapping[str, int]
    moved: Mapping[str, int]


@dataclass(frozen=True)
class Piece:
    """Alike matrices of a product: how one lies, its commands, and what they take alone."""

    e: Extents
    placed: Placed
    nest: tuple[Node, ...]
    alone: Walked


def refreshed(rules: StreamRules, walked: Walked, banks: Banks) -> Walked:
    """The same stream with refresh, which takes its average share of all time.

    One that falls between a row's accesses has the row opened once more, one that falls while it
    is opened has half of that done again. Arithmetic behind a buffer goes on until that is empty.
    """
    opens = opening_commands(rules.form, banks)
    rows = walked.counts.get(rules.form.open, 0) / opens
    opening = walked.waits.get("row", 0) + (walked.waits.get("power", 0) if opens > 1 else 0)
    if not rows:
        return walked
    compute = walked.waits.get("compute", 0) if rules.slots > 1 else 0
    reads = walked.ticks - compute
    again = opening / rows * (1 - opening / reads / 2)
    each = rules.refresh + again
    more = round(reads * each / max(rules.refresh_every - each, 1))
    spent = {**walked.waits, "refresh": more}
    if not compute:
        return replace(walked, ticks=walked.ticks + more, waits=spent)
    return behind(rules, walked, reads + more, spent)


def behind(rules: StreamRules, walked: Walked, reads: int, spent: Mapping[str, int]) -> Walked:
    """A stream whose arithmetic goes on during refreshes as long as buffers are not empty.

    Args:
        rules: of its channel.
        walked: without refresh.
        reads: ticks of its reads alone, with refresh.
        spent: on what, but for `compute`.
    """
    stored = rules.slots * walked.ticks / walked.counts[rules.form.mac]
    starved = max(rules.refresh - stored, 0) * walked.ticks / rules.refresh_every
    ticks = max(walked.ticks + round(starved), reads)
    return replace(walked, ticks=ticks, waits={**spent, "compute": ticks - reads})


def counted(
    device: PimDevice, product: Product, pieces: Sequence[Piece], walked: Walked
) -> PimWork:
    """What all channels do, and how long the busiest takes."""
    form, banks = device.unit.form, device.banks
    opens = opening_commands(form, banks)
    at_once = min(opens * form.open_banks // banks.turns, banks.at_once)
    commands: Counter[str] = Counter()
    for piece in pieces:
        for name, n in piece.alone.counts.items():
            commands[name] += n * piece.e.b * piece.placed.channels
    used = {piece.placed.channels for piece in pieces}
    if not product.dealt and len(used) == 1:
        commands = Counter({name: n * max(used) for name, n in walked.counts.items()})
    rows = commands[form.open] * form.open_banks
    macs = commands[form.mac]
    entering, leaving = _carried(device, product, pieces)
    bus = _bus_ticks(device, walked, entering, leaving)
    ticks, waits = walked.ticks, {name: walked.waits.get(name, 0) for name in WAITS}
    if bus > ticks:
        waits["input"] += bus - ticks
        ticks = bus
    tick = device.tick_ps
    fed = walked.counts.get(form.mac, 0) * device.rules.base_mac * banks.at_once
    every = banks.at_once * banks.turns * banks.sets
    moved = sum(walked.moved.values()) if device.rules.reserved else 0
    columns = walked.counts.get(form.mac, 0) + moved
    misses = walked.counts.get(form.open, 0) / opens
    return PimWork(
        banks_ps=ticks * tick,
        bus_ps=bus * tick,
        bound_ps=bound_ps(device, product, pieces),
        waits_ps={name: n * tick for name, n in waits.items()},
        commands=dict(commands),
        activates=rows,
        read_bytes=macs * at_once * banks.access_bytes,
        input_bytes=entering,
        result_bytes=leaving,
        matrix_bytes=sum(piece.e.b * piece.placed.matrix_bytes for piece in pieces),
        stored_bytes=sum(piece.e.b * piece.placed.stored_bytes for piece in pieces),
        bank_utilisation=min(fed / (ticks * every), 1.0) if ticks else 0.0,
        row_hit_rate=1 - misses / columns if columns else 0.0,
        window_ps=walked.counts.get(form.open, 0) * device.rules.fills * tick,
    )


def in_step(device: PimDevice, product: Product, work: PimWork) -> PimWork:
    """The same work where every channel goes through the commands of the busiest one."""
    shares = device.shares(product)
    busiest = sum(n * piece.alone.ticks for piece, n in shares)
    done = sum(p.e.b * p.placed.channels * p.alone.ticks for p, _ in shares)
    times = Fraction(device.channels * busiest, done) if done else Fraction(1)
    return replace(
        work,
        commands={name: round(n * times) for name, n in work.commands.items()},
        activates=round(work.activates * times),
        read_bytes=round(work.read_bytes * times),
        input_bytes=round(work.input_bytes * times),
        result_bytes=round(work.result_bytes * times),
    )


def bound_ps(device: PimDevice, product: Product, pieces: Sequence[Piece]) -> int:
    """Least time: every byte of the matrices once at the peak rate, or every MAC at theirs."""
    size = sum(piece.e.b * piece.placed.matrix_bytes for piece in pieces)
    macs_per_s = device.macs_per_s * (1 + STEP)
    return int(PS_PER_S * max(size / device.bytes_per_s, product.macs / macs_per_s))


def _carried(device: PimDevice, product: Product, pieces: Sequence[Piece]) -> tuple[int, int]:
    """Bytes to units and back: of commands, or over wires of their own, once a stack."""
    form, access = device.unit.form, device.banks.access_bytes
    entering = leaving = 0
    for piece in pieces:
        e, placed, moved = piece.e, piece.placed, piece.alone.moved
        channels, stacks = e.b * placed.channels, -(-placed.channels // device.groups)
        entering += channels * access * (moved.get("input", 0) + moved.get("bias", 0))
        leaving += channels * access * moved.get("result", 0)
        if form.input is None:
            copies = max(stacks / placed.parts, 1)
            entering += round(e.b * e.m * e.k * product.in_bits / 8 * copies)
        if form.result is None:
            parts = max(min(placed.parts, stacks), 1)
            leaving += round(e.b * e.m * e.n * product.out_bits / 8 * parts)
    return entering, leaving


def _bus_ticks(device: PimDevice, walked: Walked, entering: int, leaving: int) -> int:
    """Ticks of the busiest channel's data bus."""
    form, burst = device.unit.form, device.rules.burst
    wired = (entering if form.input is None else 0) + (leaving if form.result is None else 0)
    bursts = -(-wired // (device.channels * device.banks.access_bytes))
    return burst * (sum(walked.moved.values()) + bursts)
