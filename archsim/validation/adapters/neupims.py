"""NeuPIMs' published results: generation on an NPU and in its memory, over an NPU alone.

A step is of a few layers on one of the devices that share them, without the vocabulary, as there.
Its batch is a snapshot of one that requests leave and enter all the time: long answers are met in
proportion to their length, each somewhere on its way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log
from random import Random
from statistics import fmean
from typing import NamedTuple

from archsim.core.data import find
from archsim.core.errors import Unsupported
from archsim.core.yamlio import load_yaml
from archsim.validation.adapters import _pim_systems
from archsim.validation.adapters._pim_systems import Step
from archsim.validation.base import Row

SYSTEMS = {"neupims": "neupims", "npu_only": "neupims-npu", "npu_pim_naive": "npu-pim-naive"}
# preset, devices that share a layer: casys-kaist/NeuPIMs, configs/model_configs
MODELS = {
    "gpt3-7b": ("gpt3-6.7b", 4), "gpt3-13b": ("gpt3-13b", 4),
    "gpt3-30b": ("gpt3-30b", 4), "gpt3-175b": ("gpt3-175b", 8),
}  # fmt: skip
FAMILY = "gpt3-"
BATCHES = (64, 128, 256, 384, 512)  # five from 64 to 512, as published; which, assumed
UNITS = {"npu_utilisation_pct": "array", "pim_utilisation_pct": "pim"}
MEAN = "throughput_ratio mean"
RATIOS = ("throughput_ratio", MEAN)
LAYERS = 4  # assumed: enough that their first and their last weigh little
VOCABULARY = 64  # assumed: of no weight
SEED = 0
LONGEST = 2048  # casys-kaist/NeuPIMs, trace-generator: tokens of a request at most


class Lengths(NamedTuple):
    """How long requests are.

    Attributes:
        prompt: tokens, in the mean; their logarithm is normal.
        sigma: its deviation.
        answer: tokens, in the mean; as the sum of `stages` exponential parts.
        stages: how many.
    """

    prompt: float
    sigma: float
    answer: float
    stages: int


# Means of ShareGPT: as published. Alpaca, and spreads: as the authors counted their tokens,
# casys-kaist/NeuPIMs, trace-generator (share-gpt2/stats.tsv, alpaca/stats.tsv)
LENGTHS = {"sharegpt": Lengths(80, 1.76, 296, 2), "alpaca": Lengths(12, 0.4, 56, 1)}


class Point(NamedTuple):
    """One model, load and machine."""

    model: str
    data: str
    batch: int
    system: str


class NeuPims(_pim_systems.PimSystem):
    """What a row asks."""

    kind = "neupims"

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that runs each point once."""
        super().__init__(set_)
        self._known: dict[Point, Step] = {}
        self._last: dict[str, float] = {}

    def run(self, row: Row) -> dict[str, float]:
        """A mean over models, data and batches.

        Raises:
            Unsupported: for a system, a model or a metric that the paper does not have.
        """
        metric = row["metric"]
        if metric not in (*RATIOS, *UNITS):
            raise Unsupported(f'metric "{metric}" is not of the paper')
        over = data_of(row["workload"], metric)
        points = [
            Point(model, data, batch, row["system"])
            for model in models_of(row["model"])
            for data in over
            for batch in batches_of(row["workload"])
        ]
        found = [self._figure(metric, point, row["baseline"]) for point in points]
        self._last = {
            data: fmean(x for x, p in zip(found, points, strict=True) if p.data == data)
            for data in over
        }
        return {_pim_systems.WANT: fmean(found)}

    def note(self, row: Row) -> str:
        """The mean of each set of requests."""
        return ", ".join(f"{data} {mean:.2f}" for data, mean in self._last.items())

    def _figure(self, metric: str, point: Point, baseline: str) -> float:
        ours = self._taken(point)
        if metric in RATIOS:
            return self._taken(point._replace(system=baseline)).time_ps / ours.time_ps
        return 100 * ours.busy_ps.get(UNITS[metric], 0) / ours.time_ps

    def _taken(self, point: Point) -> Step:
        if point not in self._known:
            self._known[point] = taken(point, self.set_)
        return self._known[point]


def taken(point: Point, set_: Sequence[str] = ()) -> Step:
    """What a step takes.

    Raises:
        Unsupported: for a system that the paper does not have.
    """
    if point.system not in SYSTEMS:
        raise Unsupported(f'"{point.system}" is not one of {", ".join(SYSTEMS)}')
    preset, devices = MODELS[point.model]
    model = dict(load_yaml(find(preset, "workloads/models")).data["model"])
    workload = _pim_systems.decode(
        point.model, {"config": model | {"layers": LAYERS, "vocab": VOCABULARY}}, "fp16",
        snapshot(point.data, point.batch), parallel={"tensor": devices},
    )  # fmt: skip
    overrides = (f"interconnect.node.devices={devices}", *set_)
    return _pim_systems.step(SYSTEMS[point.system], workload, overrides)


def snapshot(data: str, batch: int, seed: int = SEED) -> list[int]:
    """Tokens of each request at work at some instant."""
    rng, about = Random(f"{data} {batch} {seed}"), LENGTHS[data]
    mean_log = log(about.prompt) - about.sigma**2 / 2
    found = []
    for _ in range(batch):
        prompt = rng.lognormvariate(mean_log, about.sigma)
        # met in proportion to its length, an answer has one part more
        answer = rng.gammavariate(about.stages + 1, about.answer / about.stages)
        found.append(min(LONGEST, max(1, round(prompt + rng.random() * answer))))
    return found


def models_of(text: str) -> list[str]:
    """Models of a text such as `gpt3-7b;13b`.

    Raises:
        Unsupported: for one that the paper does not have.
    """
    found = [FAMILY + part.strip().removeprefix(FAMILY) for part in text.split(";")]
    for name in found:
        if name not in MODELS:
            raise Unsupported(f'model "{name}" is not one of {", ".join(MODELS)}')
    return found


def data_of(text: str, metric: str) -> tuple[str, ...]:
    """Requests of a load: those that it names, or both where it names none.

    The paper's mean over all its batches is over both, though a row calls them ShareGPT-like; a row
    of Alpaca alone is taken at its word.
    """
    named = tuple(data for data in LENGTHS if data in text.lower())
    whole = metric == MEAN and batches_of(text) == BATCHES and "alpaca" not in named
    return (*LENGTHS,) if whole or not named else named


def batches_of(text: str) -> tuple[int, ...]:
    """Batches of a load: `batch 256`, `batches 64, 512`, `batches 64..512`; else the paper's.

    Raises:
        Unsupported: for a range without any batch of the paper.
    """
    found = re.search(r"batch(?:es)? (\d+(?:(?:\.\.|, ?)\d+)*)", text)
    if found is None:
        return BATCHES
    some: list[int] = []
    for part in found[1].split(","):
        low, _, high = part.strip().partition("..")
        some += [b for b in BATCHES if int(low) <= b <= int(high)] if high else [int(low)]
    if not some:
        raise Unsupported(f'"{text}" has none of the batches {", ".join(map(str, BATCHES))}')
    return tuple(some)
