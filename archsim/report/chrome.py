"""A timeline in Chrome's trace format: the JSON that Perfetto and chrome://tracing open.

Times of the format are in microseconds; `args` holds the exact picoseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps

from archsim.report.timeline import STATES, Timeline


def to_json(timeline: Timeline) -> str:
    """The text of `timeline.json`: one track a unit, counters of each memory."""
    about = {
        "machine": timeline.run.machine.name,
        "workload": timeline.run.graph.name,
        "time_ps": timeline.run.time_ps,
        "shortened": timeline.shortened,
    }
    events = ",\n".join((*_tracks(timeline), *_events(timeline), *_counters(timeline)))
    head = f'{{"displayTimeUnit": "ns", "otherData": {dumps(about)},'
    return f'{head}\n"traceEvents": [\n{events}\n]}}\n'


def _tracks(timeline: Timeline) -> Iterator[str]:
    title = {"name": timeline.title}
    yield dumps({"ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": title})
    for place, u in enumerate(timeline.order):
        common = {"ph": "M", "pid": 1, "tid": u + 1}
        name, index = {"name": timeline.units[u].name}, {"sort_index": place}
        yield dumps({**common, "name": "thread_name", "args": name})
        yield dumps({**common, "name": "thread_sort_index", "args": index})


def _events(timeline: Timeline) -> Iterator[str]:
    """One event for each wait and each stretch of work."""
    run = timeline.run
    names = [dumps(run.stages[row.stage].path) for row in run.rows]
    more = [_more(timeline, row) for row in range(len(run.rows))]
    for piece in timeline.pieces():
        head = f'{{"ph":"X","pid":1,"tid":{piece.unit + 1},"cat":"{piece.state}"'
        if piece.state == "busy":
            args, name = f'"steps":{piece.times}{more[piece.row]}', names[piece.row]
        elif piece.state == "repeated":
            told = zip(STATES, piece.spent, strict=True)
            args, name = ",".join(f'"{s}_ps":{ps}' for s, ps in told), dumps(piece.name)
        else:
            args, name = f'"for":{names[piece.row]}', dumps(piece.name)
        yield f'{head},"name":{name},{_span(piece.start_ps, piece.ps, args)}}}'


def _more(timeline: Timeline, row: int) -> str:
    """What the viewer says of one step of a row: bytes, operations, class of its op."""
    record = timeline.run.rows[row]
    stage = timeline.run.stages[record.stage]
    counts = {k: n for k, n in record.counts.items() if k.startswith(("dram.", "tier.", "mac"))}
    return "," + dumps({"op_class": stage.op_class, **counts})[1:-1]


def _counters(timeline: Timeline) -> Iterator[str]:
    for moment in timeline.moments():
        start = f'"ts":{_us(int(moment["time_ps"]))}'
        for key, value in moment.items():
            memory, _, what = key.partition(".")
            if what:
                unit = {"bytes_per_s": "B/s", "held_bytes": "B"}[what]
                name = f"{memory} {'bandwidth' if unit == 'B/s' else 'held'} [{unit}]"
                args = f'"args":{{"{unit}":{value:.6g}}}'
                yield f'{{"ph":"C","pid":1,"name":"{name}",{start},{args}}}'


def _us(ps: int) -> str:
    """Picoseconds as microseconds, all digits."""
    return f"{ps // 1_000_000}.{ps % 1_000_000:06d}"


def _span(start_ps: int, ps: int, args: str) -> str:
    exact = f'"start_ps":{start_ps},"ps":{ps}'
    return f'"ts":{_us(start_ps)},"dur":{_us(ps)},"args":{{{exact},{args}}}'
