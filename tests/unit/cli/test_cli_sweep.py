"""Does a study from the command line print what it found, and end with the status it says?"""

from __future__ import annotations

import json
from pathlib import Path

SWEEP = (
    "sweep", "npu", "gpt2-small", "--phase", "decode", "--batch", "2", "--context", "64",
    "--vary", "engines.array.count=4,8", "--vary", "workload.phase.batch=1,2", "-q",
)  # fmt: skip


def test_the_table_shows_the_machine_as_described_and_the_front(archsim):
    done = archsim(*SWEEP, "--fidelity", "bound", "-o", "s")
    assert (done.status, done.stderr) == (0, "")
    first, second, *_ = done.stdout.splitlines()
    assert first == "npu-gpt2-small: grid, 4 designs at bound: 4 answered"
    assert second == (
        "asked for 4 designs beside the one described: 4 simulated, 0 answered by the store"
    )
    assert "described" in done.stdout
    assert "count=4, batch=1" in done.stdout
    assert {path.name for path in Path("s").iterdir()} >= {
        "explore.resolved.yaml", "sweep.db", "summary.json", "manifest.json",
    }  # fmt: skip


def test_json_is_the_summary_and_csv_has_a_row_a_design(archsim):
    bound = (*SWEEP, "--fidelity", "bound", "-o", "s")
    summary = json.loads(archsim(*bound, "--format", "json").stdout)
    assert summary == json.loads(Path("s/summary.json").read_text())
    rows = archsim(*bound, "--format", "csv").stdout.splitlines()
    assert rows[0] == (
        "number,status,kept,engines.array.count,workload.phase.batch,"
        "metrics.time_s,metrics.area_mm2.total,error"
    )
    assert len(rows) == 5


def test_designs_that_fail_are_kept_and_told_by_the_status(archsim):
    done = archsim(
        *SWEEP, "--fidelity", "analytic", "--executor", "serial", "--timeout", "1 us", "-o", "s"
    )
    assert done.status == 9
    assert "4 failed" in done.stdout
    assert done.stderr == "5 designs failed; their errors are in s\n"


def test_a_dry_run_counts_and_writes_nothing(archsim):
    done = archsim(*SWEEP, "--fidelity", "analytic", "--dry-run")
    assert done.stdout.startswith("analytic  4 designs")
    assert list(Path().iterdir()) == []
    tight = archsim(*SWEEP, "--fidelity", "bound", "--dry-run", "--set", "memory.hbm.capacity=1MiB")
    assert "bound  4 designs  none of them tried runs" in tight.stdout
    assert "at bound the machine as described is infeasible: gpt2-small" in tight.stdout


def test_answers_of_a_changed_space_are_told_of(archsim):
    work = ("--phase", "decode", "--batch", "2", "--context", "64", "--fidelity", "bound")
    sweep = ("sweep", "npu", "gpt2-small", *work, "-o", "s", "--vary")
    archsim(*sweep, "engines.array.count=4,16")
    done = archsim(*sweep, "engines.array.count=16,32")
    assert (
        "3 answers in s are of another description of the study: "
        "2 answer this one too, the others are set aside\n" in done.stderr
    )


def test_what_cannot_be_a_study_is_a_usage_error(archsim):
    assert archsim("sweep", "npu", "gpt2-small-prefill").status == 2  # nothing varies
    assert archsim("sweep", "npu-bandwidth", "--vary", "a=1").status == 2
    assert archsim("sweep", "npu-bandwidth", "--shard", "3/2").status == 2


def test_a_search_cannot_be_cut_into_shards(archsim):
    done = archsim("explore", "hbm2-controller", "--shard", "1/2", "-o", "s")
    assert done.status == 3
    assert "sampler tpe learns from all of its designs" in done.stderr


def test_a_study_is_checked_like_any_other_file(archsim):
    assert archsim("new", "explore", "mine").status == 0
    assert archsim("check", "mine.yaml").stdout == "mine.yaml  explore  mine\n"
