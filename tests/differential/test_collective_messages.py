"""Do rounds with a barrier between them agree with messages that start when theirs have come?"""

import numpy as np
import pytest

from archsim.interconnect.base import links
from archsim.interconnect.collectives import exchange
from archsim.interconnect.collectives.base import Site, algorithms
from archsim.interconnect.messages import simulate_messages
from archsim.ir.collective import Collective

WIRE = {"bandwidth": "100 GB/s", "latency": "2 us"}
NETWORKS = {
    "switch": {"kind": "switch", "devices": 8},
    "ring": {"kind": "ring", "devices": 8},
    "torus": {"kind": "torus", "dims": (4, 4)},
    "mesh": {"kind": "mesh", "dims": (4, 2)},
    "full": {"kind": "fully_connected", "devices": 8},
}
EXACT = {  # every message of a round takes as long as any other
    ("switch", "ring"), ("switch", "direct"), ("switch", "halving_doubling"), ("ring", "ring"),
    ("torus", "bucket"), ("ring", "bucket"), ("full", "direct"), ("full", "ring"),
    ("full", "halving_doubling"),
}  # fmt: skip


def delivered_ps(net, rounds):
    """Time of the last message when each waits for what its sender got in the round before.

    Rounds side by side go on apart from each other; what follows waits for the last of each.
    """
    src, dst, size, first, waits = [], [], [], [0], []
    came = {}
    for lanes in side_by_side(rounds):
        ended = {}
        for one in lanes:
            got = came
            for _ in range(one.times):
                before, got = got, {}
                for a, b, n in zip(one.src, one.dst, one.size_bytes, strict=True):
                    waits += before.get(int(a), [])
                    first.append(len(waits))
                    got.setdefault(int(b), []).append(len(src))
                    src.append(int(a))
                    dst.append(int(b))
                    size.append(int(n))
            for device, messages in got.items():
                ended.setdefault(device, []).extend(messages)
        came = ended
    arrays = [np.array(x, np.int64) for x in (src, dst, size)]
    after = (np.array(first, np.int64), np.array(waits, np.int64))
    return simulate_messages(net, *arrays, np.zeros(len(src), np.int64), after).arrival_ps.max()


def side_by_side(rounds):
    """Rounds that start together, as lists."""
    found = []
    for one in rounds:
        if not one.beside or not found:
            found.append([])
        found[-1].append(one)
    return found


CASES = [
    (name, kind)
    for name in NETWORKS
    for kind in ("ring", "direct", "halving_doubling", "bucket")
    if kind != "bucket" or name in ("ring", "torus", "mesh")
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_an_all_reduce_in_rounds_takes_what_its_messages_take(name, kind):
    spec = NETWORKS[name] | WIRE
    cls = links.get(spec["kind"])
    net = cls("net", cls.Spec.model_validate(spec)).fabric()
    n = net.terminals
    what = Collective("all_reduce", "tensor", n, 1_600_000, algorithm=kind)
    site, algorithm = Site(net, (range(n),)), algorithms.get(kind)()
    found = exchange(net, what, (range(n),))
    simulated = delivered_ps(net, algorithm.rounds(site, what))
    if (name, kind) in EXACT:
        assert found.time_ps == pytest.approx(simulated, abs=2 * found.rounds)
    assert simulated <= found.time_ps + 2 * found.rounds
    assert simulated * 2.2 > found.time_ps
