"""Laws and sums of runs over several devices: whose bytes on links, and that all were sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from archsim.ir.op import Kind, Op
from archsim.ir.pod_record import CollectiveRecord, PodRecord
from archsim.ir.record import RowRecord, RunRecord
from archsim.ir.tensor import Role

OF_ALL = ("link.", "sent.")  # what a row counts for all devices of its class together


def ops_of(run: RunRecord) -> tuple[int, int]:
    """MACs, and points of ops without any, that all devices must have counted."""
    if run.pod is None:
        each = [(block.count, op) for block, op in run.graph.ops()]
    else:
        each = [(s.times(block), op) for s in run.pod.shares for block, op in s.graph.ops()]
    macs = sum(times * op.macs() for times, op in each)
    plain = [(n, op) for n, op in each if not op.is_mac and op.kind is not Kind.COLLECTIVE]
    return macs, sum(times * op.points() for times, op in plain)


def least_bytes(run: RunRecord, role: Role, side: str) -> int:
    """Compulsory bytes of a role that all devices read, or write, together.

    A microbatch has a cache of its own; weights could stay on chip from one to the next.
    """
    if run.pod is None:
        return run.graph.read_bytes(role) if side == "reads" else run.graph.write_bytes(role)
    total = 0
    for share in run.pod.shares:
        runs = share.runs if role is Role.KV_CACHE else {}
        for block in share.graph.blocks:
            one = replace(share.graph, blocks=(block,))
            size = one.read_bytes(role) if side == "reads" else one.write_bytes(role)
            total += share.devices * runs.get(block.name, 1) * size
    return total


def waits(run: RunRecord, row: RowRecord) -> int:
    """Of a row's time on the critical path, the part of an exchange that does not grow with bytes.

    Launch, steps and ways; the rest is what bytes take. 0 for a row that is no exchange.
    """
    pod = run.pod
    if pod is None or row.port != pod.network or not row.critical_busy_ps:
        return 0
    found = pod.exchange(run.stages[row.stage].path)
    if found is None or found.pattern == "send" or not found.time_ps:
        return 0  # of a message, latency is a lag
    took = row.busy_ps // row.executions if row.busy_ps else found.time_ps
    return row.critical_busy_ps * found.latency_ps // max(took, found.time_ps)


def check_divided(run: RunRecord, law: Callable[[bool, str], None]) -> None:
    """Devices together do the work of the whole graph: all of it, and no part more than once each.

    Where copies and stages alone divide it, nothing is done twice. Tokens that a capacity drops
    are missing.
    """
    pod, whole = run.pod, run.graph
    assert pod is not None
    live = sum(s.times(block) * _live(op) for s in pod.shares for block, op in s.graph.ops())
    least = sum(block.count * _live(op) for block, op in whole.ops())
    drops = pod.plan.get("capacity_factor") is not None
    law(drops or live >= least, f"devices do {live} MACs that matter, the graph has {least}")
    macs = sum(s.times(block) * op.macs() for s in pod.shares for block, op in s.graph.ops())
    most = pod.devices * whole.macs()
    law(macs <= most, f"devices do {macs} MACs, one of them would do {most // pod.devices}")
    once = pod.groups and pod.groups.keys() <= {"data", "pipeline"}
    as_written = pod.shares[0].graph is whole  # of one device, with its collectives
    law(
        as_written or not once or macs == whole.macs(),
        f"devices do {macs} MACs, the graph has {whole.macs()}",
    )


def _live(op: Op) -> int:
    return op.live_points() if op.is_mac else op.macs()


def _part(c: CollectiveRecord, pod: PodRecord) -> int:
    """Devices of a share among those that a record counts together; a message is the share's."""
    return pod.devices if c.pattern == "send" else c.devices


def check_exchanges(pod: PodRecord, counts: Counter[str], law: Callable[[bool, str], None]) -> None:
    """No device sends less than any algorithm must, and no exchange beats its bytes."""
    sent = counts[f"sent.{pod.network}"]
    part = 1 if len(pod.shares) > 1 else 0  # each share has a whole byte more, or less
    least = sum(
        c.repeats * (_part(c, pod) * c.least_bytes // pod.devices - part) for c in pod.collectives
    )
    law(sent >= least, f"{sent} bytes sent between devices, {least} are compulsory")
    over = sum(n for key, n in counts.items() if key.startswith("link."))
    law(over >= sent, f"{over} bytes over links, {sent} sent")
    for c in pod.collectives:
        law(c.time_ps >= c.least_ps, f"{c.path} takes {c.time_ps} ps, at least {c.least_ps}")
