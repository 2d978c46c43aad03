"""What is a floorplan worth? The same machine with its parts in other places, in time and energy.

    python -m benchmarks.floorplan [--out FOLDER]

Eight arrays and eight vector units, an HBM of four ports and SRAM in slices on a mesh of 4 x 4:
ports at the middles of edges, in the corners, all in one corner; engines beside the SRAM, and in
the corner away from it. With links ideal (`tile`) and with routers (`cycle`). `--out` writes
floorplan.csv. True where links without end take exactly the time of a machine without a network,
and where ports in one corner, and engines far away, cost time at either fidelity.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import archsim
from archsim.core.data import find
from archsim.core.yamlio import load_yaml
from benchmarks.tables import Row, counted, write_csv

Nodes = Any
MESH = {
    "kind": "mesh", "dims": [4, 4], "bandwidth": "512 GB/s", "latency": "5 ns", "medium": "chip",
    "width": 4096, "multicast": True,
}  # fmt: skip
FREE = {"bandwidth": "1000000 TB/s", "latency": "0 s"}
MIDDLES: Nodes = [[1, 0], [3, 1], [2, 3], [0, 2]]
CORNERS: Nodes = [[0, 0], [3, 0], [0, 3], [3, 3]]
FAR: Nodes = [[3, 2], [3, 3]]
SPREAD: Nodes = [[x, y] for x in (0, 2) for y in range(4)]


def columns(*which: int) -> Nodes:
    """All nodes of some columns."""
    return [[x, y] for x in which for y in range(4)]


def place(hbm: Nodes, sram: Nodes = "all", engines: Nodes = SPREAD) -> dict[str, Nodes]:
    """A floorplan."""
    return {"hbm": hbm, "sram": sram, "array": engines, "vector": engines}


PLANS: dict[str, dict[str, Any] | None] = {
    "no network": None,
    "links without end": FREE | {"place": place(CORNERS)},
    "ports at the middles of edges": {"place": place(MIDDLES)},
    "ports in the corners": {"place": place(CORNERS)},
    "ports all in one corner": {"place": place([[0, 0]])},
    "SRAM at an edge, engines beside it": {"place": place(CORNERS, columns(0), columns(1, 2))},
    "SRAM at an edge, engines far": {"place": place(CORNERS, columns(0), FAR)},
}
WORK = ("bert-base-encode", "llama-3-8b-decode")
WORSE = (
    ("ports at the middles of edges", "ports all in one corner"),
    ("ports in the corners", "ports all in one corner"),
    ("SRAM at an edge, engines beside it", "SRAM at an edge, engines far"),
)


def run(work: str, plan: str, fidelity: str) -> Row:
    """A row of the table."""
    data = load_yaml(find("npu", "configs")).data
    del data["provenance"]
    noc = PLANS[plan]
    if noc is not None:
        data["interconnect"]["noc"] = MESH | noc
    found = archsim.run(data, work, fidelity=fidelity, advice=False)
    net = found.result.get("noc", {})
    hot, flows = net.get("hottest_link"), net.get("flows", {})
    energy = found.metrics["energy_j"]
    return {
        "workload": work, "fidelity": fidelity, "floorplan": plan,
        "time_ps": found.result["time_ps"], "energy_j": energy["total"],
        "network_j": energy["by_component"].get("noc", 0.0),
        "stalled_on_links": found.result["stalls"].get("noc_bandwidth", 0.0),
        "load_bytes_per_s": flows.get("hbm>sram", {}).get("effective_bytes_per_s"),
        "mean_hops": net.get("mean_hops"),
        "hottest": f"{hot['from']} to {hot['to']}" if hot else "",
        "hottest_use": hot["utilization"] if hot else 0.0,
    }  # fmt: skip


def wrong(rows: list[Row]) -> list[str]:
    """Floorplans that do not cost what they should."""
    time = {(r["workload"], r["fidelity"], r["floorplan"]): r["time_ps"] for r in rows}
    found = []
    for work, fidelity, _ in time:
        at = {plan: time[work, fidelity, plan] for plan in PLANS}
        if at["links without end"] != at["no network"]:
            found.append(f"{work}, {fidelity}: links without end take time")
        found += [f"{work}, {fidelity}: {b} beats {a}" for a, b in WORSE if at[a] >= at[b]]
    return sorted(set(found))


def main() -> bool:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for floorplan.csv")
    asked = parser.parse_args()
    cases = [(work, plan, f) for work in WORK for f in ("tile", "cycle") for plan in PLANS]
    rows = []
    for case in counted("floorplan", cases):
        row = run(*case)
        rows.append(row)
        print(f"{row['workload']:18} {row['fidelity']:6} {row['floorplan']:35} "
              f"{row['time_ps'] / 1e9:8.3f} ms  {1e3 * row['energy_j']:7.1f} mJ  network "
              f"{1e3 * row['network_j']:6.1f} mJ  {100 * row['stalled_on_links']:3.0f} % on links  "
              f"{row['hottest']} {100 * row['hottest_use']:3.0f} %")  # fmt: skip
    for text in wrong(rows):
        print(text)
    if asked.out:
        write_csv(asked.out / "floorplan.csv", rows)
    return not wrong(rows)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
