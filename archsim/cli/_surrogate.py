"""What `surrogate` prints: how wrong a proxy is, how fast, and its answers with their label."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.dse.surrogate import Prediction, Proxy, Speed
    from archsim.dse.surrogate_score import Score, Spread

NAMES = {"boosted": "boosted trees", "gaussian": "a Gaussian process"}


def data(proxy: "Proxy", found: "Sequence[Prediction]", speed: "Speed") -> dict[str, Any]:
    """The same for programs."""
    ratio = None if speed.simulated_s is None else speed.simulated_s / speed.batch_s
    return {
        "study": str(proxy.study.folder),
        "fidelity": proxy.study.spec.fidelity,
        "model": proxy.kind,
        "designs": len(proxy.points),
        "cross_validated": [_score(score) for score in proxy.scores],
        "speed": {**vars(speed), "times_faster": ratio},
        "answers": [
            {"proxy": True, "settings": dict(one.settings), "metrics": dict(one.metrics),
             "error": dict(one.error), "between": list(one.between),
             "outside": list(one.outside)}
            for one in found
        ],
    }  # fmt: skip


def _score(score: "Score") -> dict[str, Any]:
    spreads = {"mape": score.mape, "mae": score.mae, "r2": score.r2, "spearman": score.spearman}
    return {
        "metric": score.metric,
        "log": score.log,
        **{name: None if one is None else vars(one) for name, one in spreads.items()},
        "within_90_percent": score.within,
        "mape_between": score.between,
    }


def text(proxy: "Proxy", found: "Sequence[Prediction]", speed: "Speed") -> str:
    """For people: errors, speed, then answers."""
    fidelity = proxy.study.spec.fidelity
    lines = [
        f"proxy of {len(proxy.points)} designs at {fidelity}: {NAMES[proxy.kind]}",
        "errors of designs held out, +- from fold to fold; between: at values not learned",
        "",
        out.table_text(
            [[_short(s.metric), _mean_error(s), _share(s.between), _plain(s.r2),
              _plain(s.spearman)] for s in proxy.scores],
            ("metric", "mean error", "between", "R2", "Spearman"),
        ),
        "",
        _speed(speed),
    ]  # fmt: skip
    if found:
        lines += ["", f"answers of the proxy, none of them run at {fidelity}:"]
        lines += [_answer(one) for one in found]
    return "\n".join(lines)


def _short(metric: str) -> str:
    return metric.removeprefix("metrics.")


def _mean_error(score: "Score") -> str:
    if score.mape is None:
        return f"{score.mae.mean:.3g} +-{score.mae.sd:.2g}"
    return f"{_share(score.mape.mean, '')} +-{_share(score.mape.sd)}"


def _share(share: float | None, sign: str = " %") -> str:
    return "-" if share is None else f"{100 * share:.2g}{sign}"


def _plain(spread: "Spread") -> str:
    return f"{spread.mean:.3f} +-{spread.sd:.3f}"


def _speed(speed: "Speed") -> str:
    own = f"{1 / speed.batch_s:,.0f} designs/s together, {1 / speed.single_s:,.0f} one by one"
    learned = f"learned in {speed.learning_s:.1f} s"
    if speed.simulated_s is None:
        return f"{own}; {learned}"
    ratio = speed.simulated_s / speed.batch_s
    run = f"a run took {speed.simulated_s * 1e3:.3g} ms: {ratio:,.0f} times faster"
    return f"{own}; {learned}\n{run}"


def _answer(one: "Prediction") -> str:
    """Two lines: the design, and what the proxy says of it."""
    design = ", ".join(f"{path}={value}" for path, value in one.settings.items())
    values = [
        f"{_short(metric)} {value:.4g} {_told(one.error[metric])}"
        for metric, value in one.metrics.items()
    ]
    beyond = f"  (beyond what was learned: {', '.join(one.outside)})" if one.outside else ""
    return f"{design}\n  proxy: {', '.join(values)}{beyond}"


def _told(error: float | None) -> str:
    return "(error unknown)" if error is None else f"+-{_share(error)}"
