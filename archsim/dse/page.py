"""The page of a study: the front and why, what failed, and how to run each point again."""

from __future__ import annotations

import shlex
from pathlib import Path

from archsim.core.units import format_si
from archsim.core.yamlio import dump_yaml
from archsim.dse import figure_front, figure_search
from archsim.dse.again import again as alone
from archsim.dse.figure_search import reason
from archsim.dse.stored import Design, StoredStudy, is_study, read_study
from archsim.report.figure_chart import Figure
from archsim.report.html.page import AGAIN, Page, Section, Table
from archsim.report.quantity import with_unit

__all__ = ["figures", "is_study", "page"]
MOST_ROWS = 60  # of the table of the front
MOST_REASONS = 12
COLUMNS = 6  # of settings in the table; more are in the data of the figure


def page(folder: Path) -> Page:
    """The page of the study that a folder holds.

    Raises:
        InputError: E702, E703 as `read_study`.
    """
    study = read_study(folder)
    found = {figure.name: figure for figure in _figures(study)}

    def pick(*names: str) -> tuple[Figure, ...]:
        return tuple(found[name] for name in names if name in found)

    shown = pick("pareto", "hypervolume")
    rounds = tuple(found[name] for name in found if name.startswith("fidelity_"))
    none = "No design has an answer: the reasons are below."
    return Page(
        study.spec.name,
        _verdict(study),
        tuple(_facts(study)),
        (
            Section("front", "Front", () if shown else (none,), shown, _front(study)),
            _section("settings", "Settings", pick("parallel", "importance"),
                     "Nothing to compare: no setting has two values among designs with an answer."),
            *([Section("fidelities", "Fidelities", (), rounds, _agreement(study))] if rounds else
              [Section("fidelities", "Fidelities", ("All designs ran at one fidelity: "
                                                    f"{study.spec.fidelity}.",))]),
            _failed(study, pick("failures")),
            _again(study),
        ),
        _passing(study),
    )  # fmt: skip


def figures(folder: Path) -> list[Figure]:
    """Every figure of a study that there are data for.

    Raises:
        InputError: E702, E703 as `read_study`.
    """
    return _figures(read_study(folder))


def _figures(study: StoredStudy) -> list[Figure]:
    makers = (figure_front.pareto, figure_front.growth, figure_search.parallel,
              figure_search.importance, figure_search.failures)  # fmt: skip
    found = [figure for make in makers if (figure := make(study)) is not None]
    return found + figure_search.fidelities(study)


def _section(name: str, title: str, shown: tuple[Figure, ...], none: str) -> Section:
    return Section(name, title, () if shown else (none,), shown)


def _verdict(study: StoredStudy) -> str:
    """How many designs, the best by each objective, and what it gains over the described one."""
    answered = [d for d in study.designs if d.kind != "described"]
    text = f"{len(answered)} designs with an answer, {len(study.front)} on the front."
    described = study.described
    for i, one in enumerate(study.spec.objectives):
        if not study.front:
            break
        best = min(study.front, key=lambda d: d.less[i])
        text += f" Best {_name(one.metric)}: {with_unit(one.metric, best.values[i])}"
        text += f", design {best.point.number}"
        if described is not None and best.values[i] and described.values[i]:
            text += f" (as described {with_unit(one.metric, described.values[i])})"
        text += "."
    if study.meta.get("complete") != "1":
        text += " The study has not come to its end."
    return text


def _facts(study: StoredStudy) -> list[tuple[str, str]]:
    spec = study.spec
    return [
        ("Key", study.meta.get("spec", "")[:8] or "not said"),
        ("Sampler", str(study.summary.get("sampler") or spec.search.sampler)),
        ("Fidelity", spec.fidelity),
        ("Seed", str(spec.seed if spec.search.seed is None else spec.search.seed)),
        ("Version", study.meta.get("archsim", "not said")),
        ("Runs", f"{len(study.points)}"),
    ]


def _passing(study: StoredStudy) -> tuple[tuple[str, str], ...]:
    wall_s = study.manifest.get("wall_s")
    return (("Took", format_si(wall_s, "s")),) if isinstance(wall_s, int | float) else ()


def _front(study: StoredStudy) -> tuple[Table, ...]:
    """The best designs with what they set; and how to run each again, where no column hides it."""
    shown = study.front[:MOST_ROWS]
    if not shown:
        return ()
    values = {p: {figure_search.word(d, p) for d in study.designs} for p in study.paths}
    varied = [path for path, found in values.items() if len(found) > 1][:COLUMNS]
    names = [one.metric for one in study.spec.objectives]
    head = ("Design", "Key", *(_name(n) for n in names), *varied)
    rows = tuple(
        (
            str(d.point.number), d.point.key[:8],
            *(with_unit(n, v) for n, v in zip(names, d.values, strict=True)),
            *(figure_search.word(d, p) for p in varied),
        )
        for d in shown
    )  # fmt: skip
    numbers = (0, *range(2, 2 + len(names)))
    commands = tuple((str(d.point.number), again(study, d)) for d in shown)
    table = Table(head, rows, numbers)
    return table, Table(("Design", "Run this point again, in its folder"), commands, (0,), (1,))


def again(study: StoredStudy, design: Design) -> str:
    """The commands that run one design alone, on each workload, in the folder of the study."""
    point = design.point
    return "\n".join(alone(Path(), study.spec.to_data(), point.settings, point.fidelity))


def _agreement(study: StoredStudy) -> tuple[Table, ...]:
    rows = tuple(
        (f"{one['from']} to {one['to']}", one["metric"], str(one["designs"]),
         _rounded(one["spearman"]), _rounded(one["kendall"]))
        for one in study.summary.get("rank_correlation", ())
    )  # fmt: skip
    head = ("Fidelities", "Objective", "Designs", "Spearman", "Kendall")
    return (Table(head, rows, (2, 3, 4)),) if rows else ()


def _rounded(value: float | None) -> str:
    return "all are equal" if value is None else f"{value:.3f}"


def _failed(study: StoredStudy, shown: tuple[Figure, ...]) -> Section:
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for point in sorted(study.points, key=lambda p: p.number):
        if point.status != "ok":
            message = str((point.error or {}).get("message", ""))
            first.setdefault((point.status, reason(point.error)), (point.number, message))
    most = list(first.items())[:MOST_REASONS]
    rows = tuple((status, why, str(number), message) for (status, why), (number, message) in most)
    broken = sum(d.kind == "broken" for d in study.designs)
    says = [f"{broken} designs with an answer break a constraint."] if study.limits else []
    if not rows:
        says.append("Every design has an answer.")
    head = ("Status", "Reason", "First design", "Message")
    return Section("failures", "Failures", tuple(says), shown,
                   (Table(head, rows, (2,)),) if rows else ())  # fmt: skip


def _again(study: StoredStudy) -> Section:
    says = (
        "The description below holds all that the study needs; with the same version it gives the "
        "same store. The second command writes every design with every metric as a table.",
    )
    export = shlex.join(["archsim", "export", study.folder.name, "--format", "csv"])
    commands = ("archsim explore explore.resolved.yaml", export)
    text = dump_yaml(study.spec.to_data())
    return Section(
        AGAIN, "Reproduce", says, commands=commands, folded=(("explore.resolved.yaml", text),)
    )


def _name(metric: str) -> str:
    return metric.removeprefix("metrics.")
