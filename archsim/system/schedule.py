"""The schedule of a plan: its sequencers' rows closed into a program, and what rows mean."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.ir.record import BankRecord
from archsim.sim.check import check_form
from archsim.sim.program import Leaf, Loop, Program
from archsim.system.bank_cost import BankCost, Streams
from archsim.system.place import Plan, Stage
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


def sequenced(plan: Plan, *, banks: Streams | None = None, exact: bool = False) -> Schedule:
    """The program of a plan, unproved; arguments as `schedule_to_run`."""
    book = Book()
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
