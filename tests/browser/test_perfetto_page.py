"""Does Perfetto itself, in a real browser and without a network, read what we wrote?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from archsim.cli._viewer import Viewer
from archsim.report.flows import flows
from archsim.report.model import Report
from archsim.report.timeline import Timeline

if TYPE_CHECKING:
    from conftest import Open, Opened

# Perfetto's own, and none of ours: whether its makers are looking, and a local accelerator
ALLOWED = re.compile(r"https://storage\.cloud\.google\.com/|http://127\.0\.0\.1:9001/status$")
QUERY = """async ([sql, names]) => {
  const found = await app.trace.engine.query(sql), rows = [];
  for (const row = found.iter({}); row.valid(); row.next())
    rows.push(names.map(name => {
      const value = row.get(name);
      return typeof value === 'bigint' ? Number(value) : value;
    }));
  return rows;
}"""
READY = "() => window.app?.trace?.engine"
PICTURE = """(id) => {
  app.commands.runCommand('dev.perfetto.ExpandAllGroups');
  app.trace.selection.selectSqlEvent('slice', id);
}"""
STILL = """async () => {
  for (let i = 0; i < 30; i++) await new Promise(requestAnimationFrame);
  return app.trace.engine.numRequestsPending === 0;
}"""
IDLE = "Search or type"  # stands in the field at the top once Perfetto has nothing left to do


@pytest.fixture(scope="module")
def timeline(report: Report) -> Timeline:
    return report.timeline()


@pytest.fixture(scope="module")
def viewer(timeline: Timeline) -> Iterator[Viewer]:
    """What `archsim trace --open` serves."""
    with Viewer(timeline.to_perfetto(), port=0) as served:
        Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()


def rows(opened: Opened, sql: str, *names: str) -> list[list[Any]]:
    """Answer of Perfetto's trace processor."""
    found: list[list[Any]] = opened.page.evaluate(QUERY, [sql, list(names)])
    return found


def test_perfetto_reads_every_slice_and_counts_what_the_simulator_counted(
    report: Report, timeline: Timeline, viewer: Viewer, opened: Open, artefacts: Path
) -> None:
    shown = opened(viewer.url)
    shown.page.wait_for_function(READY, timeout=120_000)
    shown.page.get_by_placeholder(IDLE).wait_for(timeout=120_000)

    # slices, their total in ns and their exact total in ps, of each track and state
    exact = "extract_arg(s.arg_set_id, 'debug.ps')"
    found = rows(
        shown,
        f"select t.name track, s.category state, count(*) n, sum({exact}) ps "
        "from slice s join track t on s.track_id = t.id group by t.id, s.category",
        "track", "state", "n", "ps",
    )  # fmt: skip
    read = {(track, state): (n, ps) for track, state, n, ps in found}
    wrote: dict[tuple[str, str], tuple[int, int]] = {}
    for piece in timeline.pieces():
        key = timeline.units[piece.unit].name, piece.state
        n, ps = wrote.get(key, (0, 0))
        wrote[key] = n + 1, ps + piece.ps
    assert read == wrote
    for unit, counters in report.result["units"].items():
        for state in ("busy", "stall_in", "stall_out", "stall_shared"):
            assert read.get((unit, state), (0, 0))[1] == counters[f"{state}_ps"], (unit, state)

    # a track lasts as long as its slices, none of which is in the way of another
    lasts = rows(
        shown,
        "select t.name track, sum(s.dur) ns, max(s.ts + s.dur) - min(s.ts) span, "
        "max(s.depth) depth from slice s join track t on s.track_id = t.id group by t.id",
        "track", "ns", "span", "depth",
    )  # fmt: skip
    assert all(ns == span and depth == 0 for _, ns, span, depth in lasts)
    overlaps = (
        "select count(*) n from (select ts, lag(ts + dur) over "
        "(partition by track_id order by ts, dur) as before from slice) where ts < before"
    )
    assert rows(shown, overlaps, "n") == [[0]]

    # arrows join two slices each, from an earlier to a later one
    arrows = "select count(*) n, min(b.ts - a.ts) least from flow f join slice a "
    arrows += "on f.slice_out = a.id join slice b on f.slice_in = b.id"
    ((count, least),) = rows(shown, arrows, "n", "least")
    assert (count, least > 0) == (len(flows(timeline).arrows), True)
    counters = rows(shown, "select name, unit from counter_track order by name", "name", "unit")
    assert counters == [
        ["hbm bandwidth", "B/s"],
        ["hbm held", "bytes"],
        ["power", "W"],
        ["sram held", "bytes"],
    ]
    wrong = "select name from stats where severity != 'info' and value > 0"
    assert rows(shown, wrong, "name") == []

    first = "select min(slice_out) id from flow"
    shown.page.evaluate(PICTURE, rows(shown, first, "id")[0][0])
    shown.page.wait_for_function(STILL, timeout=120_000)
    shown.page.screenshot(path=artefacts / "perfetto.png")
    assert [url for url in shown.asked if not ALLOWED.match(url)] == []
    assert [text for text in shown.errors if "Error:" in text] == []
