"""How many requests a machine holds: weights, and keys and values of all at their full length.

A batch fits where each device has room for its share, as a run's own placement finds it: memories
behind the nearest one count as far as the machine places such data there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from archsim.api import place_only, run
from archsim.core.errors import Infeasible
from archsim.lowering.spec import load_workload
from archsim.serving.batching import ServingSpec
from archsim.serving.batching_lengths import Fixed
from archsim.serving.closed_loop import Loop, Stage
from archsim.serving.stages import Stages, Where
from archsim.system.place import Plan

MOST = 8192  # requests that a search goes up to
FEW = 16  # of which a guess says how many fit


@dataclass(frozen=True)
class Room:
    """Requests that fit.

    Attributes:
        where: they would run.
        spec: what is served.
    """

    where: Where
    spec: ServingSpec

    @cached_property
    def step(self) -> int:
        """Requests by which a batch grows: each part of the devices that shares it has as many."""
        data = {**self.spec.workload(), "phase": {"kind": "decode", "context": 1}}
        plan = load_workload(data, set_=self.where.workload_sets)[0].parallel
        return plan.data * plan.expert if plan else 1

    def largest(self) -> int:
        """The largest batch that fits, up to 8192.

        Raises:
            Infeasible: E401 where the smallest does not fit.
        """
        each = self.step
        low, high = 1, MOST // each + 1  # the one fits; the other does not, or is not asked for
        probe, step = self._guess(), 1
        while high - low > 1:
            if self.fits(probe * each):
                low, probe = probe, probe + step
            else:
                high, probe = probe, probe - step
            step *= 2
            if not low < probe < high:
                probe = (low + high) // 2
        return low * each

    def fits(self, batch: int) -> bool:
        """Whether so many requests do."""
        try:
            self._placed(batch)
        except Infeasible:
            return False
        return True

    def running(self, largest: int, met: Callable[[int], Iterable[Stage]]) -> int:
        """The largest batch up to one that fits at full length of which all stages met fit too.

        A prompt that is read takes room, and so do gaps behind keys that fill no whole row.

        Args:
            largest: that fits at full length.
            met: a batch's stages that ask for the most room.

        Raises:
            Infeasible: E401 where the smallest does not fit.
        """
        each = self.step
        if self._runs(largest, met):
            return largest
        low, high, down = 0, largest // each, 1
        while high - low > 1:  # the high does not fit; it is nearly always just below
            probe = max(high - down, (low + high) // 2)
            if self._runs(probe * each, met):
                low = probe
            else:
                high, down = probe, 2 * down
        if not low:
            self._place_all(met(each))
        return low * each

    def _runs(self, batch: int, met: Callable[[int], Iterable[Stage]]) -> bool:
        try:
            self._place_all(met(batch))
        except Infeasible:
            return False
        return True

    def _place_all(self, stages: Iterable[Stage]) -> None:
        runs = Stages(self.where, self.spec.workload(), None)
        for work in (work for stage in stages for work in runs.work(stage)):
            place_only(self.where.resolved, work, set_=self.where.workload_sets)

    def _guess(self) -> int:
        """Steps of requests that fill what the first leaves, as each of a few takes; 2 or more."""
        # from the file that people wrote: an error says where the mistake is
        plan = place_only(self.where.hardware, self._full(self.step), set_=self.where.set_)
        one = _held(plan)
        try:
            few = _held(self._placed(FEW * self.step))
        except Infeasible:
            return 2
        room = sum(memory.capacity_bytes for memory in plan.machine.tiers)
        grows = [max(1.0, (b - a) / (FEW - 1)) for a, b in zip(one, few, strict=False)]
        most = min(int((room - a) / each) for a, each in zip(one, grows, strict=False))
        return max(2, min(MOST // self.step, 1 + most))

    def _placed(self, batch: int) -> Plan:
        return place_only(self.where.resolved, self._full(batch), set_=self.where.workload_sets)

    def data(self, batch: int, largest: int) -> dict[str, Any]:
        """What a device holds with such a batch, and the largest batch."""
        result = run(
            self.where.resolved,
            self._full(batch),
            set_=self.where.workload_sets,
            fidelity="analytic",
            advice=False,
        ).result
        tiers = [
            {key: tier[key] for key in ("memory", "capacity_bytes", "held_bytes")}
            for tier in result["placement"]["tiers"]
        ]
        return {"largest_batch": largest, "at_most": MOST, "memories": tiers}

    def _full(self, batch: int) -> dict[str, Any]:
        """A decode step of the first requests of the loop, all at their last token."""
        lengths = self.spec.lengths
        sizes: dict[str, Any]
        if isinstance(lengths, Fixed):
            sizes = {"batch": batch, "context": lengths.prompt_tokens + lengths.output_tokens}
        else:
            held = Loop(lengths, batch, self.spec.seed).held()
            sizes = {"context": sorted(length.full for length, _ in islice(held, batch))}
        return {**self.spec.workload(), "phase": {"kind": "decode", **sizes}}


def _held(plan: Plan) -> list[int]:
    """Bytes behind the chip of the devices of each share."""
    plans = plan.pod.plans if plan.pod else (plan,)
    return [sum(one.dram_bytes.values()) for one in plans]
