"""AttAcc's published results: generation with attention in HBM3 beside a DGX, over the DGX alone.

The batch of a system is the largest whose caches, at their longest, fit what its weights leave of
all its memory. Its step is the mean over a generation, of steps in the middle of each half: a
step takes longer in proportion to its context. Prompts are not counted, as there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import fmean
from typing import Any, ClassVar, NamedTuple

from archsim.api import place_only
from archsim.core.data import find, names
from archsim.core.errors import Infeasible, Unsupported
from archsim.core.yamlio import load_yaml
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import build
from archsim.system.spec import load_hardware
from archsim.validation.adapters import _pim_systems
from archsim.validation.base import Row

WANT, BUILT, DERATED = _pim_systems.WANT, "built", "derated"
METRICS = {"throughput_ratio": 0, "energy_ratio": 1}
INT8 = ("mt-530b",)  # the others are FP16: as the paper runs them
DEVICES, STEPS = 8, 2


class System(NamedTuple):
    """A system of the table, as shipped machines.

    Attributes:
        built: with the memory that there is.
        runs: where its steps run: caches larger than AttAccs are taken to lie in them.
        derated: with GPUs as the authors model them; empty where there is none.
    """

    built: str
    runs: str
    derated: str = ""


SYSTEMS = {
    "dgx_a100_hbm3": System("dgx-a100-hbm3", "dgx-a100-hbm3", "dgx-a100-derated"),
    "dgx_attacc": System("dgx-attacc", "dgx-attacc-pooled", "dgx-attacc-derated"),
    "dgx_large": System("dgx-a100-hbm3-large", "dgx-a100-hbm3-large"),
    "dgx_h100": System("h100x8", "h100x8"),
    "dgx_attacc_h100": System("dgx-attacc-h100", "dgx-attacc-h100-pooled"),
}


class Point(NamedTuple):
    """One model and load.

    Attributes:
        model: preset.
        dtype: of weights, activations and cache.
        prompt, answer: tokens of each request.
    """

    model: str
    dtype: str
    prompt: int
    answer: int


class Generation(NamedTuple):
    """What a system gives: tokens a second, joules a token, and the batch it does so with."""

    tokens_per_s: float
    joules_per_token: float
    batch: int


class AttAcc(_pim_systems.PimSystem):
    """A system's figure over its baseline's, by three counts.

    `want`: batches that fit all memory together, as published, on GPUs as measured. `built`: caches
    only where AttAccs can multiply them. `derated`: as `want`, on GPUs as the authors model them.
    """

    kind = "attacc"
    COLUMN: ClassVar = {BUILT: WANT, DERATED: WANT}

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that runs each machine and load once."""
        super().__init__(set_)
        self._known: dict[tuple[str, Point, int], Generation] = {}
        self._last = ""

    def run(self, row: Row) -> dict[str, float]:
        """The ratio by each count that its systems have.

        Raises:
            Unsupported: for a system, a metric or a model that is not of the paper.
        """
        if row["metric"] not in METRICS:
            raise Unsupported(f'metric "{row["metric"]}" is not of the paper')
        figure, point = METRICS[row["metric"]], point_of(row)
        pair = [_system(row[key]) for key in ("system", "baseline")]
        batches = [largest_batch(one.built, point, self.set_) for one in pair]
        found: dict[str, float] = {}
        for name, machines, some in (
            (WANT, [one.runs for one in pair], batches),
            (BUILT, [one.built for one in pair], [self._placed(one, point) for one in pair]),
            (DERATED, [one.derated for one in pair], batches),
        ):
            if all(machines):
                ours, theirs = (self._of(m, point, b) for m, b in zip(machines, some, strict=True))
                found[name] = ours[figure] / theirs[figure]
                if name == WANT:
                    self._last = f"batch {ours.batch} over {theirs.batch}, {point.dtype}"
                elif name == BUILT:
                    self._last += f"; {ours.batch} with caches where AttAccs multiply them"
        return found

    def note(self, row: Row) -> str:
        """Batches of the last row."""
        return self._last

    def _of(self, machine: str, point: Point, batch: int) -> Generation:
        key = machine, point, batch
        if key not in self._known:
            self._known[key] = generation(machine, point, batch, self.set_)
        return self._known[key]

    def _placed(self, system: System, point: Point) -> int:
        """The largest batch whose caches lie where the machine wants them, found by halving."""
        low, high = 0, largest_batch(system.built, point, self.set_) + 1
        while high - low > 1:
            probe = (low + high) // 2
            longest = described(point, probe, point.prompt + point.answer - 1)
            try:
                place_only(system.built, longest, set_=self.set_)
                low = probe
            except Infeasible:
                high = probe
        if not low:
            raise Unsupported(f"{system.built} has no room for {point.model} and one sequence")
        return low


def _system(name: str) -> System:
    """What a name of the table stands for.

    Raises:
        Unsupported: for one that the paper does not have.
    """
    if name not in SYSTEMS:
        raise Unsupported(f'system "{name}" is not one of {", ".join(SYSTEMS)}')
    return SYSTEMS[name]


def point_of(row: Row) -> Point:
    """Model and lengths of a row.

    Raises:
        Unsupported: for a model without a preset, or a load without lengths.
    """
    model, text = row["model"], row["workload"]
    found = [re.search(rf"\b{word} (\d+)", text) for word in ("Lin", "Lout")]
    if model not in names("workloads/models"):
        raise Unsupported(f'no model is called "{model}"')
    if not all(found):
        raise Unsupported(f'"{text}" does not say Lin and Lout')
    prompt, answer = (int(one[1]) for one in found if one)
    said = "int8" in f"{model} {text}".lower()
    return Point(model, "int8" if said or model in INT8 else "fp16", prompt, answer)


def described(point: Point, batch: int, context: int) -> dict[str, Any]:
    """A step of a generation, tensor-parallel over all devices.

    Models whose positions end before the answer does are run with more of them, as there.
    """
    model = dict(load_yaml(find(point.model, "workloads/models")).data["model"])
    if "positions" in model:
        model["positions"] = max(model["positions"], point.prompt + point.answer)
    return _pim_systems.decode(
        point.model, {"config": model}, point.dtype, context,
        batch=batch, parallel={"tensor": DEVICES},
    )  # fmt: skip


def largest_batch(machine: str, point: Point, set_: Sequence[str] = ()) -> int:
    """Sequences whose caches at their longest fit beside the weights, in all memory together.

    Raises:
        Unsupported: where not one does.
    """
    longest = point.prompt + point.answer - 1
    graph = lower(load_workload(described(point, 1, longest))[0])
    tiers = build(load_hardware(machine, set_=set_)[0]).tiers
    room = DEVICES * sum(memory.capacity_bytes for memory in tiers)
    weights, cache = (int(str(graph.facts[f"{x}_bytes"])) for x in ("weight", "kv_cache"))
    if room < weights + cache:
        raise Unsupported(f"{machine} has no room for {point.model} and one sequence")
    return (room - weights) // cache


def generation(machine: str, point: Point, batch: int, set_: Sequence[str] = ()) -> Generation:
    """What a machine gives at a batch."""
    found = [_pim_systems.step(machine, described(point, batch, n), set_) for n in contexts(point)]
    seconds = fmean(one.seconds for one in found)
    return Generation(batch / seconds, fmean(one.joules for one in found) / batch, batch)


def contexts(point: Point) -> list[int]:
    """Tokens attended by the step in the middle of each half of a generation."""
    steps = min(STEPS, point.answer)
    return [point.prompt + point.answer * (2 * i + 1) // (2 * steps) for i in range(steps)]
