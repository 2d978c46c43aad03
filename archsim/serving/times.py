"""What whole models take on a machine: each distinct pass is one run, and is run once.

A pass is a prompt, the answer behind it, or the copy of a model's weights from the memory behind
the nearest one. Residency and the order of passes are decided elsewhere. All bytes are of one
device, all energies of the machine. Energy is kept without leakage, which the second clock counts
for as long as the machine is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from archsim.api import load_hardware, run
from archsim.core.errors import Infeasible, InputError
from archsim.core.units import format_bytes
from archsim.core.yamlio import canonical_json
from archsim.ir.parallel import ParallelPlan
from archsim.system.build import Machine, build

PREFILL, DECODE = "prefill", "decode"


@dataclass(frozen=True)
class Taken:
    """Time and energy of a pass.

    Attributes:
        ps: picoseconds.
        energy_j: of all devices, without leakage.
    """

    ps: int
    energy_j: float


NOTHING = Taken(0, 0.0)


class Times:
    """Runs of models on one machine, by content.

    Attributes:
        work_bytes: most that a pass so far held beside weights in the nearest memory.
        leakage_w: of the whole machine.
    """

    def __init__(
        self,
        hardware: str | Path | dict[str, Any],
        parallel: ParallelPlan | None,
        set_: Sequence[str] = (),
        fidelity: str = "tile",
    ) -> None:
        self.hardware, self.fidelity = hardware, fidelity
        self.set_ = tuple(set_)
        if parallel is not None:
            data = parallel.model_dump(mode="json", exclude_none=True)
            self.set_ = (f"workload.parallel={canonical_json(data)}", *self.set_)
        self.work_bytes = 0
        self.leakage_w = 0.0
        self.runs = 0
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}

    def prompt(self, model: str, batch: int, tokens: int) -> Taken:
        """All tokens of some prompts at once."""
        return self._taken(self._near(model, PREFILL, batch, tokens))

    def answer(self, model: str, batch: int, prompt: int, output: int) -> Taken:
        """The tokens behind the first one of some answers.

        A step is linear in the tokens attended, so all are as many as the mean of the first and
        the last.
        """
        steps = output - 1
        if not steps:
            return NOTHING
        ends = [self._taken(self._near(model, DECODE, batch, prompt + at)) for at in (1, steps)]
        ps = sum(end.ps for end in ends) / len(ends)
        return Taken(round(ps * steps), sum(end.energy_j for end in ends) / len(ends) * steps)

    def switch(self, model: str) -> Taken:
        """The copy of a model's weights to the nearest memory, alone.

        Time is that of the slowest hop for one transfer of all weights; a run that stages them
        goes tile by tile and pays the setup of each. Energy is what such a run takes more than with
        its weights nearby; of tables that a step touches a part of, the rest costs as much a byte.
        """
        assert self.behind is not None
        size = self.weights_bytes(model)
        near = self._near(model, DECODE, 1, 1)
        far = self._run(model, DECODE, 1, 1, self.behind)
        more = self._taken(far).energy_j - self._taken(near).energy_j
        return Taken(self._copy_ps(size), more * size / far["staging"]["bytes"])

    def _copy_ps(self, size_bytes: int) -> int:
        """Time of the slowest hop between the memory behind and the nearest one."""
        machine, slowest = self.machine, [0]
        assert self.behind is not None
        for source, target in pairwise(machine.route(self.behind)):
            ports = machine.memories[source], machine.memories[target]
            port = min(ports, key=lambda memory: memory.peak_bytes_per_s)
            slowest.append(machine.mover(source, target).transfer_ps(port, size_bytes))
        return max(slowest)

    def breakdown(self, model: str, prompt: int) -> dict[str, dict[str, float]]:
        """Shares of a prompt's time and of the first step behind it; empty on one device."""
        found = {
            PREFILL: self._near(model, PREFILL, 1, prompt).get("breakdown"),
            DECODE: self._near(model, DECODE, 1, prompt + 1).get("breakdown"),
        }
        return {phase: shares for phase, shares in found.items() if shares}

    def weights_bytes(self, model: str) -> int:
        """Weights of a model that each device holds."""
        held = _nearest(self._near(model, DECODE, 1, 1))["held_bytes"]
        return int(held["weights"])

    @property
    def devices(self) -> int:
        """Devices of the machine."""
        return self.machine.devices

    @property
    def nearest(self) -> str:
        """The memory that models run from."""
        return self.machine.dram.name

    @property
    def behind(self) -> str | None:
        """The memory that holds all experts: the last that is read by way of the nearest one."""
        far = [m.name for m in self.machine.tiers if len(self.machine.route(m.name)) > 1]
        return far[-1] if far else None

    def capacity_bytes(self, memory: str) -> int:
        """What a memory of a device holds."""
        return self.machine.memories[memory].capacity_bytes

    @cached_property
    def machine(self) -> Machine:
        """The machine as it is built; its description was checked."""
        return build(load_hardware(self.hardware, set_=self._own))

    @property
    def _own(self) -> tuple[str, ...]:
        return tuple(s for s in self.set_ if not s.startswith("workload."))

    def _near(self, model: str, phase: str, batch: int, tokens: int) -> dict[str, Any]:
        return self._run(model, phase, batch, tokens, self.nearest)

    def _run(self, model: str, phase: str, batch: int, tokens: int, home: str) -> dict[str, Any]:
        key = model, phase, batch, tokens, home
        if key not in self._known:
            self._known[key] = self._simulated(*key)
            self.runs += 1
        return self._known[key]

    def _simulated(
        self, model: str, phase: str, batch: int, tokens: int, home: str
    ) -> dict[str, Any]:
        place = f"placement.weights=[{home}]"
        try:
            result = run(
                self.hardware, model, set_=(*self.set_, place), fidelity=self.fidelity,
                phase=phase, batch=batch, advice=False,
                tokens=tokens if phase == PREFILL else None,
                context=tokens if phase == DECODE else None,
            ).result  # fmt: skip
        except Infeasible as error:
            raise Infeasible(
                f"{model} does not run from {self.nearest} alone: {self._short(error)}",
                code=error.code, details=error.details,
                help="narrower weights, a smaller batch, or more devices",
            ) from None  # fmt: skip
        shares = (result.get("parallel") or {}).get("shares", ())
        if len(shares) > 1:
            raise InputError(
                f"the plan gives devices {len(shares)} different shares of {model}",
                code="E203",
                help="compositions are of models that all devices share alike: parallel.tensor",
            )
        held = _nearest(result)["held_bytes"]
        beside = sum(size for name, size in held.items() if name != "weights")
        self.work_bytes = max(self.work_bytes, beside)
        energy = result["metrics"]["energy_j"]["by_component"]
        self.leakage_w = energy.get("leakage", 0.0) / result["metrics"]["time_s"]
        return result

    def _short(self, error: Infeasible) -> str:
        """What is short of room, in which memories; of a lone memory the error has said so."""
        classes = error.details.get("classes")
        if not classes:
            return error.message
        lacking = [c for c in classes if c["short_bytes"]]
        where = dict.fromkeys(memory for c in lacking for memory in c["where"])
        holds = " and ".join(
            f"{memory} holds {format_bytes(self.capacity_bytes(memory))}" for memory in where
        )
        need, short = (sum(c[key] for c in classes) for key in ("need_bytes", "short_bytes"))
        each = f" of each of {self.devices} devices" if self.devices > 1 else ""
        return f"it takes {format_bytes(need)}{each}, {holds}: short by {format_bytes(short)}"

    @staticmethod
    def _taken(result: dict[str, Any]) -> Taken:
        energy = result["metrics"]["energy_j"]
        leakage = energy["by_component"].get("leakage", 0.0)
        return Taken(int(result["time_ps"]), energy["total"] - leakage)


def _nearest(result: dict[str, Any]) -> dict[str, Any]:
    """The nearest memory of a run, with what it holds."""
    found: dict[str, Any] = result["placement"]["tiers"][0]
    return found
