"""A whole layer on FuseMax against FLAT's machine: six products and attention, each in one run."""

from __future__ import annotations

from typing import Any

from archsim.api import run
from archsim.validation.adapters import _fusemax
from archsim.validation.base import Adapter, Row


class FuseMaxEndToEnd(Adapter):
    """Speed-up and energy of a layer of an encoder, batch 64, FuseMax over FLAT."""

    kind = "fusemax-e2e"
    NEEDS = ("model", "seq_len")

    def run(self, row: Row) -> dict[str, float]:
        """One layer on either machine through the same call that users make."""
        of, length = _fusemax.model(row), _fusemax.tokens(row)
        work = _fusemax.workload(_lines(of, length))
        flat, fused = (
            run(
                _fusemax.machine(c, of, length), work, set_=self.set_, fidelity="tile", advice=False
            ).result
            for c in ("flat", "binding")
        )
        energy = [r["metrics"]["energy_j"]["total"] for r in (fused, flat)]
        return {
            "e2e_speedup_vs_flat": flat["time_ps"] / fused["time_ps"],
            "e2e_energy_vs_flat": energy[0] / energy[1],
        }

    def label(self, row: Row) -> str:
        """Model and tokens."""
        return f"{row['model']} {row['seq_len']}"


def _lines(of: _fusemax.Model, length: int) -> list[dict[str, Any]]:
    """Q, K, V, attention, Z, and both products of the feed-forward part."""
    tokens = _fusemax.BATCH * length

    def product(name: str, columns: int, inner: int, after: str = "") -> dict[str, Any]:
        source = {"after": after} if after else {}
        return {"name": name, "kind": "gemm", "m": tokens, "n": columns, "k": inner, **source}

    wide = of.hidden
    return [
        *(product(name, wide, wide) for name in "qkv"),
        _fusemax.attention(of, length, after="q"),
        product("z", wide, wide, "attention"),
        product("ffn1", of.ffn, wide, "z"),
        product("ffn2", wide, of.ffn, "ffn1"),
    ]
