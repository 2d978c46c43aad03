"""A layer of GPT-3 on four A100, operator by operator, as LLMCompass's authors measured it.

Their program multiplies by Q, K and V one after the other, scores are written to memory and read
again, and every operator is a kernel that the host launches. Residuals and the write into the cache
are no operators of theirs, so that they are not part of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from archsim.api import run
from archsim.core.data import find
from archsim.core.errors import Unsupported
from archsim.core.yamlio import load_yaml
from archsim.validation.base import Adapter, Row

MACHINE = "a100x4-eager"
DEVICES, BATCH = 4, 8
PHASES: dict[str, dict[str, Any]] = {
    "prefill_s": {"kind": "prefill", "batch": BATCH, "tokens": 2048},
    "decode_s": {"kind": "decode", "batch": BATCH, "context": 2048 + 1024},
}
OPERATORS = {
    "Q_K_V": ("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    "Q_mul_K": ("attn.score",),
    "A_mul_V": ("attn.value",),
    "Wo_proj": ("attn.out",),
    "W1_proj": ("ffn.up",),
    "W2_proj": ("ffn.down",),
    "Softmax": ("attn.softmax",),
    "LayerNorm_MHA": ("attn_norm",),
    "LayerNorm_FFN": ("ffn_norm",),
    "GeLU": ("ffn.act",),
    "AllReduce_MHA": ("attn.out.all_reduce",),
    "AllReduce_FFN": ("ffn.down.all_reduce",),
}
LAYER = "TOTAL"
PRODUCTS = ("Q_K_V", "Wo_proj", "W1_proj", "W2_proj")  # by weights
LONG_S = 150e-6  # below it a product is mostly launch


class Gpt3Layer(Adapter):
    """Seconds of an operator, or of the layer, in both phases."""

    kind = "gpt3-layer"
    NEEDS = ("operator",)
    ID = "operator"
    COLUMN: ClassVar = {"layer_prefill_s": "prefill_s", "layer_decode_s": "decode_s"}

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that runs each phase once."""
        super().__init__(set_)
        self._known: dict[str, tuple[dict[str, float], dict[str, float]]] = {}

    def run(self, row: Row) -> dict[str, float]:
        """Seconds by column: an operator's, or the sum of all.

        Raises:
            Unsupported: for an operator that the table does not have.
        """
        name = row["operator"]
        if name.startswith(LAYER):
            return {f"layer_{phase}": sum(self._times(phase).values()) for phase in PHASES}
        if name not in OPERATORS:
            raise Unsupported(f'operator "{name}" is not one of {", ".join(OPERATORS)}')
        return {phase: self._times(phase)[name] for phase in PHASES}

    def gates(self, metric: str, row: Row) -> bool:
        """Products by weights that take longer than launches do, and the layer."""
        if metric not in PHASES:
            return True
        name = row["operator"]
        return name in PRODUCTS and self._times(metric)[name] > LONG_S

    def note(self, row: Row) -> str:
        """Where the time of the layer's run went."""
        if not row["operator"].startswith(LAYER):
            return ""
        parts = []
        for phase in PHASES:
            shares = self._phase(phase)[1]
            text = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
            parts.append(f"{phase.removesuffix('_s')}: {text}")
        return "; ".join(parts)

    def _times(self, phase: str) -> dict[str, float]:
        return self._phase(phase)[0]

    def _phase(self, phase: str) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds by operator, and shares of the time by what devices do."""
        if phase not in self._known:
            report = run(
                MACHINE, _workload(PHASES[phase]), set_=self.set_, fidelity="tile", advice=False
            )
            ps = {row["op"].removeprefix("layer/"): row["time_ps"] for row in report.ops}
            times = {name: sum(ps[op] for op in ops) / 1e12 for name, ops in OPERATORS.items()}
            self._known[phase] = times, report.result["breakdown"]
        return self._known[phase]


def _workload(phase: dict[str, Any]) -> dict[str, Any]:
    model = dict(load_yaml(find("gpt3-175b", "workloads/models")).data["model"])
    model |= {"layers": 1, "fused_qkv": False, "positions": PHASES["decode_s"]["context"]}
    return {
        "schema": "archsim.workload/1",
        "name": "gpt3-layer",
        "model": {"config": model},
        "phase": phase,
        "parallel": {"tensor": DEVICES},
        "dtypes": {"weights": "fp16", "activations": "fp16", "kv_cache": "fp16"},
    }
