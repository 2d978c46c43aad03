"""Gives the rows of a stage the time that the network on the chip takes for what they move."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from archsim.ir.stream_mapping import StreamMapping
from archsim.system.bank_streams import Tree, counted
from archsim.system.on_chip import BOUND, OnChip
from archsim.system.place import Stage
from archsim.system.rows import Book, Draft


def cross(noc: OnChip, book: Book, stage: Stage, tree: Tree, *, routers: bool) -> None:
    """Count the flows of a stage's rows, and let them last as long as their links.

    Args:
        noc: the network.
        book: that the rows are in.
        stage: whose rows they are; nodes of a stream read ahead, and do not wait for ways.
        tree: of the stage.
        routers: at the share of the links' bandwidth that routers reach; else links are ideal.
    """
    times = counted(tree)
    waits = not isinstance(stage.mapping, StreamMapping)
    total = np.zeros(noc.fabric.links)
    spent: dict[str, int] = {}  # time of each resource on which bytes cross
    users: dict[str, list[Draft]] = {}
    known: dict[tuple[tuple[str, int], ...], tuple[Any, int]] = {}
    for row, often in times.items():
        draft = book.drafts[row]
        crossing = noc.crossing(book.name(draft.unit), draft.counts)
        if not crossing:
            continue
        key = tuple(sorted(crossing.items()))
        if key not in known:
            known[key] = noc.wire_ps(crossing, routers=routers), noc.lag_ps(crossing)
        wires, lag_ps = known[key]
        draft.counts = {**draft.counts, **crossing}
        if not draft.dur_ps:
            continue  # passes bytes on that others time
        draft.lag_ps += lag_ps if waits else 0
        _last(noc, draft, ceil(wires.max(initial=0.0)))
        total += wires * often
        resource = book.port(draft.unit)
        spent[resource] = spent.get(resource, 0) + draft.dur_ps * often
        users.setdefault(resource, []).append(draft)
    fullest = float(total.max(initial=0.0))
    if not spent or fullest <= max(spent.values()):
        return
    longest = max(sorted(spent), key=spent.__getitem__)
    for draft in users[longest]:
        _last(noc, draft, ceil(draft.dur_ps * fullest / spent[longest]))


def _last(noc: OnChip, draft: Draft, least_ps: int) -> None:
    """A row lasts no less than its links."""
    if least_ps > draft.dur_ps:
        draft.dur_ps = least_ps
        draft.counts[f"{BOUND}.{noc.name}"] = 1
