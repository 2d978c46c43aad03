"""How fast is the DRAM controller? Against Ramulator 2.1's published pace and its own plain twin.

    python -m benchmarks.dram [--long]

Requests per second of CPU time, one thread. Every run that Ramulator was timed on is repeated and
must take the same number of ticks; `--long` drives up to 10^7 requests instead of 10^6 to show that
a request costs the same however many there are. Bars: streams of HBM3 and DDR4 1.5 million requests
a second, random reads 0.5 million, compiled 50 x the plain twin, cost of a request flat within 1.5.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import archsim.validation
from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.unified import Unified
from archsim.memory.requests import MemoryRun, Pacing
from archsim.memory.standard import load_standard
from archsim.memory.traces import Place, trace

TABLE = Path(archsim.validation.__file__).parent / "tables" / "dram_sim_speed.csv"
STANDARDS = {
    "DDR4": "DDR4_3200AA",
    "DDR5": "DDR5_4800BN",
    "GDDR6": "GDDR6_14000_1350mV_double",
    "LPDDR5": "LPDDR5_6400",
    "HBM2": "HBM2_2000Mbps",
    "HBM3": "HBM3_6400Mbps",
}
LEAST_STREAM, LEAST_RANDOM, LEAST_TWIN, MOST_GROWTH = 1.5e6, 0.5e6, 50.0, 1.5
BARRED = ("HBM3", "DDR4")
REPEATS = 3
ROW = "{:7} {:11} {:12} {:>3} {:>5} {:>9} {:>10} {:>10} {:>7}"


def build(
    standard: str,
    mapper: str = "RoBaRaCoCh",
    channels: int = 1,
    queue: int = 32,
    plain: bool = False,
) -> Unified:
    """Controllers as the timed runs had them."""
    tables = load_standard(STANDARDS[standard]).tables()
    spec = ControllerSpec(read_queue=queue, write_queue=queue)
    address_map = AddressMap(tables, channels, mapper)
    return Unified(tables, spec, address_map, channels, plain=plain)


def place_of(device: Unified) -> Place:
    """What a trace needs to know of a device."""
    address_map = device.address_map
    return Place(device.tables.access_bytes, address_map.row_stride_bytes, address_map.page_bytes)


def timed(device: Unified, name: str, n: int, repeats: int = REPEATS) -> tuple[float, MemoryRun]:
    """Requests per second of CPU time, the best of some runs, and the last run."""
    requests = trace(name, n, place_of(device))
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run = device.drive(requests, Pacing(per_tick=device.channels), keep_latencies=False)
        seconds.append(time.process_time() - start)
    return n / min(seconds), run


def beside_ramulator() -> bool:
    """One line a timed run; True when all take the same ticks and the bars are met."""
    print(ROW.format("", "map", "trace", "ch", "queue", "ticks", "req/s", "Ramulator", "ratio"))
    good = True
    with TABLE.open() as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        rows = [row for row in lines if row["sim"] == "Ramulator2.1"]
    timed(build("DDR4"), "stream_rd", 100)  # loads the machine code
    for row in rows:
        channels, queue = int(row["channels"]), int(row["queue"])
        device = build(row["std"], row["mapper"], channels, queue)
        rate, run = timed(device, row["trace"], int(row["N"]))
        theirs = float(row["req_per_s"])
        same = run.ticks == int(row["cycles"])
        least = LEAST_STREAM if row["trace"].startswith("stream") else LEAST_RANDOM
        barred = row["std"] in BARRED and queue == 32 and channels == 1
        slow = barred and row["trace"] in ("stream_rd", "rand_rd") and rate < least
        good &= same and not slow
        print(
            ROW.format(
                row["std"], row["mapper"], row["trace"], channels, queue,
                run.ticks if same else f"{run.ticks}!", f"{rate:,.0f}", f"{theirs:,.0f}",
                f"{rate / theirs:.1f}{' slow' if slow else ''}",
            )
        )  # fmt: skip
    return good


def beside_the_plain_twin() -> bool:
    """Ratio of compiled to plain, the same ticks in both."""
    good = True
    for standard in BARRED:
        for name in ("stream_rd", "rand_rd"):
            fast, _ = timed(build(standard), name, 65536)
            _, short = timed(build(standard), name, 4096, 1)
            slow, twin = timed(build(standard, plain=True), name, 4096, 1)
            good &= fast / slow >= LEAST_TWIN and twin.ticks == short.ticks
            print(f"{standard} {name}: {fast / slow:.0f} x the plain twin ({slow:,.0f} req/s)")
    return good


def by_length(most: int) -> bool:
    """Cost of a request by the length of the list."""
    device = build("DDR4")
    rates = {}
    n = 10_000
    while n <= most:
        rates[n], _ = timed(device, "rand_rd", n, REPEATS if n < most else 1)
        print(f"DDR4 rand_rd of {n:>10,} requests: {1e9 / rates[n]:.0f} ns each")
        n *= 10
    return max(rates.values()) <= MOST_GROWTH * rates[n // 10]


def main(long: bool = False) -> bool:
    """Print everything; True when every bar is met."""
    checks = beside_ramulator(), beside_the_plain_twin(), by_length(10**7 if long else 10**6)
    print("bars met" if all(checks) else f"bars missed: {checks}")
    return all(checks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="up to 10^7 requests")
    sys.exit(0 if main(parser.parse_args().long) else 1)
