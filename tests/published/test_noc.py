"""Are networks under load those of BookSim2: to the printed digit, and at saturation?"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from archsim import api
from archsim.validation import validate
from archsim.validation.adapters.noc import _options
from archsim.validation.suite import HERE, read_table

ROWS = read_table(HERE / "tables" / "noc_reference.csv")
FEATURES = ("topology", "k", "num_vcs", "vc_buf_size", "packet_flits", "traffic", "stable")
ALSO = {
    "pkt_lat_min": "packet_latency_min", "pkt_lat_max": "packet_latency_max",
    "net_lat_avg": "net_latency", "flit_lat_avg": "flit_latency",
    "accepted_flit_rate_min": "accepted_min", "accepted_flit_rate_max": "accepted_max",
}  # fmt: skip


def sample() -> list[dict[str, str]]:
    """Rows that together have every feature, those of low load first, as they take least time."""
    chosen, seen = [], set()
    for row in sorted(ROWS, key=lambda r: float(r["injection_flits_per_node_cycle"])):
        features = {(name, row[name]) for name in FEATURES}
        if features - seen:
            seen |= features
            chosen.append(dict(row))
    return chosen


def test_a_row_of_every_feature_is_exact_and_near_with_other_numbers(tmp_path: Path) -> None:
    chosen = sample()
    assert 10 < len(chosen) < 25
    path = tmp_path / "sample.csv"
    with path.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(chosen[0]))
        writer.writeheader()
        writer.writerows(chosen)
    result = validate("noc", path)
    assert result.passed, [c for c in result.cases if c.status != "pass"][:5]
    found = result.metrics()
    for metric in ("stable", "pkt_lat_avg", "hops_avg", "accepted_flit_rate_avg", "cycles"):
        assert found[metric]["exact"] == found[metric]["n"] > 0
    assert found["stable"]["n"] == len(chosen)


def test_the_other_columns_are_exact_too() -> None:
    for row in sample()[:12]:
        if row["stable"] != "1":
            continue
        found = api.noc(rng="replay", seed=int(row["seed"]), **_options(row)).points[0].found
        for column, name in ALSO.items():
            assert f"{getattr(found, name):.6g}" == row[column], (row, column)


def test_the_rate_of_an_unstable_row_is_that_of_its_measured_periods() -> None:
    unstable = [row for row in ROWS if row["accepted_flit_rate_avg"] and row["stable"] == "0"]
    assert len(unstable) > 10
    for row in unstable[:4]:
        found = api.noc(rng="replay", seed=int(row["seed"]), **_options(row)).points[0].found
        assert not found.stable
        assert f"{found.accepted:.6g}" == row["accepted_flit_rate_avg"]


# lowest load with three times the latency of 0.01, or unstable: runs of BookSim2, seed 1
@pytest.mark.parametrize(
    ("topology", "traffic", "flits", "vcs", "buffer", "saturates"),
    [
        ("mesh:8x8", "uniform", 1, 8, 8, 0.345),
        ("mesh:8x8", "uniform", 5, 8, 8, 0.391),
        ("mesh:8x8", "transpose", 1, 8, 8, 0.132),
        ("mesh:8x8", "bitcomp", 5, 8, 8, 0.231),
        ("mesh:8x8", "tornado", 1, 8, 8, 0.224),
        ("mesh:8x8", "neighbour", 5, 8, 8, 0.970),
        ("mesh:8x8", "uniform", 5, 2, 8, 0.201),
        ("mesh:8x8", "uniform", 5, 4, 4, 0.327),
        ("torus:8x8", "uniform", 1, 8, 8, 0.257),
    ],
)
def test_saturation_is_near_that_of_the_reference(
    topology: str, traffic: str, flits: int, vcs: int, buffer: int, saturates: float
) -> None:
    loads = [0.01, 0.96 * saturates, min(1.0, 1.04 * saturates)]
    found = api.noc(topology, traffic, loads, packet_flits=flits, vcs=vcs, buffer=buffer)
    assert found.saturation == loads[2]
