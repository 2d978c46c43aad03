"""The rows of a pod: those of each class of devices, one program for all.

Each class has a sequencer and pages of its own in the book, as if it were alone; where classes meet
is in `meetings`. Microbatches follow each other as the turns of a share say.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from archsim.core.errors import LawViolation
from archsim.ir.partition import Share, Turn
from archsim.sim.program import Leaf, Loop
from archsim.system.bank_cost import BankCost, Streams
from archsim.system.classes import DeviceClass, classes_of
from archsim.system.place import Plan, Pod, StagedBlock
from archsim.system.rows import Book
from archsim.system.sequence import Sequencer, Shared
from archsim.system.side_by_side import side_by_side
from archsim.system.tagged import Tagged


@dataclass(frozen=True)
class Placed:
    """A class of devices and the plan that they run."""

    about: DeviceClass
    plan: Plan
    share: Share


def placed(pod: Pod, *, exact: bool = False) -> tuple[Placed, ...]:
    """The classes of a pod; with `exact`, every device is one."""
    odd: Mapping[int, Hashable] = {d: id(plan) for d, plan in pod.odd.items()}
    return tuple(
        Placed(
            one,
            pod.odd.get(one.devices[0], pod.plans[one.share]),
            pod.partition.shares[one.share],
        )
        for one in classes_of(pod.partition, odd, exact=exact)
    )


def written(
    one: Placed, book: Book, shared: Shared, streams: Streams | None, *, exact: bool
) -> tuple[list[Loop | Leaf], BankCost | None]:
    """The rows of a class, and what its memories with banks cost."""
    pages = Tagged(book, one.about.meetings) if one.about.meetings else book
    costs = None if streams is None else BankCost(pages, one.plan, streams, exact=exact)
    own = Shared(pages, costs, shared.stages, shared.repeats, shared.order)
    if len(one.plan.graph.networks) > 1:
        return side_by_side(one.plan, own), costs
    return turned(Sequencer(one.plan, own), one.plan, one.share), costs


def turned(sequencer: Sequencer, plan: Plan, share: Share) -> list[Loop | Leaf]:
    """The blocks of a plan in the order of a share's turns.

    Rows are written anew for each turn, stages are known once.
    """
    if not share.turns:
        return [node for block in plan.blocks for node in sequencer.block(block)]
    parts = _parts(plan, share)
    runs = {
        name: sum(turn.times * turn.parts.count(name) for turn in share.turns) for name in parts
    }
    base = {
        block.block.name: sequencer.enter(block, runs[name])
        for name, blocks in parts.items()
        if runs[name]
        for block in blocks
    }
    tree: list[Loop | Leaf] = []
    for turn in share.turns:
        body = [
            node
            for name in turn.parts
            for block in parts[name]
            for node in sequencer.block(block, base[block.block.name], turn.times)
        ]
        tree += body if turn.times == 1 else [_repeated(turn, body)]
    return tree


def _repeated(turn: Turn, body: list[Loop | Leaf]) -> Loop:
    """Microbatches that follow each other."""
    return Loop(turn.times, tuple(body), name=f"microbatch {' '.join(turn.parts)}", block=True)


def _parts(plan: Plan, share: Share) -> dict[str, list[StagedBlock]]:
    """Blocks by part; without parts, whatever a turn names is the whole graph."""
    by_name = {block.block.name: block for block in plan.blocks}
    if not share.parts:
        names = {name for turn in share.turns for name in turn.parts}
        if len(names) > 1:
            raise LawViolation(f"share {share.name} has turns of {sorted(names)} and no parts")
        return {name: list(plan.blocks) for name in names}
    return {part: [by_name[name] for name in names] for part, names in share.parts.items()}
