"""BitMoD rows: a prompt of 256 tokens and a token after as many, on four arrays of units."""

from __future__ import annotations

from typing import Any

from archsim.api import run
from archsim.core.data import names
from archsim.core.errors import Unsupported
from archsim.validation.base import Adapter, Row

# BitMoD (Chen et al., HPCA 2025), its simulator, test_*.py: mean bits of a weight at which each
# accelerator is lossless or acceptably lossy; those of ANT and OliVe are told model by model
ANT = {"opt-1.3b": 5, "phi-2": 5, "yi-6b": 5.25, "llama-2-7b": 5, "llama-2-13b": 4, "llama-3-8b": 5}
OLIVE = {"opt-1.3b": 4, "phi-2": 4, "yi-6b": 4, "llama-2-7b": 4, "llama-2-13b": 4,
         "llama-3-8b": 4.5}  # fmt: skip
BITMOD = {"BitMoD_lossless": (6, 6), "BitMoD_lossy": (4, 3)}  # of a prompt, of generation
GROUP = {"group": 128, "scale_bytes": 1}  # BitMoD: 8 bits for each 128 weights
TOKENS = 256
PRESETS = {"phi-2b": "phi-2"}
MACHINES = {"FP16": "fp16-array", "ANT_lossy": "ant", "OliVe_lossy": "olive",
            **dict.fromkeys(BITMOD, "bitmod")}  # fmt: skip


class BitMod(Adapter):
    """Cycles and dynamic energy of BitMoD and of what it is compared with."""

    kind = "bitmod"
    ID = "accelerator"
    NEEDS = ("accelerator", "model")

    def label(self, row: Row) -> str:
        """Accelerator and model."""
        return f"{row['accelerator']} {row['model']}"

    def run(self, row: Row) -> dict[str, float]:
        """A prompt and a token: products one after the other, as the simulator has them."""
        machine = MACHINES.get(row["accelerator"])
        if machine is None:
            known = ", ".join(MACHINES)
            raise Unsupported(f'accelerator "{row["accelerator"]}" is not one of {known}')
        found = {}
        for generates, cycles, energy in (
            (False, "cycles_discriminative", "total_uJ_disc"),
            (True, "cycles_per_token", "total_uJ_per_token"),
        ):
            work = self._workload(row, generates=generates)
            report = run(machine, work, set_=self.set_, fidelity="analytic", advice=False)
            products = [op for op in report.ops if op["macs"]]  # all that the simulator counts
            found[cycles] = sum(op["time_ps"] for op in products) / 1000  # of 1 GHz
            found[energy] = sum(op["energy_j"] for op in products) * 1e6  # no static power
        return found

    def _workload(self, row: Row, *, generates: bool) -> dict[str, Any]:
        """The model at the accelerator's element types, in a phase of 256 tokens."""
        model = PRESETS.get(row["model"].lower(), row["model"].lower())
        if model not in names("workloads/models"):
            raise Unsupported(f'model "{row["model"]}" is none that ships')
        return {
            "schema": "archsim.workload/1",
            "name": f"{model}-{'token' if generates else 'prompt'}",
            "model": {"preset": model},
            "phase": {"kind": "decode", "context": TOKENS}
            if generates
            else {"kind": "prefill", "tokens": TOKENS, "logits": "all"},
            "scores": "block_diagonal",  # as the simulator counts them
            "dtypes": {
                "weights": self._weights(row["accelerator"], model, generates=generates),
                "activations": "fp16",
                "kv_cache": "int8" if row["accelerator"] in BITMOD else "fp16",
            },
        }

    def _weights(self, accelerator: str, model: str, *, generates: bool) -> str | dict[str, Any]:
        if accelerator == "FP16":
            return "fp16"
        if accelerator in BITMOD:
            return {"bits": BITMOD[accelerator][generates], **GROUP, "computes_as": "fp16"}
        bits = (ANT if accelerator == "ANT_lossy" else OLIVE).get(model)
        if bits is None:
            raise Unsupported(f"the bits that {accelerator} needs for {model} are not published")
        return {"bits": bits, "computes_as": "fp16"}
