"""The commands of a product one by one, as a trace on the channel's own scheduler."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.gemv_stream import Loop, Node, Row, Run
from archsim.memory.pim.lanes import run_trace
from archsim.memory.pim.layouts import Banks
from archsim.memory.pim.products_counted import Walked, behind, refreshed
from archsim.memory.pim.products_key import Same, apart
from archsim.memory.pim.program import program
from archsim.memory.pim.run import run
from archsim.memory.pim.trace import PimTrace, Step

if TYPE_CHECKING:
    from archsim.memory.pim.products import PimDevice

LEAST_REFRESHES = 10
"""Refresh intervals from which a stream has refreshes of its own."""


def exactly(device: PimDevice, nest: tuple[Node, ...], close: Walked) -> Walked | None:
    """Ticks and commands of a nest, run from its first command to its last.

    A stream of few refreshes runs without them, for they would come or not by where it begins.

    Args:
        device: that runs it.
        nest: the commands.
        close: the same in closed form, without refresh; the rest is refresh.

    Returns:
        What they took; None where arithmetic slows some MACs more than others, which the scheduler
        of commands does not know.
    """
    slowest, spacing, rules = 0, device.unit.spacing, device.rules
    mac = device.unit.form.mac
    if rules.slots == 1:
        every = {run.every for run in flat(nest) if isinstance(run, Run) and run.role == "mac"}
        slowest = ceil(max(every, default=0))
    if slowest > spacing and len(every) > 1:
        return None
    commands = device.commands
    if slowest > spacing:
        commands = apart(Same(commands), slowest, results=not device.unit.form.overlaps_transfers)
    intervals = close.ticks / max(rules.refresh_every, 1)
    refresh = device.refresh and intervals >= LEAST_REFRESHES
    trace = PimTrace.of("product", Stepper(device, device.banks).steps(nest), commands)
    if commands.queue is None:
        how = "all_bank" if refresh else "none"
        ran = run_trace(device.standard, commands, trace, refresh=how)
    else:
        ran = run(program(device.standard, commands, trace, refresh=refresh, exact=False))
    group = next(group for group in ran.groups if 0 in group.channels)
    spent = dict(close.waits)
    compute = spent.pop("compute", 0) if rules.slots > 1 else 0  # beside reads
    cycles = ran.cycles if rules.slots > 1 else max(ran.cycles, slowest * close.counts[mac])
    rest = cycles - sum(spent.values())
    why = "refresh" if refresh and rest > 0 else "row"
    spent[why] = spent.get(why, 0) + rest
    if spent[why] < 0:  # the scheduler's order hides more than rows alone took
        less = spent.pop(why)
        most = max(spent, key=spent.__getitem__)
        spent[most] += less
    counts = {name: n for name, n in group.counts.items() if n}
    if compute and refresh:
        return behind(rules, replace(close, counts=counts), cycles, spent)
    if compute:
        spent["compute"] = compute
    walked = Walked(cycles + compute, counts, spent, close.moved)
    return walked if refresh or not device.refresh else refreshed(rules, walked, device.banks)


@dataclass
class Stepper:
    """Writes the commands of a nest as instructions of the set, for channel 0.

    Attributes:
        device: whose set it is.
        banks: that work.
    """

    device: PimDevice
    banks: Banks
    row: int = 0
    bank: int = 0
    turn: int = 0

    def steps(self, nest: tuple[Node, ...]) -> Iterator[Step]:
        """The instructions in order; every row is another one of its banks."""
        form = self.device.unit.form
        order = beside(nest, self.device) if form.overlaps_transfers else flat(nest)
        for node in order:
            if isinstance(node, Row):
                self.row = (self.row + 1) % self.banks.rows
                self.bank = (self.bank + 1) % 2 if form.overlaps_rows else 0
            else:
                yield from self._run(node)

    def _run(self, run: Run) -> Iterator[Step]:
        commands, chip = self.device.commands, self.device.standard.device
        assert chip is not None
        word = instruction(commands, run)
        fields = commands.instructions[word].fields
        row = self.row if "row" in fields else -1
        banks, groups = chip.counts.get("bank", 1), chip.counts.get("bank_group", 1)
        most = chip.columns // chip.prefetch if "opsize" in fields and run.role == "mac" else 1
        left = run.count
        while left:
            size = min(left, most)
            bank = self.bank
            if run.role != "mac":  # transfers that go to one bank take bank groups in turn
                self.turn = (self.turn + banks) % (banks * groups)
                bank = self.turn
            yield Step(word, size, commands.mask_of(0), bank if "bank" in fields else -1, row)
            left -= size


@dataclass
class Transfer:
    """Transfers that may pass from one run of MACs on, and must have before another."""

    run: Run
    first: int
    last: int
    left: int

    def take(self, count: int) -> Run:
        """Some of them."""
        self.left -= count
        return replace(self.run, count=count)


def beside(nest: tuple[Node, ...], device: PimDevice) -> Iterator[Row | Run]:
    """The commands in an order in which transfers fill the gaps between MACs.

    Results leave during later MACs, and inputs come while those before them are still in use. The
    last MACs before another row stay together, so that it can be opened meanwhile.
    """
    nodes = list(flat(nest))
    waiting = _transfers(nodes)
    queued: list[Transfer] = []
    index = 0
    for node in nodes:
        if isinstance(node, Row):
            yield node
        if isinstance(node, Row) or node.role != "mac":
            continue
        while waiting and waiting[0].first <= index:
            queued.append(waiting.popleft())
        for one in [one for one in queued if one.last <= index]:
            queued.remove(one)
            yield one.take(one.left)
        yield from _among(node, queued, device)
        index += 1
    for one in (*queued, *waiting):
        yield one.take(one.left)


def _transfers(nodes: list[Row | Run]) -> deque[Transfer]:
    """All transfers, in the order in which they may pass."""
    found, index, used = [], 0, 0
    for node in nodes:
        if isinstance(node, Run) and node.role == "mac":
            index += 1
        elif isinstance(node, Run) and node.role == "result":
            found.append(Transfer(node, index, len(nodes), node.count))
        elif isinstance(node, Run):
            found.append(Transfer(node, used, index, node.count))
            used = index
    return deque(sorted(found, key=lambda one: one.first))


def _among(macs: Run, queued: list[Transfer], device: PimDevice) -> Iterator[Run]:
    """MACs, with transfers after each; the last half alone where a row is opened meanwhile."""
    spacing, left = device.rules.spacing, macs.count
    alone = macs.count // 2 if device.unit.form.overlaps_rows else 0
    while queued and left > alone:
        yield replace(macs, count=1)
        left -= 1
        room = max(spacing(macs.command), macs.every)
        while queued and room >= spacing(queued[0].run.command):
            room -= spacing(queued[0].run.command)
            yield queued[0].take(1)
            if not queued[0].left:
                queued.pop(0)
    if left:
        yield replace(macs, count=left)


def instruction(commands: CommandSet, run: Run) -> str:
    """The instruction for a command: of several, one that names a row for MACs alone."""
    names = [name for name, form in commands.instructions.items() if form.command == run.command]
    names.sort(key=lambda n: ("row" in commands.instructions[n].fields) != (run.role == "mac"))
    return names[0]


def flat(nest: tuple[Node, ...]) -> Iterator[Row | Run]:
    """All commands in order."""
    for node in nest:
        if isinstance(node, Loop):
            for _ in range(node.count):
                yield from flat(node.body)
        else:
            yield node
