"""Which designs of a study are best: the front, the volume under it as it grew, and its designs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsim.core.errors import MissingExtra
from archsim.core.yamlread import value_text
from archsim.dse.objective import Objective
from archsim.dse.pareto import hypervolume, usual_reference
from archsim.dse.stored import Design, StoredStudy
from archsim.report.figure_chart import Axis, Chart, Figure, Line, Points
from archsim.report.formulas import unit_of
from archsim.report.quantity import scale

MOST_DRAWN = 20_000  # points that a page can hold; of more, one a spot is drawn
SPOTS = (200, 150)  # of a figure, across and up
CROWD = 2000  # points of one kind from which they are smaller
WIDE = 30.0  # ratio of largest to least from which an axis is in decades
STEPS = 120  # of the curve of hypervolume
LOOKS: dict[str, tuple[str, Any, Any, float]] = {
    "dominated": ("dominated", "mute", 0, 8.0), "broken": ("breaks a constraint", 3, "cross", 12.0),
    "front": ("front", 0, 0, 22.0), "described": ("as described", 1, "star", 70.0),
}  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How values of an objective are shown: divided by `size`, under a title with the unit."""

    title: str
    size: float

    @classmethod
    def of(cls, objective: Objective, values: Sequence[float]) -> Scale:
        """The scale that gives an objective short numbers."""
        unit, name = unit_of(objective.metric), objective.metric.removeprefix("metrics.")
        size, unit = scale(max(map(abs, values), default=0.0), unit)
        return cls(f"{name} [{unit}]" if unit else name, size)

    def shown(self, values: Sequence[float]) -> list[float]:
        """Values in the unit of the title."""
        return [value / self.size for value in values]


def pareto(study: StoredStudy) -> Figure | None:
    """Each design at its first two objectives; of one objective, at its number."""
    designs = thinned(study.designs)
    if not designs:
        return None
    two = len(study.spec.objectives) > 1
    scales = [Scale.of(o, [d.values[i] for d in study.designs])
              for i, o in enumerate(study.spec.objectives)]  # fmt: skip
    axis_x = scales[0] if two else Scale("Design", 1.0)
    axis_y = scales[1] if two else scales[0]

    def place(design: Design) -> tuple[float, float]:
        x = design.values[0] if two else float(design.point.number)
        return x / axis_x.size, design.values[1 if two else 0] / axis_y.size

    marks: list[Line | Points] = []
    for kind, (label, shade, symbol, usual) in LOOKS.items():
        mine = [d for d in designs if d.kind == kind]
        size = usual / 3 if len(mine) > CROWD else usual
        if mine:
            at = [place(d) for d in mine]
            marks.append(Points(label, [x for x, _ in at], [y for _, y in at], shade, symbol, size,
                                hover=[said(d) for d in mine]))  # fmt: skip
    several = len(study.spec.objectives) > 2  # whose front is no line in two of them
    steps = [] if several else [place(d) for d in (study.front if two else _leaders(study))]
    if steps:
        marks.insert(0, Line("", [x for x, _ in steps], [y for _, y in steps], 0, step=True))
    marks += _limits(study, [place(d) for d in designs], (axis_x, axis_y), two=two)
    x, y = ([place(d)[i] for d in designs] for i in (0, 1))
    chart = Chart(
        tuple(marks), x=Axis(axis_x.title, log=two and wide(x)), y=Axis(axis_y.title, log=wide(y))
    )
    return Figure("pareto", "Which designs are best", _says(study, len(designs)),
                  [_row(study, d) for d in designs], chart, 2.8)  # fmt: skip


def _says(study: StoredStudy, drawn: int) -> str:
    best, described = study.front, study.described
    whole = sum(d.kind != "described" for d in study.designs)
    text = f"{len(best)} of {whole} designs are on the front"
    if described is not None:
        better = sum(all(a <= b for a, b in zip(d.less, described.less, strict=True))
                     and d.less != described.less for d in best)  # fmt: skip
        text += f"; better than the machine as described in every objective: {better}"
    if drawn < len(study.designs):
        text += f". Of those behind it, one a spot is drawn: {drawn} in all; export has each"
    if len(study.spec.objectives) > 2:
        text += ". Two objectives of several are drawn, so that the front may seem to be dominated"
    return text + "."


def _leaders(study: StoredStudy) -> list[Design]:
    """Of one objective: the designs that were the best so far."""
    found: list[Design] = []
    for design in study.designs:
        if design.kept and design.kind != "described":
            if found and found[-1].less <= design.less:
                continue
            found.append(design)
    return found


def _limits(
    study: StoredStudy, places: Sequence[tuple[float, float]], scales: tuple[Scale, Scale],
    *, two: bool,
) -> list[Line]:  # fmt: skip
    """Constraints on a metric that is an axis, as lines across the figure."""
    names = [one.metric for one in study.spec.objectives[: 2 if two else 1]]
    xs, ys = zip(*places, strict=True)
    lines = []
    for limit in study.limits:
        if len(limit.terms) != 1 or limit.terms[0][1] not in [(name,) for name in names]:
            continue
        way = names.index(limit.terms[0][1][0]) if two else 1
        at = limit.limit / limit.terms[0][0] / scales[way].size
        ends: tuple[list[float], list[float]] = (
            ([at, at], [min(ys), max(ys)]) if way == 0 else ([min(xs), max(xs)], [at, at])
        )
        lines.append(Line("", *ends, "ink", "dash", note=limit.text))
    return lines


def _row(study: StoredStudy, design: Design) -> dict[str, Any]:
    """A design as data: what it is, its objectives and every setting."""
    metrics = {o.metric: v for o, v in zip(study.spec.objectives, design.values, strict=True)}
    settings = {path: design.point.settings.get(path) for path in study.paths}
    return {"design": design.point.number, "key": design.point.key[:8], "kind": design.kind,
            **metrics, **settings}  # fmt: skip


def said(design: Design) -> str:
    """A design and a line for each of its settings, for the text that hovers."""
    point = design.point
    name = f"design {point.number}, {point.key[:8]}"
    name = "as described" if design.kind == "described" else name
    settings = (f"{path} = {value_text(value)}" for path, value in point.settings.items())
    return "\n".join([name, *settings])


def thinned(designs: Sequence[Design]) -> list[Design]:
    """All designs, or of very many those behind the front one a spot of the figure."""
    if len(designs) <= MOST_DRAWN:
        return list(designs)
    ranges = [(min(c), max(c)) for c in zip(*(d.values for d in designs), strict=True)][:2]
    seen: set[tuple[Any, ...]] = set()
    kept = []
    for design in designs:
        spot = (design.kind, *(
            int((v - low) / ((high - low) or 1.0) * n)
            for v, (low, high), n in zip(design.values, ranges, SPOTS, strict=False)
        ))  # fmt: skip
        if design.kind in ("front", "described") or spot not in seen:
            seen.add(spot)
            kept.append(design)
    return kept


def wide(values: Sequence[float]) -> bool:
    """Whether values need an axis in decades."""
    return min(values) > 0 and max(values) > WIDE * min(values)


def growth(study: StoredStudy) -> Figure | None:
    """Hypervolume of the front against the designs that were asked for."""
    spec = study.spec
    first = spec.stages[0].fidelity if spec.stages else spec.fidelity
    designs = [d for d in study.at(first) if d.kind != "described"]
    kept = [d for d in designs if d.kept]
    if len(kept) < 2:
        return None
    said_reference = (study.summary.get("hypervolume") or {}).get("reference")
    signs = [one.sign for one in spec.objectives]
    reference = ([s * v for s, v in zip(signs, said_reference, strict=True)] if said_reference
                 else list(usual_reference([d.less for d in designs])))  # fmt: skip
    last = designs[-1].point.number + 1
    rows, best = [], list[tuple[float, ...]]()
    todo = iter([*kept, None])
    design = next(todo)
    for step in range(1, min(STEPS, last) + 1):
        asked = round(step * last / min(STEPS, last))
        while design is not None and design.point.number < asked:
            best = [b for b in best if any(x < y for x, y in zip(b, design.less, strict=True))]
            best.append(design.less)
            design = next(todo)
        try:
            rows.append({"designs": asked, "hypervolume": hypervolume(best, reference)})
        except MissingExtra:
            return None
    shown = ", ".join(f"{o.metric} {s * r:.4g}" for o, s, r in
                      zip(spec.objectives, signs, reference, strict=True))  # fmt: skip
    x, y = ([row[key] for row in rows] for key in ("designs", "hypervolume"))
    round_ = f"of the first of {len(spec.stages) + 1} rounds, at fidelity {first}"
    of = f"at the end {round_}" if spec.stages else f"at the end, at fidelity {first}"
    return Figure(
        "hypervolume", "How the front of the first round grew" if spec.stages else
        "How the front grew",
        f"{y[-1]:.4g} {of}; against the point {shown}.", rows,
        Chart((Line("", x, y, 0, step=True),), x=Axis("Designs asked for", low=0, high=last),
              y=Axis("Hypervolume")),
        1.9,
    )  # fmt: skip
