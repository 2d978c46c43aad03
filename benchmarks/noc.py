"""How fast is the flit simulator? Flits a second of user time on an 8x8 mesh, one thread.

    python -m benchmarks.noc

Loads of 0.1 and 0.3, packets of 1 and 5 flits, our own random numbers and the replayed ones. Bar:
1 million flits a second with our own. BookSim2 makes 65 to 120 thousand on such a machine.
"""

from __future__ import annotations

import resource
import sys

from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_network import FlitNetwork
from archsim.interconnect.flit_spec import RouterSpec
from archsim.interconnect.flit_wires import lattice
from archsim.interconnect.traffic import pattern

DIMS = (8, 8)
LEAST = 1e6
WARM_UP, CYCLES, RUNS = 2_000, 20_000, 3
ROW = "{:>7} {:>5} {:>6} {:>12}"


def pace(load: float, flits: int, *, replay: bool) -> float:
    """Flits a second of user time, the best of several runs."""
    return max(_run(load, flits, replay=replay) for _ in range(RUNS))


def _run(load: float, flits: int, *, replay: bool) -> float:
    wires = lattice(DIMS, wraps=False)
    network = FlitNetwork(
        wires, RouterSpec(), pattern("uniform", wires.nodes, DIMS), rate=load / flits,
        packet_flits=flits, seed=1, replay=replay,
    )  # fmt: skip
    until = network.advance(WARM_UP)
    before, began = int(network.stats[f.FLITS_OUT]), _user_s()
    network.advance(until + CYCLES)
    spent = _user_s() - began
    return (int(network.stats[f.FLITS_OUT]) - before) / spent


def _user_s() -> float:
    """Seconds of user time of this process: others that want its core do not count."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def main() -> bool:
    """Print a table; whether the bar is met."""
    print(ROW.format("numbers", "flits", "load", "flits/s"))
    met = True
    for replay in (False, True):
        for flits in (1, 5):
            for load in (0.1, 0.3):
                found = pace(load, flits, replay=replay)
                met = met and (replay or found >= LEAST)
                name = "replay" if replay else "own"
                print(ROW.format(name, flits, load, f"{found:,.0f}"))
    print(f"bar {LEAST:,.0f}: {'met' if met else 'missed'}")
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
