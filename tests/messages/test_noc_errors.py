"""Is the error helpful when a network cannot be loaded as asked?"""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim import api
from archsim.core.errors import ArchsimError

CASES = {
    "transpose of no square": (
        ("mesh:4x2", "transpose"), {},
        "error[E202]: transpose needs a square of nodes, not 8\n"
        "      = help: 4 or 16 nodes",
    ),
    "bitcomp of no power of two": (
        ("mesh:3x3", "bitcomp"), {},
        "error[E202]: bitcomp needs a power of two of nodes, not 9\n"
        "      = help: 8 or 16 nodes",
    ),
    "load above one": (
        ("mesh:4x4", "uniform", (0.1, 1.5)), {},
        "error[E107]: load must be above 0 and at most 1, got 1.5\n"
        "      = help: flits per node and cycle, of which a node's link takes one",
    ),
    "hot node outside": (
        ("mesh:4x4", "hotspot"), {"hot": (3, 16)},
        "error[E107]: hot node 16 is not one of the 16 nodes\n"
        "      = help: nodes are 0 to 15",
    ),
    "hotspot without nodes": (
        ("mesh:4x4", "hotspot"), {},
        "error[E102]: hotspot needs its hot nodes\n"
        "      = help: such as 27,28,35,36",
    ),
    "hot nodes of another pattern": (
        ("mesh:4x4", "uniform"), {"hot": (3,)},
        "error[E202]: hot nodes belong to hotspot, not to uniform",
    ),
    "unknown pattern": (
        ("mesh:4x4", "tornadoes"), {},
        'error[E108]: traffic "tornadoes" is not one of uniform, transpose, bitcomp, tornado, '
        'neighbour, hotspot, trace\n      = help: did you mean "tornado"?',
    ),
    "one device": (
        ("torus:1x1",), {},
        "error[E202]: torus:1x1 is a network of one device, which has nobody to send to\n"
        "      = help: two devices or more",
    ),
    "too many nodes": (
        ("mesh:1000x1000",), {},
        "error[E301]: mesh:1000x1000 has 1000000 nodes, and noc loads 65536 at most",
    ),
    "too many flits": (
        ("mesh:8x8",), {"buffer": 1 << 16, "vcs": 32},
        "error[E301]: mesh:8x8 has 64 nodes, and buffers of 738197504 flits, beyond 16777216\n"
        "      = help: a smaller network or buffer, or fidelity tile",
    ),
    "too many messages": (
        ("mesh:100x100", "uniform", (0.1,)), {"fidelity": "tile"},
        "error[E401]: 2000000 messages are more than 100000\n      = help: a lower load",
    ),
    "no size": (
        ("mesh:8by8",), {},
        'error[E105]: "mesh:8by8" has no size\n      = help: such as mesh:8x8 or ring:16',
    ),
    "no network": (
        ("dma:4",), {},
        "error[E108]: a dma is no network\n      = help: networks: bus, crossbar, custom, "
        "fat_tree, fully_connected, hierarchical, mesh, ring, switch, torus",
    ),
    "a machine without one": (
        ("npu",), {},
        "error[E102]: machine npu has no network between its chips\n      = help: such as "
        "interconnect.node: {kind: mesh, dims: [8, 8], ...}; or a word: mesh:8x8",
    ),
    "deadlock": (
        ("ring:4",), {"vcs": 1},
        "error[E202]: routes of the ring can deadlock with 1 VC: links 0 to 1, 1 to 2, 2 to 3, "
        "3 to 0 wait for each other in a ring\n      = help: 2 VCs or more break every ring",
    ),
    "adaptive without an escape": (
        ("torus:4x4",), {"routing": "adaptive", "vcs": 2},
        "error[E202]: adaptive routing on a torus needs 3 VCs or more, not 2\n"
        "      = help: 2 of them are the escape from deadlock",
    ),
    "a torus with one VC": (
        ("torus:4x4",), {"vcs": 1},
        "error[E202]: dimension_order routing on a torus needs 2 VCs or more, not 1\n"
        "      = help: packets that go round the end need VCs of their own, or wait in a ring",
    ),
    "adaptive with shared VCs": (
        ("mesh:4x4",), {"routing": "adaptive", "wait_for_tail_credit": False},
        "error[E202]: adaptive routing needs VCs that hold one packet at a time\n"
        "      = help: wait_for_tail_credit: true",
    ),
    "dimensions of a ring": (
        ("ring:4",), {"routing": "dimension_order"},
        "error[E202]: routing dimension_order needs a mesh or torus without express links, not "
        "a ring\n      = help: table routes any network",
    ),
    "wires that are shared": (
        ({"kind": "ring", "devices": 4, "bandwidth": "1 GB/s", "latency": "9 ns",
          "duplex": "half"},), {},
        "error[E301]: wires of a ring that both directions share have no routers at each end\n"
        "      = help: fidelity tile simulates them",
    ),
    "a trace without its file": (
        ("mesh:4x4", "trace"), {},
        "error[E202]: traffic trace, and no other, needs a trace file",
    ),
    "replay of messages": (
        ("mesh:4x4",), {"rng": "replay", "fidelity": "tile"},
        "error[E202]: rng replay draws for flits: fidelity cycle",
    ),
    "unknown generator": (
        ("mesh:4x4",), {"rng": "replays"},
        'error[E108]: rng "replays" is not one of own, replay\n'
        '      = help: did you mean "replay"?',
    ),
    "packets without flits": (
        ("mesh:4x4",), {"packet_flits": 0},
        "error[E107]: packet_flits must be from 1 to 65536, got 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_error_says_what_and_what_instead(case: str) -> None:
    arguments, options, text = CASES[case]
    with pytest.raises(ArchsimError) as caught:
        api.noc(*arguments, **options)
    assert caught.value.render() == text


TRACES = {
    "1,2,3": (
        "{file}:2:1: error[E110]: 3 numbers, not 4\n    2 | 1,2,3\n      | ^^^^^\n"
        "      = help: a line is `120,0,5,4`: cycle, source, destination, flits"
    ),
    "1,2,99,4": "{file}:2:5: error[E110]: dst 99 is not one of the 16 nodes",
    "1, 16 ,3,4": "{file}:2:4: error[E110]: src 16 is not one of the 16 nodes\n"
    "    2 | 1, 16 ,3,4\n      |    ^^\n",
    "  1,2,x,4": '{file}:2:7: error[E110]: dst expects a whole number, got "x"',
    "1,2,3,0 # none": "{file}:2:7: error[E110]: flits must be from 1 to 1048576, got 0",
    "9999999999,2,3,1": "{file}:2:1: error[E110]: cycle 9999999999 is beyond 2147483647",
    "1,2,,1": '{file}:2:5: error[E110]: dst expects a whole number, got ""',
}


@pytest.mark.parametrize("line", TRACES)
def test_a_bad_number_of_a_trace_is_shown(line: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f"0,0,1,1\n{line}\n")
    with pytest.raises(ArchsimError) as caught:
        api.noc("mesh:4x4", "trace", trace=file)
    assert TRACES[line].format(file=file) in caught.value.render()


def test_an_empty_or_missing_trace_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    with pytest.raises(ArchsimError, match=r"cannot read .*No such file"):
        api.noc("mesh:4x4", "trace", trace=file)
    file.write_text("cycle,src,dst,flits\n")
    with pytest.raises(ArchsimError, match="has no packets"):
        api.noc("mesh:4x4", "trace", trace=file)
