"""CENT's published results: time, throughput and energy of a token, on average over its sequence.

A row is the plain mean over contexts of 128, 256, ... 4096 tokens, of which prompts have the first
512: they go one by one, like answers. Where every layer is a stage of its own, each device has
several, on a share of its channels each: a machine of as many smaller devices.

Energy is of the shipped machine, but that the published count has the static power of one of a
device's channels: their power model divides the cycles of all by their number twice (CENT
simulator, cent_power_calculator). `physical` has that of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, ClassVar, NamedTuple

from archsim.core.data import find
from archsim.core.errors import Unsupported
from archsim.core.yamlio import load_yaml
from archsim.memory.dram import Dram
from archsim.system.spec import load_hardware
from archsim.validation.adapters import _gpu, _pim_systems
from archsim.validation.base import Adapter, Row

MACHINE = "cent-32"
LATENCY, RATE, ENERGY = "Total Latency (s)", "Throughput (tokens/s)", "Energy per Token (mJ)"
PHYSICAL = "physical"
LANES, LANE_GIB = 144, 4  # over all devices, whole lanes each: CENT simulator, run_sim, cxl_latency
CHANNELS = 32  # of a device: CENT (Gu et al., ASPLOS 2025)
MEMORY = "gddr"
DEVICE_GHZ = 2
PROMPT = 512  # tokens: CENT simulator, run_sim
STEP = 128  # tokens between contexts of the mean: CENT simulator, run_sim
ALIKE = 4  # contexts beside each other that one in their middle stands for
MODELS = {"Llama2-7B": "llama-2-7b", "Llama2-13B": "llama-2-13b", "Llama2-70B": "llama-2-70b"}


class Point(NamedTuple):
    """A model on a machine, at one context.

    Attributes:
        model: preset.
        devices: of the machine.
        pipeline, tensor: ways of the plan.
        context: tokens that attention sees.
    """

    model: str
    devices: int
    pipeline: int
    tensor: int
    context: int


class Token(NamedTuple):
    """What a token takes: seconds, joules, and joules with one channel's static power a device."""

    time_s: float
    energy_j: float
    published_j: float


class Cent(Adapter):
    """Mean figures of a row's contexts."""

    kind = "cent"
    NEEDS = ("Model", "Device number", "Seqlen", "Pipeline parallelism", "Tensor parallelism",
             "Phase")  # fmt: skip
    COLUMN: ClassVar = {PHYSICAL: ENERGY}

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that runs each point once."""
        super().__init__(set_)
        self._known: dict[Point, Token] = {}

    def label(self, row: Row) -> str:
        """Model, plan, phase."""
        plan = f"pipeline {row['Pipeline parallelism']} tensor {row['Tensor parallelism']}"
        return f"{row['Model']} x{row['Device number']} {plan} {row['Phase']}"

    def run(self, row: Row) -> dict[str, float]:
        """As many tokens are under way as there are stages."""
        tokens, contexts = _phase(row)
        pipeline = _gpu.count(row, "Pipeline parallelism")
        found = [self._token(_point(row, context)) for context in contexts]
        return {
            LATENCY: tokens * fmean(one.time_s for one in found),
            RATE: fmean(pipeline / one.time_s for one in found),
            ENERGY: 1000 * fmean(one.published_j for one in found),
            PHYSICAL: 1000 * fmean(one.energy_j for one in found),
        }

    def _token(self, point: Point) -> Token:
        if point not in self._known:
            self._known[point] = taken(point, self.set_)
        return self._known[point]


def taken(point: Point, set_: tuple[str, ...]) -> Token:
    """One token through all stages; static power is shared by those that are under way."""
    overrides = (*_machine(point), *set_)
    found = _pim_systems.step(MACHINE, _workload(point), overrides)
    spent = found.joules - found.static_j * (1 - 1 / point.pipeline)
    channels_j = point.tensor * _standby_w(overrides) * found.seconds  # all of a stage's
    return Token(found.seconds, spent, spent - channels_j * (1 - 1 / CHANNELS))


def _standby_w(overrides: tuple[str, ...]) -> float:
    """Static power of the channels of a device, or of its part."""
    memory = load_hardware(MACHINE, set_=overrides)[0].memory[MEMORY]
    assert isinstance(memory, Dram.Spec)
    return memory.stacks * (memory.standby or 0.0)


def _machine(point: Point) -> tuple[str, ...]:
    """Overrides: so many devices, whole or in parts."""
    parts = _parts(point)
    return (
        f"interconnect.cxl.devices={point.pipeline * point.tensor}",
        f"interconnect.cxl.bandwidth={LANES // point.devices * LANE_GIB} GiB/s",
        f"memory.{MEMORY}.stacks={CHANNELS // parts}",
        f"memory.buffers.capacity={2048 // parts} KiB",
        f"clocks.device={DEVICE_GHZ / parts} GHz",
    )


def _parts(point: Point) -> int:
    """Layers that a device works on at once, each on channels of its own."""
    layers = _layers(point.model)
    if point.tensor == 1 and point.pipeline == layers:
        return -(-layers // point.devices)
    if point.pipeline * point.tensor == point.devices:
        return 1
    raise Unsupported(
        f"pipeline {point.pipeline} x tensor {point.tensor} on {point.devices} devices: their "
        f"product is the number of devices, or tensor 1 with a stage for each of {layers} layers"
    )


def _layers(preset: str) -> int:
    return int(load_yaml(find(preset, "workloads/models")).data["model"]["layers"])


def _workload(point: Point) -> dict[str, Any]:
    plan = {"pipeline": point.pipeline, "tensor": point.tensor}
    return _pim_systems.decode(
        point.model, {"preset": point.model}, "bf16", point.context, batch=1,
        parallel=plan | ({"layout": "columns"} if point.tensor > 1 else {}),
    )  # fmt: skip


def _point(row: Row, context: int) -> Point:
    if row["Model"] not in MODELS:
        raise Unsupported(f'model "{row["Model"]}" is not one of {", ".join(MODELS)}')
    pipeline, tensor = (_gpu.count(row, f"{axis} parallelism") for axis in ("Pipeline", "Tensor"))
    devices = _gpu.count(row, "Device number")
    return Point(MODELS[row["Model"]], devices, pipeline, tensor, context)


def _phase(row: Row) -> tuple[int, list[int]]:
    """Tokens of a phase, and contexts that stand for those of its mean."""
    whole = _gpu.count(row, "Seqlen")
    ends = {"prefill": (0, PROMPT), "decoding": (PROMPT, whole), "end2end": (0, whole)}
    if row["Phase"] not in ends:
        raise Unsupported(f'phase "{row["Phase"]}" is not one of {", ".join(ends)}')
    first, last = ends[row["Phase"]]
    every = range(first + STEP, last + 1, STEP)
    groups = [every[at : at + ALIKE] for at in range(0, len(every), ALIKE)]
    return last - first, [round(fmean(group)) for group in groups]
