"""How wrong is a proxy of the simulator, how much faster, and how many designs does it need?

    python -m benchmarks surrogate [--study NAME|FOLDER] [--parts 50,100,200] [--out FOLDER]

A study is run, or gone on with, in a folder; both kinds of model then learn from all of its designs
and from random parts of them. `seen` is the mean error of designs that were held out at random,
`between` that of designs with a value of a setting that was not learned; both over the true value.
`rest` is the error of a part's model on all designs outside the part. Times of runs are those that
the study noted; proxies answer in this process, all designs together.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from archsim.dse.plan import prepare
from archsim.dse.run import run
from archsim.dse.spec import load_explore
from archsim.dse.stored import is_study
from archsim.dse.surrogate import Proxy, train
from archsim.dse.surrogate_models import MODELS, Kind, one_thread
from archsim.dse.surrogate_score import back, forth
from benchmarks.tables import Row, write_csv

STUDY = "duplex-mixtral"
SEED = 0
FORM = "{:9} {:24} {:>7} {:>9} {:>9} {:>9} {:>8} {:>9} {:>10}"
HEAD = (
    "model",
    "metric",
    "designs",
    "seen %",
    "between %",
    "rest %",
    "R2",
    "Spearman",
    "designs/s",
)


def main() -> bool:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default=STUDY)
    parser.add_argument("--parts", default="50,100,200")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(said.study)
        if not is_study(folder):
            folder = answered(said.study, (said.out or Path(scratch)) / "study")
        print(FORM.format(*HEAD))
        rows = [row for kind in MODELS for row in of_kind(folder, kind, said.parts)]
    if said.out:
        write_csv(said.out / "surrogate.csv", rows)
    return True


def answered(name: str, folder: Path) -> Path:
    """The folder of a study that came to its end."""
    spec, document = load_explore(name)
    execution = spec.execution.model_copy(update={"keep": "metrics"})
    run(prepare(spec.model_copy(update={"execution": execution}), document), folder)
    return folder


def of_kind(folder: Path, kind: Kind, parts: str) -> list[Row]:
    """Rows of one kind of model: by what it does with a part of the designs, and with all."""
    proxy = train(folder, kind=kind, seed=SEED)
    rows: list[Row] = []
    for count in sorted(int(part) for part in parts.split(",")):
        if count < len(proxy.points):
            rows += of_part(proxy, count)
    speed = proxy.speed()
    for score in proxy.scores:
        rows.append(
            {"model": kind, "metric": score.metric, "designs": len(proxy.points),
             "seen": score.error(between=False), "between": score.error(between=True),
             "rest": None, "r2": score.r2.mean, "spearman": score.spearman.mean,
             "predicted_per_s": 1 / speed.batch_s}
        )  # fmt: skip
        show(rows[-1])
    if speed.simulated_s:
        print(
            f"{kind}: learned in {speed.learning_s:.1f} s; a run took {speed.simulated_s * 1e3:.1f}"
            f" ms, an answer {speed.batch_s * 1e6:.0f} us of a batch or {speed.single_s * 1e3:.2f} "
            f"ms alone: {speed.simulated_s / speed.batch_s:,.0f} and "
            f"{speed.simulated_s / speed.single_s:,.0f} times faster"
        )
    return rows


def of_part(proxy: Proxy, count: int) -> list[Row]:
    """What models of a random part say of all other designs."""
    order = np.random.default_rng(SEED).permutation(len(proxy.points))
    part, rest = np.sort(order[:count]), np.sort(order[count:])
    table = proxy.features.matrix([point.settings for point in proxy.points])
    rows: list[Row] = []
    for score in proxy.scores:
        true = np.asarray([point.metrics[score.metric] for point in proxy.points])
        with one_thread():
            model = MODELS[proxy.kind](table[part], forth(list(true[part]), score.log), SEED)
            guess = np.asarray(back(model.predict(table[rest]), score.log))
        error = fmean(np.abs(guess / true[rest] - 1))
        row: Row = {"model": proxy.kind, "metric": score.metric, "designs": count, "rest": error}
        rows.append(row)
        show(row)
    empty = ("seen", "between", "r2", "spearman", "predicted_per_s")
    return [{**row, **dict.fromkeys(empty)} for row in rows]


def show(row: Row) -> None:
    """One line of the table."""

    def said(name: str, form: str, times: float = 1.0) -> str:
        value: Any = row.get(name)
        return "" if value is None else format(value * times, form)

    print(FORM.format(
        row["model"], row["metric"].removeprefix("metrics."), row["designs"],
        said("seen", ".3g", 100), said("between", ".3g", 100), said("rest", ".3g", 100),
        said("r2", ".4f"), said("spearman", ".4f"), said("predicted_per_s", ",.0f"),
    ), flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
