"""What is each collective worth on each network? Time over that of the least bytes.

    python -m benchmarks.collectives [--out FOLDER]

Links of 50 GB/s each way and a microsecond, nothing else; the fastest algorithm of those that fit.
The bound is the bytes that the busiest device has to send or get, over all links of a device: a
network whose middle is narrower, or whose way is longer, shows it. `--out` writes collectives.csv
and figures of three patterns.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.interconnect.base import Topology, links
from archsim.interconnect.collectives import exchange
from archsim.ir.collective import PATTERNS, Collective
from archsim.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEVICES = (2, 4, 8, 16, 32, 64)
SIZES = tuple(1 << bits for bits in range(10, 31, 4))
DIMS = {2: (2,), 4: (2, 2), 8: (4, 2), 16: (4, 4), 32: (8, 4), 64: (8, 8)}
CUBES = {2: (2,), 4: (2, 2), 8: (2, 2, 2), 16: (4, 2, 2), 32: (4, 4, 2), 64: (4, 4, 4)}
WIRE = {"bandwidth": "50 GB/s", "latency": "1 us"}
COLUMNS = (
    "topology", "devices", "pattern", "size_bytes", "algorithm", "time_us", "bound_us",
    "time_over_bound", "sent_bytes", "least_sent_bytes_of_a_device",
)  # fmt: skip

Row = dict[str, Any]


def networks(devices: int) -> dict[str, dict[str, Any]]:
    """Descriptions of networks of so many devices."""
    half = max(2, devices // 2)
    found: dict[str, dict[str, Any]] = {
        "ring": {"kind": "ring", "devices": devices},
        "mesh": {"kind": "mesh", "dims": DIMS[devices]},
        "torus": {"kind": "torus", "dims": CUBES[devices]},
        "fat_tree": {"kind": "fat_tree", "devices": devices, "arity": 4},
        "switch": {"kind": "switch", "devices": devices},
        "switch, adds": {"kind": "switch", "devices": devices, "reduces": True},
        "fully_connected": {"kind": "fully_connected", "devices": devices},
    }
    found = {name: spec | WIRE for name, spec in found.items()}
    if devices > 2:
        inner = min(8, half)
        levels = [{"kind": "switch", "devices": n, **WIRE} for n in (inner, devices // inner)]
        found["hierarchical"] = {"kind": "hierarchical", "levels": tuple(levels)}
    return found


def network(spec: dict[str, Any]) -> Topology:
    """The network of a description."""
    cls = links.get(spec["kind"])
    found = cls("net", cls.Spec.model_validate(spec))
    assert isinstance(found, Topology)
    return found


def table(
    devices: tuple[int, ...] = DEVICES, sizes: tuple[int, ...] = SIZES, only: tuple[str, ...] = ()
) -> list[Row]:
    """A row for each network, number of devices, pattern and size."""
    rows: list[Row] = []
    for n in devices:
        for name, spec in networks(n).items():
            fabric = network(spec).fabric()
            for pattern in PATTERNS:
                if pattern == "receive" or (only and pattern not in only):
                    continue
                group = (0, n - 1) if pattern == "send" else tuple(range(n))
                for size in sizes:
                    what = Collective(pattern, "tensor", len(group), size)  # type: ignore[arg-type]
                    found = exchange(fabric, what, (group,))
                    values = (
                        name, n, pattern, size, found.algorithm, found.time_ps / 1e6,
                        found.bound_ps / 1e6, found.time_ps / max(1, found.bound_ps),
                        found.sent_bytes, what.lower_bound_bytes(),
                    )  # fmt: skip
                    rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def paint(ax: Axes, rows: list[Row]) -> None:
    """Time over bound against size, a line for each network."""
    for i, name in enumerate(dict.fromkeys(row["topology"] for row in rows)):
        line = [row for row in rows if row["topology"] == name]
        sizes, ratios = ([row[key] for row in line] for key in ("size_bytes", "time_over_bound"))
        ax.plot(sizes, ratios, label=name, color=style.colour(i), marker=style.MARKERS[i], ms=3)
    ax.axhline(1, color=style.INK, linewidth=0.5)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    first = rows[0]
    ax.set(xlabel="bytes", ylabel=f"{first['pattern']} of {first['devices']}: time / bound")
    style.legend_above(ax, 3)


def main() -> bool:
    """Print the long buffers; True where all-reduces reach the bound on three networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for collectives.csv and figures")
    out = parser.parse_args().out
    rows = table()
    longest = [r for r in rows if r["size_bytes"] == SIZES[-1] and r["devices"] == DEVICES[-1]]
    print(f"{'topology':16} {'pattern':15} {'algorithm':17} {'time us':>12} {'/ bound':>9}")
    for row in longest:
        ratio = row["time_over_bound"]
        print(f"{row['topology']:16} {row['pattern']:15} {row['algorithm']:17} "
              f"{row['time_us']:12,.1f} {ratio:9.3f}")  # fmt: skip
    if out:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "collectives.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        for pattern in ("all_reduce", "all_to_all", "broadcast"):
            mine = [r for r in rows if (r["devices"], r["pattern"]) == (DEVICES[-1], pattern)]
            style.save(out / f"collectives_{pattern}", paint, mine, 2.4)
    ratio = {(r["topology"], r["pattern"]): r["time_over_bound"] for r in longest}
    return (
        ratio["ring", "all_reduce"] < 1.01
        and ratio["torus", "all_reduce"] < 1.01
        and ratio["switch, adds", "all_reduce"] < 1.01
    )


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
