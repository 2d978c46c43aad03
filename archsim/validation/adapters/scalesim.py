"""SCALE-Sim rows: one layer on one array, at its dataflow, as a topology on `scalesim-128`."""

from __future__ import annotations

from archsim.api import run
from archsim.core.data import find
from archsim.core.yamlio import load_yaml
from archsim.validation.base import Adapter, Row

DATAFLOWS = {"os": "output_stationary", "ws": "weight_stationary", "is": "input_stationary"}
CONV = {
    "ifmap_height": "ifmap_h",
    "ifmap_width": "ifmap_w",
    "filter_height": "filt_h",
    "filter_width": "filt_w",
    "channels": "channels",
    "num_filter": "num_filters",
    "strides": "stride",
}
SRAMS = ("ifmap_sram_kb", "filter_sram_kb", "ofmap_sram_kb")


class ScaleSim(Adapter):
    """Cycles, folds and accesses of systolic arrays against SCALE-Sim v3.0.0."""

    kind = "scalesim"
    ID = "case_id"
    NEEDS = ("case_id", "kind", "dataflow", "rows", "cols", "M", "N", "K", *CONV.values(),
             "bw_mode", "user_bw_words_per_cycle", *SRAMS)  # fmt: skip

    def run(self, row: Row) -> dict[str, float]:
        """One layer through the same call that users make."""
        report = run(self._hardware(row), self._workload(row), fidelity="tile")
        op = report.ops[0]
        return {
            "compute_cycles": op["compute_cycles"],
            "folds": op["folds"],
            "mapping_eff_pct": op["mapping_eff_pct"],
            "sram_ifmap_reads": op["sram_in_reads"],
            "sram_filter_reads": op["sram_weight_reads"],
            "sram_ofmap_writes": op["sram_out_writes"],
            "dram_ifmap_reads": op["dram_in_bytes"],
            "dram_filter_reads": op["dram_weight_bytes"],
        }

    def gates(self, metric: str, row: Row) -> bool:
        """Where the table's figure is a count of accesses and not of the simulator's prefetches."""
        if metric == "sram_ofmap_writes":
            return row["dataflow"] != "os"  # its figure counts idle drain slots
        if metric.startswith("dram_"):
            return row["bw_mode"] == "CALC" and self._fits(row)
        return True

    def _fits(self, row: Row) -> bool:
        """All three operands within half their SRAM: nothing is fetched twice."""
        m, n, k = (_whole(row[x]) for x in "MNK")
        image = m * k
        if row["filt_h"]:
            image = _whole(row["ifmap_h"]) * _whole(row["ifmap_w"]) * _whole(row["channels"])
        return all(
            size <= _whole(row[sram]) * 512
            for size, sram in zip((image, k * n, m * n), SRAMS, strict=True)
        )

    def _hardware(self, row: Row) -> dict[str, object]:
        """The shipped machine with the row's array, buffers and bandwidth."""
        data = load_yaml(find("scalesim-128", "configs")).data
        data["engines"]["array"] |= {side: _whole(row[side]) for side in ("rows", "cols")}
        capacity = sum(_whole(row[sram]) for sram in SRAMS)
        data["memory"]["sram"]["capacity"] = f"{capacity} KiB"
        if row["bw_mode"] == "USER":
            words = float(row["user_bw_words_per_cycle"])
            data["memory"]["hbm"]["bandwidth"] = f"{3 * words:g} GB/s"  # three ports, 1 B words
        data["mapping"][0]["dataflow"] = DATAFLOWS[row["dataflow"]]
        return dict(data)

    def _workload(self, row: Row) -> dict[str, object]:
        layer: dict[str, object] = {"name": "layer"}
        if row["filt_h"]:
            layer |= {head: _whole(row[column]) for head, column in CONV.items()}
        else:
            layer |= {rank.lower(): _whole(row[rank]) for rank in "MNK"}
        return {
            "schema": "archsim.workload/1",
            "name": row["case_id"],
            "model": {"layers": [layer]},
            "dtypes": {"weights": "int8", "activations": "int8", "accumulators": "int8"},
        }


def _whole(text: str) -> int:
    """A whole number, also as a table with gaps may print it: 3.0.

    Raises:
        ValueError: for anything else.
    """
    value = float(text)
    if not value.is_integer():
        raise ValueError(f'"{text}" is no whole number')
    return int(value)
