"""Rows of BookSim2: latency, hops, accepted rate and end of a network under load, to the digit.

Here a row becomes the words and options of `archsim noc`: once with the reference's random numbers,
and below the knee of its load curve with our own.
"""

from __future__ import annotations

import re
from statistics import fmean
from typing import Any

from archsim import api
from archsim.core.errors import Unsupported
from archsim.validation.base import Adapter, Row

DIGITS = 6  # significant ones that the table prints
SEEDS = range(1, 6)  # of our own generator, over which the latency is averaged
GIVEN_UP = 1000.0  # cycles: latency from which the reference calls a run unstable
ROUTINGS = {"mesh": "dor", "torus": "dim_order"}
TRAFFIC = {"neighbor": "neighbour"}
HOT = re.compile(r"hotspot\(\{\{([\d,]+)\}\}\)")
ROUTER = {
    "num_vcs": "vcs", "vc_buf_size": "buffer", "routing_delay": "routing_delay",
    "vc_alloc_delay": "vc_alloc_delay", "sw_alloc_delay": "switch_delay",
    "st_final_delay": "crossbar_delay", "credit_delay": "credit_delay",
}  # fmt: skip


class Noc(Adapter):
    """A network under load against BookSim2."""

    kind = "noc"
    NEEDS = ("sim", "topology", "k", "n", "routing", *ROUTER, "packet_flits", "allocators",
             "traffic", "injection_flits_per_node_cycle", "seed", "below_knee")  # fmt: skip
    COLUMN = {"pkt_lat_avg_own": "pkt_lat_avg"}
    GAPS = frozenset({"pkt_lat_avg", "hops_avg", "accepted_flit_rate_avg", "cycles"})

    def label(self, row: Row) -> str:
        """What tells a row from the others."""
        return (
            f"{row['topology']} {row['k']}^{row['n']} {row['traffic']} {row['packet_flits']} flits "
            f"{row['num_vcs']}x{row['vc_buf_size']} at {row['injection_flits_per_node_cycle']} "
            f"seed {row['seed']}"
        )

    def run(self, row: Row) -> dict[str, float]:
        """One load with the row's seed, and with five of our own generator where it is below."""
        options = _options(row)
        found = api.noc(rng="replay", seed=_count(row, "seed"), **options).points[0].found
        got: dict[str, float] = {"stable": int(found.stable)}
        if found.stable and found.packet_latency is not None and found.hops is not None:
            got |= {
                "pkt_lat_avg": _printed(found.packet_latency),
                "hops_avg": _printed(found.hops),
                "accepted_flit_rate_avg": _printed(found.accepted),
                "cycles": found.cycles,
            }
        if row["below_knee"].strip() in ("1", "1.0"):
            latencies = [
                api.noc(seed=seed, **options).points[0].found.packet_latency for seed in SEEDS
            ]
            got["pkt_lat_avg_own"] = fmean(GIVEN_UP if x is None else x for x in latencies)
        return got


def _options(row: Row) -> dict[str, Any]:
    """A row in our words.

    Raises:
        Unsupported: for a network or router that is not modelled as the reference has it.
    """
    topology = row["topology"]
    if row["sim"] != "BookSim2" or ROUTINGS.get(topology) != row["routing"]:
        raise Unsupported(
            f"{row['sim']} {topology} with routing {row['routing']} is neither BookSim2's mesh "
            f"with dor nor its torus with dim_order"
        )
    if row["allocators"] != "islip/islip":
        raise Unsupported(f"allocators {row['allocators']} are not islip/islip")
    hot = HOT.fullmatch(row["traffic"])
    size = "x".join([row["k"]] * _count(row, "n"))
    return {
        "topology": f"{topology}:{size}",
        "traffic": "hotspot" if hot else TRAFFIC.get(row["traffic"], row["traffic"]),
        "hot": [int(node) for node in hot[1].split(",")] if hot else (),
        "loads": [float(row["injection_flits_per_node_cycle"])],
        "packet_flits": _count(row, "packet_flits"),
        **{ours: _count(row, column) for column, ours in ROUTER.items()},
    }


def _printed(value: float) -> float:
    """A value with as many digits as the table has."""
    return float(f"{value:.{DIGITS}g}")


def _count(row: Row, column: str) -> int:
    """A whole number, also as a table with gaps may print it: 3.0.

    Raises:
        Unsupported: for anything else.
    """
    text = row[column].removesuffix(".0")
    if not text.isdecimal():
        raise Unsupported(f'column {column} expects a whole number, got "{row[column]}"')
    return int(text)
