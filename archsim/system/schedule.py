"""The schedule of a plan: its sequencers' rows closed into a program, and what rows mean."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.ir.record import BankRecord
from archsim.sim.check import check_form
from archsim.sim.program import Leaf, Loop, Program
from archsim.system.bank_cost import BankCost, Streams
from archsim.system.classes import DeviceClass
from archsim.system.place import Plan, Pod, Stage
from archsim.system.pods import placed, written
from archsim.system.rows import Book
from archsim.system.sequence import Sequencer, Shared
from archsim.system.side_by_side import side_by_side


@dataclass(frozen=True)
class Schedule:
    """A program and what its rows mean: counts by row id, stages by op label."""

    program: Program
    counts: tuple[dict[str, int], ...]
    stages: tuple[Stage, ...]
    repeats: tuple[int, ...]  # by stage
    holds: tuple[dict[str, int], ...]  # by row: bytes taken up, or given back, by memory
    banks: tuple[BankRecord, ...] = ()  # what stages did to memories with banks
    classes: tuple[DeviceClass, ...] = ()  # of devices that are alike; empty for a machine of one
    class_of: tuple[int, ...] = ()  # by stage: number of its class; empty likewise
    routers: bool = False  # whether links on the chip carry what routers reach, not all they could


def sequenced(plan: Plan, *, banks: Streams | None = None, exact: bool = False) -> Schedule:
    """The program of a plan, unproved; arguments as `schedule_to_run`."""
    book = Book()
    if plan.pod is not None:
        return _of_pod(plan.pod, book, banks, exact=exact)
    costs = None if banks is None else BankCost(book, plan, banks, exact=exact)
    shared = Shared(book, costs)
    tree: list[Loop | Leaf] = []
    if len(plan.graph.networks) > 1:
        tree += side_by_side(plan, shared)
    else:
        sequencer = Sequencer(plan, shared)
        for block in plan.blocks:
            tree += sequencer.block(block)
    return Schedule(
        book.close(tree),
        book.counts(),
        tuple(shared.stages),
        tuple(shared.repeats),
        book.holds(),
        tuple(costs.records) if costs else (),
        routers=costs is not None,
    )


def _of_pod(pod: Pod, book: Book, banks: Streams | None, *, exact: bool) -> Schedule:
    """The program of all classes of a pod: each walks a tree of its own."""
    shared = Shared(book, None)
    tree: list[Loop | Leaf] = []
    records: list[BankRecord] = []
    class_of: list[int] = []
    classes = placed(pod, exact=exact)
    for number, one in enumerate(classes):
        own, costs = written(one, book, shared, banks, exact=exact)
        tree += own
        records += costs.records if costs else []
        class_of += [number] * (len(shared.stages) - len(class_of))
    return Schedule(
        book.close(tree),
        book.counts(),
        tuple(shared.stages),
        tuple(shared.repeats),
        book.holds(),
        tuple(records),
        tuple(one.about for one in classes),
        tuple(class_of),
        banks is not None,
    )


def schedule(plan: Plan) -> Schedule:
    """The program of a plan, proved to be balanced and to end.

    Raises:
        Deadlock: naming who waits for whom, whatever the durations are.
    """
    found = sequenced(plan)
    found.program.check()
    return found


def schedule_to_run(plan: Plan, *, banks: Streams | None = None, exact: bool = False) -> Schedule:
    """The program of a plan, proved to be balanced: that it ends, a run through time proves.

    Args:
        plan: what runs where.
        banks: let memories that are described down to their banks say how long transfers take;
            streams that were simulated before, to which new ones are added.
        exact: send every burst through them, not a bounded number of each stage.
    """
    found = sequenced(plan, banks=banks, exact=exact)
    check_form(found.program)
    return found
