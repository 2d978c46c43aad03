"""What a study found, as text: the front as a table, the summary as JSON, designs as CSV."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.dse.found import Found, Row

SHOWN = 20  # designs of a front that a table lists
COUNTED = {
    "kept": "keep the constraints", "broken": "break them", "infeasible": "do not fit",
    "failed": "failed", "quarantined": "ended their worker",
}  # fmt: skip


def show(found: "Found", fmt: Literal["table", "json", "csv"]) -> None:
    """Print what a study found on stdout."""
    if fmt == "json":
        out.result(out.json_text(found.summary()))
    elif fmt == "csv":
        out.result(out.csv_text(_rows(found)))
    else:
        out.result(_table(found))


def _rows(found: "Found") -> list[dict[str, Any]]:
    """Designs as flat rows; every row has every column."""
    flat = [
        {"number": row.number, "status": row.status, "kept": row.kept, **row.settings,
         **row.metrics, "error": (row.error or {}).get("message", "")}
        for row in found.rows
    ]  # fmt: skip
    columns = list(dict.fromkeys(key for row in flat for key in row))
    return [{key: row.get(key, "") for key in columns} for row in flat]


def _table(found: "Found") -> str:
    spec = found.plan.spec
    counts = found.counts
    said = [f"{counts[key]} {words}" for key, words in COUNTED.items() if counts[key]]
    if not spec.constraints:
        said = [text.replace("keep the constraints", "answered") for text in said]
    parts = [
        f"{spec.name}: {found.plan.kind}, {len(found.rows)} designs at {spec.fidelity}: "
        f"{', '.join(said) or 'none'}",
        _asked(found),
        "",
    ]
    names = [one.metric.removeprefix("metrics.") for one in spec.objectives]
    first = [("described", found.described)] if found.described else []
    rows = [*first, *((f"#{row.number} {row.key[:8]}", row) for row in found.front[:SHOWN])]
    short = _short({path for _, row in rows for path in row.settings})
    lines = [_line(found, name, row, short) for name, row in rows]
    parts.append(out.table_text(lines, ["", *names, "settings"]))
    if not found.front:
        parts.append("no design keeps the constraints" if spec.constraints else "no answers")
    elif len(found.front) > SHOWN:
        parts.append(f"and {len(found.front) - SHOWN} more on the front: --format json lists them")
    parts += ["", *_facts(found)]
    return "\n".join(parts).rstrip()


def _asked(found: "Found") -> str:
    """Where the answers come from; the parts add up to what was asked for."""
    wanted = found.asked + found.again
    parts = [f"{found.ran} simulated", f"{found.cached} answered by the store"]
    if same := wanted - found.ran - found.cached:
        parts.append(f"{same} the same as others")
    what = f"asked for {found.asked} designs"
    if found.again:
        what += f" and again for {found.again}"
    return f"{what} beside the one described: {', '.join(parts)}"


def _short(paths: Iterable[str]) -> dict[str, str]:
    """The shortest end of each path that no other has."""
    ends: dict[str, list[str]] = {}
    for path in paths:
        words = path.split(".")
        ends[path] = [".".join(words[-n:]) for n in range(1, len(words) + 1)]
    seen = Counter(end for several in ends.values() for end in several)
    return {
        path: next((end for end in several if seen[end] == 1), path)
        for path, several in ends.items()
    }


def _line(found: "Found", name: str, row: "Row", short: Mapping[str, str]) -> list[str]:
    from archsim.core.yamlread import value_text
    from archsim.report.quantity import with_unit

    metrics = [one.metric for one in found.plan.spec.objectives]
    shown = [with_unit(metric, row.metrics[metric]) if metric in row.metrics else row.status
             for metric in metrics]  # fmt: skip
    settings = ", ".join(
        f"{short[path]}={value_text(value)}" for path, value in row.settings.items()
    )
    return [name, *shown, settings or ("as described" if row.status == "ok" else row.status)]


def _facts(found: "Found") -> list[str]:
    """Lines below the table."""
    lines = []
    if found.dominating:
        lines.append(
            f"{len(found.dominating)} of the front are better than the machine as described, and "
            "worse in nothing"
        )
    if found.volumes and found.reference:
        signs = [one.sign for one in found.plan.spec.objectives]
        at = ", ".join(f"{s * r:.4g}" for s, r in zip(signs, found.reference, strict=True))
        spec = found.plan.spec
        first = spec.stages[0].fidelity if spec.stages else spec.fidelity
        usual = "" if found.plan.reference else ", a tenth of the range beyond the first batch"
        lines.append(f"hypervolume {found.volumes[-1]:.4g} below ({at}){usual}, at {first}")
    return lines + [
        f"{one['from']} orders {one['designs']} designs by {one['metric']} as {one['to']} does: "
        f"Spearman {one['spearman']:.3f}, Kendall {one['kendall']:.3f}"
        for one in found.agreement
        if one["spearman"] is not None
    ]
