"""Does `noc` run what its flags say, print it in every form, and write its figures?"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Archsim = Callable[..., Done]

LOADS = ("--load", "0.05,0.2")


def found(archsim: Archsim, *flags: str) -> dict:
    done = archsim("noc", *flags, "--format", "json")
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


def test_the_text_says_latency_saturation_and_the_use_of_links(archsim: Archsim) -> None:
    lines = archsim("noc", "mesh:4x4", *LOADS).stdout.splitlines()
    assert lines[0] == "mesh:4x4, uniform, packets of 1 flit, fidelity cycle"
    assert lines[2].split()[:2] == ["load", "latency"]
    assert [line.split()[0] for line in lines[3:5]] == ["0.05", "0.2"]
    assert lines[6].endswith("cycles. No load saturates.")
    assert lines[8] == ("Use of links at a load of 0.2, in percent of the busier direction:")
    assert [line.count("o") for line in lines[10:]] == [4, 0, 4, 0, 4, 0, 4]
    assert max(map(len, lines)) <= 80


def test_json_has_points_links_and_options(archsim: Archsim) -> None:
    data = found(archsim, "torus:3x3x3", *LOADS, "--packet-flits", "2", "--vcs", "4", "--seed", "3")
    assert data["schema"] == "archsim.noc/1"
    assert (data["nodes"], data["dims"], data["seed"]) == (27, [3, 3, 3], 3)
    assert data["routers"]["vcs"] == 4
    assert [p["load"] for p in data["points"]] == [0.05, 0.2]
    assert data["points"][1]["accepted"] == pytest.approx(0.2, rel=0.1)
    assert len(data["links"]) == 27 * 6
    assert data["links_at_load"] == 0.2


def test_replay_gives_the_figures_of_the_reference(archsim: Archsim) -> None:
    data = found(archsim, "mesh:4x4", "--load", "0.1", "--rng", "replay")
    point = data["points"][0]
    assert f"{point['packet_latency_cycles']:.6g}" == "16.0272"
    assert point["cycles"] == 6048


def test_csv_is_a_row_a_load(archsim: Archsim) -> None:
    done = archsim("noc", "ring:6", *LOADS, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["load"] for row in rows] == ["0.05", "0.2"]
    assert {"packet_latency_cycles", "hops", "accepted", "stable"} <= rows[0].keys()


def test_without_loads_it_goes_on_to_saturation(archsim: Archsim) -> None:
    data = found(archsim, "mesh:4x4", "--traffic", "hotspot", "--hot", "5")
    assert data["saturation_load"] == pytest.approx(1 / 16, rel=0.1)
    assert data["points"][0]["load"] == 0.01


def test_a_trace_is_played_to_its_end(archsim: Archsim) -> None:
    Path("t.csv").write_text("0,0,5,4\n10,2,3,1\n10,0,1,2\n")
    done = archsim("noc", "ring:8", "t.csv", "--traffic", "trace")
    assert "All 3 packets arrived by cycle" in done.stdout
    assert done.stdout.startswith("ring:8, trace, packets of 1 to 4 flits, fidelity cycle\n")
    assert done.stdout.splitlines()[3].split()[0] == "-"  # no load of its own
    data = found(archsim, "ring:8", "t.csv", "--traffic", "trace")
    assert data["points"][0]["flits"] == 7


def test_messages_take_less_than_flits_and_their_routers(archsim: Archsim) -> None:
    flits = found(archsim, "mesh:4x4", *LOADS)["points"][0]
    messages = found(archsim, "mesh:4x4", *LOADS, "--fidelity", "tile")["points"][0]
    assert messages["packet_latency_cycles"] == pytest.approx(
        flits["packet_latency_cycles"], rel=0.4
    )


def test_a_packet_alone_takes_as_long_as_a_message(archsim: Archsim) -> None:
    Path("t.csv").write_text("0,0,5,4\n100,2,3,3\n")
    alike = ["packet_latency_cycles", "packet_latency_max_cycles", "hops"]
    flits, messages = (
        found(archsim, "mesh:4x4", "t.csv", "--traffic", "trace", "--fidelity", way)["points"][0]
        for way in ("cycle", "tile")
    )
    assert [messages[key] for key in alike] == [flits[key] for key in alike]


def test_what_messages_do_not_have_is_warned_of(archsim: Archsim) -> None:
    flags = ("--fidelity", "tile", "--vcs", "2", "--routing", "adaptive")
    assert archsim("noc", "mesh:4x4", *LOADS, *flags).stderr == (
        "warning: vcs, routing have no effect at fidelity tile: messages have no VCs or buffers\n"
    )


def test_buffers_that_are_too_short_for_a_link_are_warned_of(archsim: Archsim) -> None:
    flags = ("--load", "0.05", "--link-latency", "100")
    said = archsim("noc", "mesh:4x4", *flags).stderr
    assert said == (
        "warning: a credit is away for 206 cycles, and 8 VCs of 8 flits, each with one packet, "
        "fill 0.039 of a link at most: router.buffer: 26 with wait_for_tail_credit: false fills "
        "it\n"
    )
    done = archsim("noc", "mesh:4x4", *flags, "--buffer", "26", "--early-release")
    assert done.stderr == ""
    assert "No load saturates" in done.stdout


def test_large_networks_tell_of_each_load(archsim: Archsim) -> None:
    done = archsim("noc", "mesh:32x32", "--load", "0.01", "--fidelity", "tile")
    assert done.stderr.startswith("load 0.01: latency ")


def test_a_folder_gets_tables_and_figures(archsim: Archsim) -> None:
    done = archsim("noc", "mesh:3x3", *LOADS, "--out", "o")
    assert done.status == 0, done.stderr
    assert sorted(path.name for path in Path("o").iterdir()) == [
        "links.csv", "links.png", "links.svg", "load.csv", "load.png", "load.svg", "result.json",
    ]  # fmt: skip
    assert archsim("noc", "mesh:3x3", *LOADS, "--out", "o").status == 2
    assert archsim("noc", "ring:5", *LOADS, "--out", "o", "--force").status == 0


def test_a_list_that_is_none_is_a_usage_error(archsim: Archsim) -> None:
    done = archsim("noc", "mesh:4x4", "--load", "0.1;0.2")
    assert done.status == 2
    assert "is no list of numbers" in done.stderr
