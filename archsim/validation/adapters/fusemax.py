"""FuseMax's attention layer in five configurations: unfused, FLAT, and three stages of FuseMax."""

from __future__ import annotations

from archsim.api import place_only, run
from archsim.core.errors import Unsupported
from archsim.ir.cascade_mapping import CascadeMapping
from archsim.validation.adapters import _fusemax
from archsim.validation.base import Adapter, Row


class FuseMax(Adapter):
    """Bytes, latency, use of the array and energy of one layer's attention, batch 64."""

    kind = "fusemax"
    NEEDS = ("config", "model", "seq_len")

    def run(self, row: Row) -> dict[str, float]:
        """One attention through the same call that users make."""
        if row["config"] not in _fusemax.DATAFLOWS:
            known = ", ".join(_fusemax.DATAFLOWS)
            raise Unsupported(f'column config expects one of {known}, got "{row["config"]}"')
        of, length = _fusemax.model(row), _fusemax.tokens(row)
        hardware = _fusemax.machine(row["config"], of, length)
        work = _fusemax.workload([_fusemax.attention(of, length)])
        report = run(hardware, work, set_=self.set_, fidelity="tile", advice=False)
        (op,) = report.ops
        time_s = report.result["metrics"]["time_s"]
        counted = report.result["traffic"]["dram"]["total_bytes"]
        mapping = place_only(hardware, work, set_=self.set_).blocks[0].stages[0].mapping
        assert isinstance(mapping, CascadeMapping)
        traffic = sum(mapping.traffic().values())
        slots = op["mapping_eff_pct"] / 100 * op["compute_cycles"]
        return {
            # a run moves whole bytes of each tensor; a spilled share of scores need not be whole
            "dram_bytes": float(traffic) if abs(counted - traffic) < len(mapping.traffic())
            else counted,
            "latency_s": time_s,
            "util_2d": slots / (time_s * _fusemax.CLOCK_HZ),
            "energy_J": report.result["metrics"]["energy_j"]["total"],
        }  # fmt: skip

    def label(self, row: Row) -> str:
        """Configuration, model and tokens."""
        return f"{row['config']} {row['model']} {row['seq_len']}"
