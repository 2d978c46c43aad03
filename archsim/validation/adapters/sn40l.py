"""SN40L's published results: fusion of whole layers, switching between experts, footprint.

Fusion is an end of a range over those of the paper's language models that are shipped here; it is
right where all lie on the inner side of it. Switching and footprint follow from where weights lie.
Speed-ups of a composition are reported and do not count: lengths of prompts, the router and what
experts take on the DGX are not public, so the shipped composition assumes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from archsim.api import run
from archsim.core.errors import Unsupported
from archsim.validation.adapters import _sn40l
from archsim.validation.adapters._sn40l import DECODE, PREFILL, Fused, Node
from archsim.validation.base import Adapter, Row

VALUE, OTHER = "vs_DGX_A100_or_value", "vs_DGX_H100"
# of table III: models, with the length of their sequences
MODELS = (
    ("llama-2-7b", 4096), ("llama-2-70b", 4096), ("mistral-7b", 2048), ("mistral-7b", 4096),
    ("falcon-40b", 2048),
)  # fmt: skip
EXPERT = "llama-2-7b"
EXPERTS = 850  # that one node of SN40L holds (section VI-C)
DGX_GPUS, DGX_MEMORY = 8, "80 GB"  # a DGX A100 or H100: 640 GB in eight GPUs
# from host to GPU, as the paper assumes: of the whole node, so an eighth for what one socket has
DGX_LINK_GB_PER_S = {VALUE: 32, OTHER: 64}
FUSION = {
    "prefill/train/sparseGPT fused over unfused, range low": (PREFILL, min),
    "prefill/train/sparseGPT fused over unfused, range high": (PREFILL, max),
    "decode fused over unfused low (Mistral highest)": (DECODE, min),
    "decode fused over unfused high": (DECODE, max),
}
LAUNCHED = {
    "hardware orchestration speedup on decode low": (DECODE, min),
    "hardware orchestration speedup on decode high": (DECODE, max),
    "hardware orchestration max on prefill/train": (PREFILL, max),
}
CALLS = "kernel call ratio llama7B-4k-inf-prefill"
SWITCHING = "Model switching time"
FOOTPRINT = "footprint: DGX nodes needed for 850 experts in HBM (1 SN40L node holds them)"
COMPOSED = re.compile(r"(Overall|Expert) speedup BS=(\d+) (\d+) output tokens")
DGX = {VALUE: "dgx-a100-host", OTHER: "dgx-h100-host"}
REASONS = {
    "FlashFFTConv": "sizes of its convolution are not given, and they decide: as a graph of "
    "products and twiddles, 2^20 points gain 1.5 x and 2^10 points 8.5 x",
}


class Sn40l(Adapter):
    """Fused over unfused layers, launches, switching and footprint."""

    kind = "sn40l"
    NEEDS = ("metric",)
    ID = "metric"

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that runs each model once."""
        super().__init__(set_)
        self._known: dict[tuple[str, str, int], Fused] = {}
        self._nodes_known: dict[tuple[str, int, int], Node] = {}

    def run(self, row: Row) -> dict[str, float]:
        """What a row asks, by column."""
        name = row["metric"]
        if name in FUSION:
            phase, end = FUSION[name]
            return {VALUE: end(self._fused(m, phase, n).fusion for m, n in MODELS)}
        if name in LAUNCHED:
            phase, end = LAUNCHED[name]
            return {VALUE: end(self._fused(m, phase, n).hardware for m, n in MODELS)}
        if name == CALLS:
            return {VALUE: self._fused("llama-2-7b", PREFILL, 4096).launches}
        if name == SWITCHING:
            here = self._copied_s()
            return {column: self._copied_s(gb / _sn40l.SOCKETS) / here
                    for column, gb in DGX_LINK_GB_PER_S.items()}  # fmt: skip
        if name == FOOTPRINT:
            return {VALUE: float(self._nodes())}
        if match := COMPOSED.fullmatch(name):
            return self._faster(match[1], int(match[2]), int(match[3]))
        reason = next((why for start, why in REASONS.items() if name.startswith(start)), None)
        raise Unsupported(reason or f'no run gives "{name}"')

    def gates(self, metric: str, row: Row) -> bool:
        """Launches and compositions depend on what nobody has published: they are reported."""
        name = row["metric"]
        return name not in LAUNCHED and name != CALLS and not COMPOSED.fullmatch(name)

    def inside(self, metric: str, row: Row, want: float, got: float) -> bool | None:
        """On the inner side of an end of a range."""
        end = {**FUSION, **LAUNCHED}.get(row["metric"])
        if end is None:
            return None
        return got >= want if end[1] is min else got <= want

    def _fused(self, model: str, phase: str, tokens: int) -> Fused:
        key = model, phase, tokens
        if key not in self._known:
            self._known[key] = _sn40l.fused(_sn40l.workload(*key), self.set_)
        return self._known[key]

    def _faster(self, of: str, batch: int, output: int) -> dict[str, float]:
        """Seconds of the DGX nodes over those of this one: of all, or of an expert alone."""
        here = self._node(_sn40l.NODE, batch, output)
        found = {}
        for column, machine in DGX.items():
            there = self._node(machine, batch, output)
            overall = there.overall_s / here.overall_s
            found[column] = overall if of == "Overall" else there.expert_s / here.expert_s
        return found

    def _node(self, machine: str, batch: int, output: int) -> Node:
        key = machine, batch, output
        if key not in self._nodes_known:
            own = self.set_ if machine == _sn40l.NODE else ()
            self._nodes_known[key] = _sn40l.served(machine, batch, output, own)
        return self._nodes_known[key]

    def _copied_s(self, link_gb_per_s: float | None = None) -> float:
        """Seconds in which the weights of an expert come from the memory behind, for one token."""
        far = ["placement.weights=[ddr]"]
        if link_gb_per_s is not None:
            far.append(f"interconnect.ddr_dma.bandwidth={link_gb_per_s:g} GB/s")
        report = run(
            _sn40l.MACHINE, EXPERT, set_=(*far, *self.set_),
            phase=DECODE, batch=1, context=1, fidelity="tile",
            advice=False,
        )  # fmt: skip
        return float(report.result["staging"]["busy_s"])

    def _nodes(self) -> int:
        """DGX nodes whose HBM holds all experts."""
        held = run(
            "a100", EXPERT, set_=(f"memory.hbm.capacity={DGX_MEMORY}", *self.set_),
            phase=DECODE, batch=1, context=1, fidelity="analytic",
            advice=False,
        ).result["placement"]["tiers"][0]  # fmt: skip
        each = DGX_GPUS * held["capacity_bytes"] // held["held_bytes"]["weights"]
        return -(-EXPERTS // int(each))
