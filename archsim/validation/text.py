"""A validation as text: one line a metric, the worst rows, a verdict."""

from __future__ import annotations

from archsim.validation.runner import ValidationResult

HEADS = ("metric", "n", "exact", "mean %", "median %", "p90 %", "max %", "bias %", "tolerance", "")


def render(result: ValidationResult) -> str:
    """Metrics, the five worst rows with why, and whether the suite passes."""
    lines = [HEADS]
    for name, m in result.metrics().items():
        status = "ok" if m["pass"] else "MISS"
        lines.append(
            (
                name, str(m["n"]), str(m["exact"]), f"{m['mape_pct']:.3f}",
                f"{m['median_ape_pct']:.3f}", f"{m['p90_ape_pct']:.3f}", f"{m['max_ape_pct']:.3f}",
                f"{m['bias_pct']:+.3f}", m["tolerance"], status if m["gating"] else "",
            )
        )  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    text = [
        "  ".join(
            cell.ljust(w) if i in (0, 8) else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    wrong = [c for c in result.cases if c.status != "pass"]
    worst = sorted(wrong, key=lambda c: (-(c.ape_pct or 1e9), c.id))[:5]
    text += [f"  {c.id} {c.metric}: {c.reason}" for c in worst]
    count = f"{result.rows} rows, {result.unsupported} unsupported, {result.wall_s:.1f} s"
    verdict = "passes" if result.passed else "does not pass"
    return "\n".join([*text, "", f"{result.suite.suite} {verdict}: {count}", ""])
