"""From a command set, a standard and a trace to the integers that the inner loop reads.

Here alike channels become one group, names become numbers, and sums of timings become ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from archsim.memory.pim import pim_words as w
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.trace import READ, REGISTER, WRITE, PimTrace, check
from archsim.memory.standard import Standard

Ints = NDArray[np.int64]
SECTIONS = {"channel": w.READY, "bank_group": w.READY_GROUP, "bank": w.READY_BANK}
REASONS = ("nothing_to_do", "other_turn")
"""Reasons to wait besides the groups of rules, in the order of their words."""


@dataclass(frozen=True)
class Program:
    """What the inner loop runs.

    Attributes:
        names: Commands by number.
        reasons: Reasons to wait by number.
        groups: Channels of each group of alike ones.
        cfg: Options and section starts.
        rules: First rule after each command, then the rules.
        ops: Instructions, shape (n * OP_WORDS,).
        sent: 1 where an instruction goes to a group, shape (n * groups,).
        requests: Requests over all groups.
    """

    names: tuple[str, ...]
    reasons: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    cfg: Ints
    rules: Ints
    ops: Ints
    sent: Ints
    requests: int

    @property
    def n(self) -> int:
        """Instructions."""
        return len(self.ops) // w.OP_WORDS

    def state(self) -> Ints:
        """The state before the first tick."""
        words = int(self.cfg[w.WORDS])
        st = np.zeros(w.HEADER + words * len(self.groups), np.int64)
        st[w.CLOCK] = 1
        every = int(self.cfg[w.REFRESH_EVERY])
        for c in range(len(self.groups)):
            base = w.HEADER + c * words
            st[base + w.WAKE] = 1
            st[base + w.UNIFORM] = w.CLOSED
            st[base + w.NEXT_REFRESH] = every or w.NEVER
            start = base + int(self.cfg[w.OPEN])
            st[start : start + int(self.cfg[w.BANKS])] = w.CLOSED
        return st


def program(
    standard: Standard, commands: CommandSet, trace: PimTrace, *, refresh: bool, exact: bool
) -> Program:
    """The program of a trace.

    Args:
        standard: The memory.
        commands: Its command set.
        trace: What is run.
        refresh: Whether every channel is refreshed.
        exact: Whether alike channels are each simulated.

    Raises:
        InputError: E107 for a bank, row, register or mask that is not there.
    """
    device = standard.device
    assert device is not None
    names = tuple(commands.commands)
    groups, masks = alike(trace, commands, exact=exact)
    ops = _instructions(trace, commands, names, standard)
    sent = [int(mask >> bit & 1) for mask in masks for bit in _first_bits(groups, commands)]
    every = commands.ticks_of("nREFI", standard) if refresh else 0
    cfg = _options(commands, standard, names, len(groups), every)
    requests = sum(sent[i] * ops[i // len(groups)][2] for i in range(len(sent)))
    return Program(
        names=names,
        reasons=(*REASONS, *commands.rules),
        groups=groups,
        cfg=np.array(cfg, np.int64),
        rules=_rules(commands, standard, names),
        ops=np.array(ops, np.int64).reshape(-1),
        sent=np.array(sent, np.int64),
        requests=requests,
    )


def alike(
    trace: PimTrace, commands: CommandSet, *, exact: bool
) -> tuple[tuple[tuple[int, ...], ...], list[int]]:
    """Channels that every instruction treats alike, and the mask of each instruction."""
    masks = [step.mask for step in trace.steps]
    found: dict[tuple[int, ...], list[int]] = {}
    different = sorted(set(masks))
    for channel in range(commands.channels):
        bit = _bit(channel, commands)
        key = (channel,) if exact else tuple(mask >> bit & 1 for mask in different)
        found.setdefault(key, []).append(channel)
    return tuple(tuple(channels) for channels in found.values()), masks


def _bit(channel: int, commands: CommandSet) -> int:
    return commands.channels - 1 - channel if commands.mask_bit_0_is_last else channel


def _first_bits(groups: tuple[tuple[int, ...], ...], commands: CommandSet) -> list[int]:
    return [_bit(channels[0], commands) for channels in groups]


def _instructions(
    trace: PimTrace, commands: CommandSet, names: tuple[str, ...], standard: Standard
) -> list[tuple[int, int, int, int, int]]:
    registers = [0] * commands.registers
    assert commands.roles is not None
    read, write = names.index(commands.roles.read), names.index(commands.roles.write)
    plain = {READ: (w.READ, read), WRITE: (w.WRITE, write)}
    numbers = {name: i for i, name in enumerate(names)}
    found = []
    for step in trace.steps:
        check(step, commands, standard)
        kind, final, row = w.NOTHING, -1, step.row
        form = commands.instructions.get(step.word)
        if step.word == REGISTER:
            registers[step.bank] = step.row
        elif step.word in plain:
            kind, final = plain[step.word]
        elif form is not None and form.barrier:
            kind = w.BARRIER
        elif form is not None and form.command is not None:
            final = numbers[form.command]
            kind = {read: w.READ, write: w.WRITE}.get(final, w.COMMANDED)
            if form.private_row is not None:
                row = form.private_row.first + registers[form.private_row.register_]
        found.append((kind, final, step.opsize, step.bank, row))
    return found


def _options(
    commands: CommandSet, standard: Standard, names: tuple[str, ...], groups: int, every: int
) -> list[int]:
    device = standard.device
    assert device is not None
    queue, roles = commands.queue, commands.roles
    assert queue is not None
    assert roles is not None
    n, group_banks = len(names), device.counts.get("bank", 1)
    banks = device.counts.get("bank_group", 1) * group_banks
    flights = [commands.ticks_of(c.in_flight, standard) for c in commands.commands.values()]
    # A read waits for those before it: at most so many enter while the oldest is in flight.
    ring = 2 * (max(flights) + 2 * queue.requests + banks + 2)
    cfg = [0] * w.OPTIONS
    for key, value in (
        (w.GROUPS, groups), (w.COMMANDS, n), (w.BANKS, banks), (w.GROUP_BANKS, group_banks),
        (w.DEPTH, queue.requests), (w.HIGH_TENTHS, round(10 * queue.writes_above)),
        (w.LOW_TENTHS, round(10 * queue.writes_below)), (w.OPEN_BANK, names.index(roles.open_bank)),
        (w.OPEN_ALL, names.index(roles.open_all)), (w.CLOSE_BANK, names.index(roles.close_bank)),
        (w.CLOSE_ALL, names.index(roles.close_all)), (w.CHANGE, names.index(roles.change_mode)),
        (w.REFRESH, names.index(roles.refresh)), (w.REFRESH_EVERY, every), (w.RING_SIZE, ring),
        (w.REASONS, len(REASONS) + len(commands.rules)),
    ):  # fmt: skip
        cfg[key] = value
    described = commands.commands.values()
    blocking = {form.command for form in commands.instructions.values() if form.blocks}
    by_bank = [c.scope == "bank" for c in described]
    register = [c.mode == "register" for c in described]
    needs = [
        (w.ONE_BANK if c.scope == "bank" else w.ALL_BANKS) if c.row else w.NO_ROW for c in described
    ]
    for key, values in (
        (w.SCOPE, by_bank), (w.NEEDS, needs), (w.REGISTER, register),
        (w.FLIGHT, flights), (w.RETURNS, [c.returns for c in described]),
        (w.BLOCKS, [name in blocking for name in names]),
        (w.CLOSES, [c.closes for c in described]),
    ):  # fmt: skip
        cfg[key] = len(cfg)
        cfg += [int(value) for value in values]
    nodes = n * (1 + banks // group_banks + banks)
    sizes = {
        w.READY: n, w.READY_GROUP: n * (banks // group_banks), w.READY_BANK: n * banks,
        w.BECAUSE: nodes, w.OPEN: banks, w.LINE: w.ENTRY * queue.requests,
        w.READ_LINE: w.ENTRY * queue.requests, w.WRITE_LINE: w.ENTRY * queue.requests,
        w.ACTIVE_LINE: w.ENTRY * (banks + 1), w.RING: 2 * ring, w.COUNT: n,
        w.WAITED: cfg[w.REASONS],
    }  # fmt: skip
    starts = accumulate(sizes.values(), initial=w.SCALARS)
    for key, start in zip(sizes, starts, strict=False):
        cfg[key] = start
    cfg[w.WORDS] = w.SCALARS + sum(sizes.values())
    return cfg


def _rules(commands: CommandSet, standard: Standard, names: tuple[str, ...]) -> Ints:
    after: dict[int, list[int]] = {i: [] for i in range(len(names))}
    for reason, group in enumerate(commands.rules.values(), len(REASONS)):
        for rule in group:
            ticks = commands.ticks_of(rule.ticks, standard)
            for before in rule.previous:
                for then in rule.next:
                    after[names.index(before)] += [
                        SECTIONS[rule.level], names.index(then), ticks, reason
                    ]  # fmt: skip
    starts = list(accumulate((len(rules) for rules in after.values()), initial=len(names) + 1))
    return np.array([*starts, *(x for rules in after.values() for x in rules)], np.int64)
