"""What a run over several devices leaves behind: all of them, from the plans of each share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.ir.collective_mapping import CollectiveMapping
from archsim.ir.parallel import AXES, KIND, PlanOfKinds
from archsim.ir.pod_record import CollectiveRecord, PodRecord, ShareRecord
from archsim.system.bubbles import bubbles_ps
from archsim.system.homes import tier_bytes
from archsim.system.network_port import NetworkPort
from archsim.system.place import Plan, Pod, Stage
from archsim.system.runs import runs_of
from archsim.system.schedule import Schedule
from archsim.system.simulate import Timed


def pod_record(pod: Pod, timed: Timed | None) -> PodRecord:
    """Shares, what they exchange, and the network between them."""
    divided = pod.partition
    port = pod.plans[0].machine.port
    assert port is not None
    plan = divided.plan
    shares = tuple(
        ShareRecord(s.name, len(s.devices), s.graph, runs_of(s), dict(p.dram_bytes))
        for s, p in zip(divided.shares, pod.plans, strict=True)
    )
    return PodRecord(
        network=port.name,
        kind=port.link.kind,
        devices=port.devices,
        plan=plan.to_data(),
        groups={
            axis: (plan.devices // plan.ways(axis), plan.ways(axis))
            for axis in (*AXES, *((KIND,) if isinstance(plan, PlanOfKinds) else ()))
            if plan.ways(axis) > 1
        },
        notes=divided.notes,
        shares=shares,
        collectives=tuple(_collectives(pod, port)),
        links=_links(port),
        busiest_ps=_busiest_ps(pod, port),
        bubble_ps=_bubbles_ps(timed, len(shares)) if timed else (),
    )  # fmt: skip


def _links(port: NetworkPort) -> Mapping[str, float]:
    """Bandwidth of all links together, by kind."""
    return {
        key: float(port.fabric.bytes_per_s[np.asarray(alike)].sum())
        for key, alike in port.alike.items()
    }


def _bubbles_ps(timed: Timed, shares: int) -> tuple[int, ...]:
    """Time that all devices of each share stand still."""
    found = [0] * shares
    for one, ps in zip(timed.schedule.classes, bubbles_ps(timed), strict=True):
        found[one.share] += len(one.devices) * ps
    return tuple(found)


def _busiest_ps(pod: Pod, port: NetworkPort) -> int:
    """Time of all bytes of the link that has most to do."""
    load = np.zeros(port.fabric.links)
    for share, plan in zip(pod.partition.shares, pod.plans, strict=True):
        runs, own = runs_of(share), plan.machine.port or port
        for block in plan.blocks:
            times = block.block.count * runs[block.block.name]
            for stage in block.stages:
                if isinstance(stage.mapping, CollectiveMapping):
                    load += times * own.moved_by(stage.mapping, share.devices)
    return int((load / port.fabric.bytes_per_s).max() * PS_PER_S)


def _collectives(pod: Pod, port: NetworkPort) -> list[CollectiveRecord]:
    found = []
    several = len(pod.plans) > 1
    for share, plan in zip(pod.partition.shares, pod.plans, strict=True):
        runs, own = runs_of(share), plan.machine.port or port
        for block in plan.blocks:
            for stage in block.stages:
                how = stage.mapping
                if not isinstance(how, CollectiveMapping):
                    continue
                what = how.collective
                found.append(
                    CollectiveRecord(
                        path_of(stage, share.name if several else ""),
                        what.pattern,
                        what.axis,
                        what.size_bytes,
                        what.devices,
                        len(share.devices),
                        how.algorithm,
                        how.reason,
                        block.block.count * runs[block.block.name],
                        how.time_ps,
                        how.latency_ps,
                        how.transfer_ps,
                        how.least_ps,
                        how.counts.get(f"sent.{port.name}", 0),
                        own.least_sent_bytes(what),
                    )
                )
    return found


def path_of(stage: Stage, share: str) -> str:
    """Path of a stage, of one share where there are several."""
    return f"{share}:{stage.path}" if share else stage.path


def merged(plan: Plan, book: Schedule) -> tuple[list[Stage], list[int], list[str], list[int]]:
    """Stages of a schedule with those of one share counted once.

    Returns the stages, their repeats, their paths, and by stage of the schedule its place in these.
    """
    if plan.pod is None:
        paths = [stage.path for stage in book.stages]
        return list(book.stages), list(book.repeats), paths, list(range(len(paths)))
    shares = plan.pod.partition.shares
    place: dict[tuple[int, str], int] = {}
    stages: list[Stage] = []
    repeats: list[int] = []
    paths, at = [], []
    for i, stage in enumerate(book.stages):
        share = book.classes[book.class_of[i]].share
        key = (share, stage.path)
        if key not in place:
            place[key] = len(stages)
            stages.append(stage)
            repeats.append(book.repeats[i])
            paths.append(path_of(stage, shares[share].name if len(shares) > 1 else ""))
        at.append(place[key])
    return stages, repeats, paths, at


def devices_of(book: Schedule, stage: int) -> int:
    """Devices for which a stage of a schedule stands."""
    return len(book.classes[book.class_of[stage]].devices) if book.classes else 1


def users_of(book: Schedule, at: list[int]) -> list[int]:
    """Devices that run each stage of a report; `at` as `merged` gives it."""
    found = [0] * (max(at) + 1)
    for i, place in enumerate(at):
        found[place] += devices_of(book, i)
    return found


def fullest(plan: Plan) -> Plan:
    """The plan of the device that holds most behind its chip; the only one of a machine of one."""
    if plan.pod is None:
        return plan
    return max(plan.pod.plans, key=lambda one: sum(one.dram_bytes.values()))


def all_tier_bytes(pod: Pod) -> dict[str, int]:
    """Bytes that any schedule moves through the ports of each memory, of all devices together."""
    total = {memory.name: 0 for memory in pod.plans[0].machine.tiers}
    for share, plan in zip(pod.partition.shares, pod.plans, strict=True):
        for name, size in tier_bytes(plan, runs_of(share)).items():
            total[name] += len(share.devices) * size
    return total


def named_stages(plan: Plan) -> list[tuple[str, Stage]]:
    """Every stage of all shares with the path that a report gives it."""
    if plan.pod is None:
        shares = [("", plan)]
    else:
        names = [s.name if len(plan.pod.plans) > 1 else "" for s in plan.pod.partition.shares]
        shares = list(zip(names, plan.pod.plans, strict=True))
    return [
        (path_of(stage, name), stage)
        for name, one in shares
        for block in one.blocks
        for stage in block.stages
    ]
