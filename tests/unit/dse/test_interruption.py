"""Is a study that was ended, in any way and at any moment, the same study once it went on?"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from archsim.cli import _app
from archsim.dse.export import csv_lines, jsonl_lines
from archsim.dse.folder import RUNS, connect
from archsim.dse.store import Store

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 8
SWEEP = (
    *("sweep", "npu", "gpt2-small-prefill", "--fidelity", "analytic"),
    *("--vary", f"engines.array.count=int:1:{COUNT}"),
)
MOMENTS = random.Random(9)  # when to end it, in designs that are answered


def begun(folder: Path) -> subprocess.Popen[str]:
    """A sweep in a process group of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "archsim.cli", *SWEEP, "-j", "2", "-o", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def rows(folder: Path) -> int:
    with (
        suppress(sqlite3.OperationalError),  # not there yet
        closing(connect(folder, write=False)) as database,
    ):
        return int(database.execute("SELECT COUNT(*) FROM points").fetchone()[0])
    return 0


def wait_for(folder: Path, count: int) -> None:
    for _ in range(4000):
        if rows(folder) >= count:
            return
        time.sleep(0.005)
    raise AssertionError("the sweep made no progress")


def wait_until_gone(group: int) -> None:
    """Until no process of a group is left."""
    for _ in range(2000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.005)
    raise AssertionError("a worker outlived its study")


def finished(folder: Path) -> tuple[str, dict[str, bytes]]:
    """Run it to its end in this process; its table, and the files of its runs."""
    done = CliRunner().invoke(
        _app.build(), [*SWEEP, "--executor", "serial", "-o", str(folder)], prog_name="archsim"
    )
    assert done.exit_code == 0, done.stderr
    with Store.read(folder) as store:
        assert store.complete
        table = "".join([*csv_lines(store), *jsonl_lines(store)])
    runs = (folder / RUNS).glob("*/*")
    return table, {path.name: path.read_bytes() for path in runs}


def killed(folder: Path) -> bool:
    """Begin a sweep and kill it with SIGKILL; whether that was before its end."""
    sweep = begun(folder)
    wait_for(folder, MOMENTS.randrange(1, COUNT // 2))
    sweep.kill()
    sweep.communicate()
    wait_until_gone(sweep.pid)
    return rows(folder) < COUNT


def interrupted(folder: Path) -> bool:
    """Go on and press Ctrl-C; whether that was before the end."""
    before = rows(folder)
    sweep = begun(folder)
    wait_for(folder, before + MOMENTS.randrange(1, COUNT // 2))
    os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does: workers get it too
    _, said = sweep.communicate(timeout=60)
    wait_until_gone(sweep.pid)
    if sweep.returncode == 0:
        return False
    assert sweep.returncode == 130, said
    assert "finishing the points that run, for 10 s at most; Ctrl-C again" in said
    assert "go on with: archsim sweep npu gpt2-small-prefill" in said
    return True


def test_a_sweep_killed_and_then_interrupted_ends_as_one_that_was_left_alone(
    tmp_path: Path,
) -> None:
    folders = (tmp_path / str(i) for i in range(5))  # a busy machine may miss the moment
    folder = next((f for f in folders if killed(f) and interrupted(f)), None)
    assert folder is not None, "every sweep came to its end before it was ended"
    table, runs = finished(folder)
    assert (table, runs) == finished(tmp_path / "alone")
    assert len(runs) == COUNT + 1
