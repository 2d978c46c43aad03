"""SCALE-Sim rows: one layer on one array, at its dataflow, as a topology on `scalesim-128`."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, nan

from archsim.api import run
from archsim.core.data import find
from archsim.core.errors import Unsupported
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
BANDWIDTHS = ("CALC", "USER")
SRAMS = ("ifmap_sram_kb", "filter_sram_kb", "ofmap_sram_kb")


class ScaleSim(Adapter):
    """Cycles, folds and accesses of systolic arrays against SCALE-Sim v3.0.0."""

    kind = "scalesim"
    ID = "case_id"
    NEEDS = ("case_id", "kind", "dataflow", "rows", "cols", "M", "N", "K", *CONV.values(),
             "bw_mode", "user_bw_words_per_cycle", *SRAMS)  # fmt: skip

    def run(self, row: Row) -> dict[str, float]:
        """One layer through the same call that users make."""
        report = run(
            self._hardware(row), self._workload(row), set_=self.set_, fidelity="tile", advice=False
        )
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
        m, n, k = (_count(row, x) for x in "MNK")
        image = m * k
        if row["filt_h"]:
            image = _count(row, "ifmap_h") * _count(row, "ifmap_w") * _count(row, "channels")
        return all(
            size <= _count(row, sram) * 512
            for size, sram in zip((image, k * n, m * n), SRAMS, strict=True)
        )

    def _hardware(self, row: Row) -> dict[str, object]:
        """The shipped machine with the row's array, buffers and bandwidth."""
        data = load_yaml(find("scalesim-128", "configs")).data
        data["engines"]["array"] |= {side: _count(row, side) for side in ("rows", "cols")}
        capacity = sum(_count(row, sram) for sram in SRAMS)
        data["memory"]["sram"]["capacity"] = f"{capacity} KiB"
        if _one_of(row, "bw_mode", BANDWIDTHS) == "USER":
            words = _positive(row, "user_bw_words_per_cycle")
            data["memory"]["hbm"]["bandwidth"] = f"{3 * words:g} GB/s"  # three ports, 1 B words
        data["mapping"][0]["dataflow"] = DATAFLOWS[_one_of(row, "dataflow", DATAFLOWS)]
        return dict(data)

    def _workload(self, row: Row) -> dict[str, object]:
        layer: dict[str, object] = {"name": "layer"}
        if row["filt_h"]:
            layer |= {head: _count(row, column) for head, column in CONV.items()}
        else:
            layer |= {rank.lower(): _count(row, rank) for rank in "MNK"}
        return {
            "schema": "archsim.workload/1",
            "name": row["case_id"],
            "model": {"layers": [layer]},
            "dtypes": {"weights": "int8", "activations": "int8", "accumulators": "int8"},
        }


def _count(row: Row, column: str) -> int:
    """A whole number above 0, also as a table with gaps may print it: 3.0.

    Raises:
        Unsupported: for anything else.
    """
    value = _positive(row, column)
    if not value.is_integer():
        raise Unsupported(f'column {column} expects a whole number, got "{row[column]}"')
    return int(value)


def _positive(row: Row, column: str) -> float:
    """A number above 0.

    Raises:
        Unsupported: for anything else.
    """
    try:
        value = float(row[column])
    except ValueError:
        value = nan
    if not 0 < value < inf:
        raise Unsupported(f'column {column} expects a number above 0, got "{row[column]}"')
    return value


def _one_of(row: Row, column: str, known: Iterable[str]) -> str:
    """A word of a column that has so many.

    Raises:
        Unsupported: for any other.
    """
    text = row[column]
    if text not in known:
        raise Unsupported(f'column {column} expects one of {", ".join(known)}, got "{text}"')
    return text
