"""What designs of a study have in common: settings of the best, what matters, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log
from typing import Any

from archsim.core.yamlread import value_text
from archsim.dse.agreement import kendall, spearman
from archsim.dse.figure_front import Scale, wide
from archsim.dse.stored import Design, StoredStudy
from archsim.report.figure_chart import Axis, Bars, Chart, Figure, Line, Points, cut
from archsim.report.style import Rows

MOST_LINES = 300  # of designs behind the front that are drawn
GROUPS = 8  # into which values of a setting are put
BAR_IN, ROOM_IN = 0.2, 0.5
AXIS_IN = 0.36  # between two of the axes that designs cross
WRAP, LINES = 22, 3  # characters of a line of an axis' name; lines of it, the last ones
LONG, END = 36, 16  # characters of a name in one line; of the value at an end of an axis


def parallel(study: StoredStudy) -> Figure | None:
    """Every setting and objective as an axis of its own; a design is a line down across them."""
    designs = [d for d in study.designs if d.kept and d.kind != "described"]
    axes = [path for path in study.paths if len({word(d, path) for d in designs}) > 1]
    if not designs or not axes:
        return None
    places = [_places(designs, path) for path in axes]
    names = [_wrapped(path) for path in axes]
    ends = [_ends(designs, path) for path in axes]
    for i, one in enumerate(study.spec.objectives):
        scale = Scale.of(one, [d.values[i] for d in designs])
        values = scale.shown([d.values[i] for d in designs])
        low, high = min(values), max(values)
        places.append([(v - low) / ((high - low) or 1.0) for v in values])
        names.append(_wrapped(scale.title))
        ends.append((f"{low:.3g}", f"{high:.3g}"))
    behind = [i for i, d in enumerate(designs) if not d.best]
    behind = behind[:: max(1, -(-len(behind) // MOST_LINES))]
    best = [i for i, d in enumerate(designs) if d.best]
    marks = [
        _lines(label, [[p[i] for p in places] for i in some], shade, width)
        for label, some, shade, width in (("dominated", behind, "pale", 0.8),
                                          ("front", best, 0, 1.1))
        if some
    ]  # fmt: skip
    ticks = tuple((float(i), f"{name}\n{low} to {high}") for i, (name, (low, high)) in
                  enumerate(zip(names, ends, strict=True)))  # fmt: skip
    rows = [
        {"design": d.point.number, "kind": d.kind, **{p: d.point.settings.get(p) for p in axes},
         **{o.metric: v for o, v in zip(study.spec.objectives, d.values, strict=True)}}
        for d in (designs[i] for i in sorted(behind + best))
    ]  # fmt: skip
    chart = Chart(tuple(marks), x=Axis(low=-0.03, high=1.03,
                                       ticks=((0.0, "least"), (1.0, "largest"))),
                  y=Axis(ticks=ticks, low=len(ticks) - 0.8, high=-0.2))  # fmt: skip
    return Figure("parallel", "What the best designs have in common",
                  f"A line is a design; {len(best)} on the front.", rows, chart,
                  ROOM_IN + AXIS_IN * len(ticks))  # fmt: skip


def _lines(label: str, designs: Sequence[Sequence[float]], shade: Any, width: float) -> Line:
    x: list[float | None] = []
    y: list[float | None] = []
    for places in designs:
        x += [*places, None]
        y += [*map(float, range(len(places))), None]
    return Line(label, x[:-1], y[:-1], shade, width=width)


def word(design: Design, path: str) -> str:
    """What a design sets, as users write it."""
    value = design.point.settings.get(path, "as described")
    return value_text(value)


def _order(designs: Sequence[Design], path: str) -> list[str]:
    """Values of a setting, numbers by size, then words."""
    from archsim.dse.dimension import size_of

    values = {word(d, path): d.point.settings.get(path) for d in designs}
    sizes = {said: size_of(value) for said, value in values.items()}
    numbers = sorted((w for w in sizes if sizes[w] is not None), key=lambda w: (sizes[w], w))
    return numbers + sorted(w for w in sizes if sizes[w] is None)


def _places(designs: Sequence[Design], path: str) -> list[float]:
    """Where each design stands on the axis of a setting, from 0 to 1."""
    order = _order(designs, path)
    place = {said: i / max(1, len(order) - 1) for i, said in enumerate(order)}
    return [place[word(d, path)] for d in designs]


def _ends(designs: Sequence[Design], path: str) -> tuple[str, str]:
    order = _order(designs, path)
    low, high = (one if len(one) <= END else f"{one[: END - 1]}…" for one in (order[0], order[-1]))
    return low, high


def _wrapped(text: str) -> str:
    """A long path in lines, broken after its dots, and each cut where it is still too long."""
    lines = [""]
    for part in text.replace(".", ".\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part) > WRAP:
            lines.append("")
        lines[-1] += part
    return "\n".join(cut(line, WRAP) for line in lines[-LINES:])


def importance(study: StoredStudy) -> Figure | None:
    """Share of each objective's variance that one setting alone explains."""
    designs = [d for d in study.designs if d.kind != "described"]
    found = [path for path in study.paths if len({word(d, path) for d in designs}) > 1]
    rows: Rows = []
    for path in found:
        groups = _grouped(designs, path)
        for i, one in enumerate(study.spec.objectives):
            values = [d.values[i] for d in designs]
            if min(values) > 0:
                values = [log(v) for v in values]
            rows.append({"setting": path, "objective": one.metric,
                         "share_pct": 100 * explained(values, groups)})  # fmt: skip
    if not any(r["share_pct"] for r in rows):
        return None
    total = {path: sum(r["share_pct"] for r in rows if r["setting"] == path) for path in found}
    names = sorted(found, key=lambda path: (-total[path], path))
    marks = []
    for i, one in enumerate(study.spec.objectives):
        of = {r["setting"]: r["share_pct"] for r in rows if r["objective"] == one.metric}
        hover = [f"{path}: {of[path]:.3g} % of the variance of {one.metric}" for path in names]
        values = [of[path] for path in names]
        marks.append(Points(one.metric, values, range(len(names)), i, i, 26.0, hover=hover))
    chart = Chart(
        tuple(marks), x=Axis("Variance explained [%]", low=-2, high=102),
        y=Axis(ticks=tuple((float(i), cut(name, LONG)) for i, name in enumerate(names)),
               low=len(names) - 0.5, high=-0.5), legend=" ",
    )  # fmt: skip
    says = (f"{names[0]} matters most. Analysis of variance by groups of a setting's values, of "
            "logarithms, corrected for the number of groups (epsilon squared, Kelley 1935); "
            "what settings do together is left out.")  # fmt: skip
    return Figure("importance", "Which settings matter", says, rows, chart,
                  ROOM_IN + BAR_IN * len(names) + 0.2)  # fmt: skip


def _grouped(designs: Sequence[Design], path: str) -> list[int]:
    """A group for each design, by its value of a setting."""
    order = _order(designs, path)
    count = min(GROUPS, len(order))
    group = {said: i * count // len(order) for i, said in enumerate(order)}
    return [group[word(d, path)] for d in designs]


def explained(values: Sequence[float], groups: Sequence[int]) -> float:
    """Epsilon squared: variance between groups less what chance would put there, of the whole.

    0 where nothing is explained, or where there are no more values than groups.
    """
    count = len(set(groups))
    mean = sum(values) / len(values)
    whole = sum((v - mean) ** 2 for v in values)
    if whole == 0 or len(values) <= count:
        return 0.0
    between = 0.0
    for group in set(groups):
        mine = [v for v, g in zip(values, groups, strict=True) if g == group]
        between += len(mine) * (sum(mine) / len(mine) - mean) ** 2
    within = (whole - between) / (len(values) - count)
    return max(0.0, (between - (count - 1) * within) / whole)


def failures(study: StoredStudy) -> Figure | None:
    """Designs without an answer, by the reason."""
    counts: dict[tuple[str, str], int] = {}
    for point in study.points:
        if point.status != "ok":
            key = point.status, reason(point.error)
            counts[key] = counts.get(key, 0) + 1
    if not counts:
        return None
    rows: Rows = [{"status": status, "reason": why, "designs": counts[status, why]}
            for status, why in sorted(counts, key=lambda k: (-counts[k], k))]  # fmt: skip
    names = [f"{r['status']}: {r['reason']}" for r in rows]
    whole = sum(counts.values())
    return Figure(
        "failures", "Designs without an answer",
        f"{whole} of {len(study.points)} runs have none; most: {names[0]}.", rows,
        Chart((Bars("", names, [r["designs"] for r in rows], 3, names,
                    [str(r["designs"]) for r in rows]),),
              x=Axis("Runs", low=0), y=Axis(names=tuple(names))),
        ROOM_IN + BAR_IN * len(rows),
    )  # fmt: skip


def reason(error: Mapping[str, Any] | None) -> str:
    """Why a design has no answer, short enough to count by."""
    said = error or {}
    return str(said.get("code") or said.get("message") or "not said")


def fidelities(study: StoredStudy) -> list[Figure]:
    """How alike each two rounds order the designs that both ran, by the first objective."""
    stages = [*(stage.fidelity for stage in study.spec.stages), study.spec.fidelity]
    one, found = study.spec.objectives[0], []
    for low, high in pairwise(stages):
        before = {d.point.number: d for d in study.at(low)}
        pairs = [(before[d.point.number], d) for d in study.at(high) if d.point.number in before]
        pairs = [(a, b) for a, b in pairs if a.kind != "described"]
        if len(pairs) < 2:
            continue
        scale = Scale.of(one, [d.values[0] for pair in pairs for d in pair])
        x, y = (scale.shown([pair[i].values[0] for pair in pairs]) for i in (0, 1))
        rho, tau = spearman(x, y), kendall(x, y)
        like = "all are equal" if rho is None or tau is None else (
            f"Spearman's rank correlation {rho:.3f}, Kendall's {tau:.3f}")  # fmt: skip
        ends = [min(*x, *y), max(*x, *y)]
        rows = [{"design": b.point.number, low: a.values[0], high: b.values[0]} for a, b in pairs]
        hover = [f"design {row['design']}" for row in rows]
        marks = (Line("", ends, ends, "mute", "dash", note="equal"),
                 Points("", x, y, 0, 0, 14.0, hover=hover))  # fmt: skip
        found.append(Figure(
            f"fidelity_{low}_{high}", f"{low} against {high}",
            f"{len(pairs)} designs ran at both: {like}.", rows,
            Chart(marks, x=Axis(f"{low}: {scale.title}", log=wide(x)),
                  y=Axis(f"{high}: {scale.title}", log=wide(y))), 2.4,
        ))  # fmt: skip
    return found
