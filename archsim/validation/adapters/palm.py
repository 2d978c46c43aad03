"""PaLM on pods of TPU v4: prefill, and decode token by token.

Heads are padded to a multiple of the chips, as the authors do (48 to 64 on 64 chips). A pod of
fewer chips than a cube of 64 is taken as a torus too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from archsim.api import run
from archsim.core.data import find
from archsim.core.errors import Unsupported
from archsim.core.yamlio import load_yaml
from archsim.validation.adapters import _gpu
from archsim.validation.base import Adapter, Row

T = TypeVar("T")

MACHINE = "tpu-v4-64"
PEAK_FLOPS = 275e12  # a chip, bf16: Jouppi et al., TPU v4 (ISCA 2023), table 4
CONTEXT = 2048  # tokens before the first that is generated: Pope et al. 2023, section 4

# chips along each dimension; groups of the first one share the model's width
POD = {8: (2, 2, 2), 16: (2, 2, 4), 32: (2, 4, 4), 64: (4, 4, 4), 128: (4, 4, 8), 256: (8, 8, 4)}
LAYOUTS = {
    "WS 1D": "1d", "WS 2D": "2d", "WG X": "gathered_x", "WG XY": "gathered_xy",
    "WG XYZ": "gathered_xyz",
}  # fmt: skip
ATTENTION = {"batch": "batch", "head": "heads", "heads": "heads"}
# int8 is a form of storage: products are of bf16 (Pope et al. 2023, section 3.6)
WEIGHTS: dict[str, object] = {"bf16": "bf16", "int8": {"bits": 8, "computes_as": "bf16"}}
# parameters: Chowdhery et al., PaLM (2022), table 1
MODELS = {
    "540B": ("palm-540b", 540.35e9), "62B": ("palm-62b", 62.50e9), "8B": ("palm-8b", 8.63e9),
}  # fmt: skip
FITTED = {
    "chips": "64", "batch": "512", "tokens": "2048", "ffn_layout": "WG XYZ", "weights": "bf16",
}  # fmt: skip
SHARES = ("compute", "memory", "communication", "launch", "bubble")


class Palm(Adapter):
    """Latency of a row, and the share of the peak that its arithmetic is."""

    kind = "palm"
    NEEDS = ("case", "chips", "batch", "tokens", "ffn_layout", "attention_sharding", "weights")

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that remembers where the time of its last row went."""
        super().__init__(set_)
        self._shares: dict[str, float] = {}

    def run(self, row: Row) -> dict[str, float]:
        """A prompt in one step; or the mean of the first and the last token, times the tokens.

        A step takes longer in proportion to its context, so that the mean of the two is that of
        all.
        """
        chips, batch, tokens = (_gpu.count(row, x) for x in ("chips", "batch", "tokens"))
        _, parameters = _model(row)
        if _prefills(row):
            latency_s = self._step(row, {"kind": "prefill", "tokens": tokens})
        else:
            ends = {CONTEXT + 1, CONTEXT + tokens}
            steps = [self._step(row, {"kind": "decode", "context": n}) for n in sorted(ends)]
            latency_s = tokens * sum(steps) / len(steps)
        flops = 2 * parameters * batch * tokens
        return {
            "latency_s": latency_s,
            "MFU_pct": 100 * flops / (chips * PEAK_FLOPS * latency_s),
        }

    def label(self, row: Row) -> str:
        """Case, chips, batch, layout."""
        layout = f"{row['ffn_layout']}/{row['attention_sharding']}"
        return f"{row['case']} x{row['chips']} batch {row['batch']} {layout} {row['weights']}"

    def gates(self, metric: str, row: Row) -> bool:
        """All but the row that a parameter was fitted on."""
        fitted = all(row[column] == text for column, text in FITTED.items())
        return not (fitted and _prefills(row) and _model(row)[0] == "palm-540b")

    def note(self, row: Row) -> str:
        """Where the time went."""
        return ", ".join(f"{name} {100 * self._shares[name]:.1f} %" for name in SHARES)

    def _step(self, row: Row, phase: dict[str, Any]) -> float:
        """Seconds of one step."""
        chips = _gpu.count(row, "chips")
        if chips not in POD:
            raise Unsupported(f"a pod of {chips} chips: there are {', '.join(map(str, POD))}")
        phase = {**phase, "batch": _gpu.count(row, "batch")}
        result = run(
            MACHINE,
            _workload(row, phase, chips),
            set_=(f"interconnect.ici.dims={list(POD[chips])}", *self.set_),
            fidelity="tile",
            advice=False,
        ).result
        self._shares = result["breakdown"]
        return float(result["time_ps"]) / 1e12


def _workload(row: Row, phase: dict[str, Any], chips: int) -> dict[str, Any]:
    name, _ = _model(row)
    model = dict(load_yaml(find(name, "workloads/models")).data["model"])
    model["heads"] = -(-model["heads"] // chips) * chips
    return {
        "schema": "archsim.workload/1",
        "name": name,
        "model": {"config": model},
        "phase": phase,
        "parallel": {
            "tensor": chips,
            "layout": _known(row, "ffn_layout", LAYOUTS),
            "attention": _known(row, "attention_sharding", ATTENTION),
        },
        "dtypes": {
            "weights": _known(row, "weights", WEIGHTS), "activations": "bf16", "kv_cache": "bf16",
        },
    }  # fmt: skip


def _prefills(row: Row) -> bool:
    """Whether a row is a prompt.

    Raises:
        Unsupported: for a case that names neither phase.
    """
    case = row["case"].lower()
    if ("prefill" in case) == ("decode" in case):
        raise Unsupported(f'case "{row["case"]}" is neither of prefill nor of decode')
    return "prefill" in case


def _model(row: Row) -> tuple[str, float]:
    """Preset and parameters: that of a `model` column, or named in the case; else the 540B."""
    text = f"{row.get('model', '')} {row['case']}".upper()
    return next((found for size, found in MODELS.items() if size in text), MODELS["540B"])


def _known(row: Row, column: str, names: Mapping[str, T]) -> T:
    """What a text of a column stands for.

    Raises:
        Unsupported: for one that the table's paper does not have.
    """
    if row[column] not in names:
        raise Unsupported(f'{column} "{row[column]}" is not one of {", ".join(names)}')
    return names[row[column]]
