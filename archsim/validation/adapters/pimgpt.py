"""PIM-GPT's published results: generation of one sequence, over a GPU and a CPU.

Times and energies of a generation are those of four steps, in the middle of each fourth of its
tokens, times their number: a step takes longer in proportion to its context, but for the rows of a
bank that it fills. The baselines hold fp32, as Hugging Face loads it; PIM-GPT holds bf16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from archsim.core.errors import Unsupported
from archsim.validation.adapters import _pim_systems
from archsim.validation.base import Row

SYSTEMS = {"pim_gpt": ("pim-gpt", "bf16")}
BASELINES = {"gpu_t4": ("t4", "fp32"), "cpu_xeon": ("xeon", "fp32")}
FRAMEWORK = " with framework overhead"
EAGER = "-eager"  # ends the name of a machine under a framework
METRICS = {"throughput_ratio": 0, "energy_ratio": 1}
STEPS = 4


class Generated(NamedTuple):
    """What a generation takes: seconds, and joules."""

    seconds: float
    joules: float


class PimGpt(_pim_systems.PimSystem):
    """A baseline's time or energy over PIM-GPT's, model by model."""

    kind = "pimgpt"
    GAPS = frozenset({_pim_systems.HIGH})

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that runs each machine and model once."""
        super().__init__(set_)
        self._known: dict[tuple[str, str, int], Generated] = {}
        self._last: dict[str, float] = {}

    def run(self, row: Row) -> dict[str, float]:
        """The least and the greatest ratio of a row's models, or their mean.

        Raises:
            Unsupported: for a system, a baseline, a metric or a load that the paper does not have.
        """
        if row["metric"] not in METRICS:
            raise Unsupported(f'metric "{row["metric"]}" is not of the paper')
        if _pim_systems.number(row["workload"], "batch") != 1:
            raise Unsupported("the paper's loads are of one sequence")
        figure, tokens = METRICS[row["metric"]], _pim_systems.number(row["workload"], "tokens")
        ours = _machine(row["system"], SYSTEMS)
        name, dtype = _machine(row["baseline"].removesuffix(FRAMEWORK), BASELINES)
        theirs = (name + EAGER if row["baseline"].endswith(FRAMEWORK) else name, dtype)
        self._last = {
            model: self._of(theirs, model, tokens)[figure] / self._of(ours, model, tokens)[figure]
            for model in _pim_systems.names(row["model"])
        }
        return _pim_systems.figures(row, list(self._last.values()))

    def note(self, row: Row) -> str:
        """The ratio of each model."""
        return ", ".join(f"{model} {ratio:.1f}" for model, ratio in self._last.items())

    def _of(self, machine: tuple[str, str], model: str, tokens: int) -> Generated:
        name, dtype = machine
        if (name, model, tokens) not in self._known:
            found = [self._step(name, dtype, model, n) for n in _contexts(tokens)]
            seconds, joules = (sum(part) / len(found) * tokens for part in zip(*found, strict=True))
            self._known[name, model, tokens] = Generated(seconds, joules)
        return self._known[name, model, tokens]

    def _step(self, machine: str, dtype: str, model: str, context: int) -> Generated:
        workload = _pim_systems.decode(model, {"preset": model}, dtype, context, batch=1)
        found = _pim_systems.step(machine, workload, self.set_)
        return Generated(found.seconds, found.joules)


def _contexts(tokens: int) -> list[int]:
    """Tokens attended by the step in the middle of each fourth."""
    steps = min(STEPS, tokens)
    return [tokens * (2 * i + 1) // (2 * steps) or 1 for i in range(steps)]


def _machine(text: str, machines: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Shipped machine and element type.

    Raises:
        Unsupported: for one that the paper does not have.
    """
    if text not in machines:
        raise Unsupported(f'"{text}" is not one of {", ".join(machines)}')
    return machines[text]
