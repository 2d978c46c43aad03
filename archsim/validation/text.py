"""A validation as text: one line a metric, the worst rows, a verdict."""

from __future__ import annotations

from typing import Any

from archsim.validation.runner import Case, ValidationResult

HEADS = (
    "metric",
    "n",
    "exact",
    "mean %",
    "median %",
    "p90 %",
    "max %",
    "bias %",
    "tolerance",
    "gate",
)
ROOFS = ("group", "n", "mean %", "median %", "max %", "bias %", "plain roof %", "scaled roof %", "")


def render(result: ValidationResult) -> str:
    """Metrics and which of them gate, the five worst rows with why, whether the suite passes."""
    metrics = result.metrics()
    grouped = {name: m for name, m in metrics.items() if "scaled_roofline_mape_pct" in m}
    rows = [_line(name, m) for name, m in metrics.items() if name not in grouped]
    text = _aligned([HEADS, *rows], left=(0, 8, 9))
    if grouped:
        roofs = [_roofs(name, m) for name, m in grouped.items()]
        text += ["", *_aligned([ROOFS, *roofs], left=(0, 8))]
    if result.suite.fit:
        text += ["", f"fitted: {result.suite.fit}"]
    notes = [f"  {c.id}: {c.note}" for c in result.cases if c.note]
    text += ["", "of each row", *notes] if notes else []
    text += _worst(result)
    text += ["", _gates({name: m for name, m in metrics.items() if name not in grouped})]
    count = f"{result.rows} rows, {result.unsupported} unsupported, {result.wall_s:.1f} s"
    verdict = "passes" if result.passed else "does not pass"
    return "\n".join([*text, f"{result.suite.suite} {verdict}: {count}", ""])


def _line(name: str, m: dict[str, Any]) -> tuple[str, ...]:
    status = ("ok" if m["pass"] else "MISS") if m["gating"] else "none"
    if not m["n"]:
        status = "no rows"
    numbers = (m[f"{key}_pct"] for key in ("mape", "median_ape", "p90_ape", "max_ape"))
    return (
        name, str(m["n"]), str(m["exact"]), *(f"{x:.3f}" for x in numbers),
        f"{m['bias_pct']:+.3f}", m["tolerance"], status,
    )  # fmt: skip


def _gates(metrics: dict[str, dict[str, Any]]) -> str:
    """Which metrics the verdict rests on; all others, and groups of rows, are only reported."""
    gating = {name: m["pass"] for name, m in metrics.items() if m["gating"]}
    text = f"gates: {len(gating)} of {len(metrics)} metrics"
    missed = [name for name, good in gating.items() if not good]
    text += f", of which {', '.join(missed)} missed" if missed else ", none missed"
    rest = [name for name in metrics if name not in gating]
    return f"{text}; reported only: {', '.join(rest)}" if rest else text


def _roofs(name: str, m: dict[str, Any]) -> tuple[str, ...]:
    """A machine or a class of rows, beside its rooflines."""
    return (
        name, str(m["n"]), f"{m['mape_pct']:.2f}", f"{m['median_ape_pct']:.2f}",
        f"{m['max_ape_pct']:.1f}", f"{m['bias_pct']:+.2f}", f"{m['plain_roofline_mape_pct']:.1f}",
        f"{m['scaled_roofline_mape_pct']:.2f}",
        "" if m["beats_scaled_roofline"] else "no better than the scaled roofline",
    )  # fmt: skip


def _aligned(lines: list[tuple[str, ...]], left: tuple[int, ...]) -> list[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i in left else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _worst(result: ValidationResult) -> list[str]:
    """The five rows furthest off, those outside their tolerance before all others."""
    off = [c for c in result.cases if c.status != "pass" or (c.gating and c.ape_pct)]
    off.sort(key=lambda c: (c.status == "pass", -(c.ape_pct or 1e9), c.id))
    lines = [f"  {c.id} {c.metric}: {c.reason or _how(c)}" for c in off[:5]]
    return ["", "furthest off, of the rows that gate", *lines] if lines else []


def _how(case: Case) -> str:
    return f"wanted {case.want:g}, got {case.got:g}"
