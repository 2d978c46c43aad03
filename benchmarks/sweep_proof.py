"""Is a sweep that is killed and goes on the same sweep? 500 designs of a Duplex-like machine.

    python -m benchmarks sweep_proof [--study NAME] [--kills N] [--seed N] [--out FOLDER]

The study runs by two workers and by one, left alone; then by two workers, where the process that
leads them is ended by SIGKILL at drawn moments, and goes on each time. Every answer that was in the
store before must be there after, unchanged, and none of them may be run again; at the end CSV, JSON
lines, Parquet and all files of runs must be the same bytes. `--out` keeps the table of the runs, an
export, and the page and the figures of the study.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

from archsim.dse.folder import connect
from benchmarks.tables import Row, write_csv

STUDY = "duplex-mixtral"
FORMATS = ("csv", "jsonl", "parquet")
Act = Callable[[int], None]
LOOK_S = 0.01  # between looks at how far a study is
CPU_S = 0.1  # between looks at processor time
COLUMNS = ("run", "answered", "ran", "wall_s", "cpu_s", "points_per_s", "points_per_cpu_s")
FORM = "{:22} {:>8} {:>5} {:>7} {:>7} {:>12} {:>16}"


def archsim(*words: str) -> list[str]:
    """The command line of archsim, in this Python."""
    return [sys.executable, "-m", "archsim.cli", *words]


def sweep(study: str, folder: Path, *how: str) -> list[str]:
    """The command of a study in a folder."""
    return archsim("sweep", study, "-o", str(folder), "-q", *how)


def answers(folder: Path) -> dict[str, str]:
    """What the store says of each design, by key; empty while there is none."""
    with suppress(sqlite3.OperationalError), closing(connect(folder, write=False)) as database:
        query = "SELECT key, status || metrics || settings FROM points"
        return {key: sha256(said.encode()).hexdigest() for key, said in database.execute(query)}
    return {}


def count(folder: Path) -> int:
    """Designs that are answered."""
    with suppress(sqlite3.OperationalError), closing(connect(folder, write=False)) as database:
        return int(database.execute("SELECT COUNT(*) FROM points").fetchone()[0])
    return 0


def processor_s() -> dict[int, float]:
    """Processor time of each process below this one, by id; on Linux."""
    parents, used = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            facts = path.read_text().rpartition(")")[2].split()
            pid = int(path.parent.name)
            parents[pid] = int(facts[1])
            used[pid] = (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return {pid: used[pid] for pid in below if pid != os.getpid()}


def run(
    name: str, command: list[str], folder: Path, moment: int = 0, act: Act | None = None
) -> Row:
    """Run a study until it is over; a row of the table, which is printed.

    Args:
        name: in the table.
        command: of the study.
        folder: of the study.
        moment: answered designs at which something is done to the process or to others.
        act: does it, given the id of the process.

    Returns:
        The row; `ran` is what was added to the store, processor time is of all processes below
        this one to a tenth of a second each, `status` is that of the command.
    """
    before, began, first = count(folder), time.perf_counter(), processor_s()
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if act else None,
    )  # fmt: skip
    used, looked = dict(first), began
    while process.poll() is None:
        if act and count(folder) >= moment:
            act(process.pid)
            act = None
        if time.perf_counter() > looked + CPU_S:
            used |= processor_s()
            looked = time.perf_counter()
        time.sleep(LOOK_S)
    _until_gone(process.pid)
    wall_s, cpu_s = time.perf_counter() - began, sum(used.values()) - sum(first.values())
    ran = count(folder) - before
    row = {"run": name, "answered": before, "ran": ran, "wall_s": wall_s, "cpu_s": cpu_s,
           "points_per_s": ran / wall_s, "points_per_cpu_s": ran / cpu_s,
           "status": process.returncode}  # fmt: skip
    show(row)
    return row


def _until_gone(group: int) -> None:
    """Until no process of a group is left: workers end with their study."""
    with suppress(ProcessLookupError):
        while True:
            os.killpg(group, 0)
            time.sleep(LOOK_S)


def killed(name: str, command: list[str], folder: Path, moment: int) -> tuple[Row, bool]:
    """Run a study and end it by SIGKILL; its row, and whether what was answered is still there."""
    seen = answers(folder)

    def kill(pid: int) -> None:
        seen.update(answers(folder))
        os.kill(pid, signal.SIGKILL)

    row = run(name, command, folder, moment, kill)
    after = answers(folder)
    kept = all(after.get(key) == said for key, said in seen.items())
    return row, kept and row["status"] == -signal.SIGKILL


def show(row: Row) -> None:
    """A line of the table."""
    numbers = (f"{row[name]:.1f}" for name in COLUMNS[3:])
    print(FORM.format(*(row[name] for name in COLUMNS[:3]), *numbers), flush=True)


def fingerprints(folder: Path) -> dict[str, str]:
    """Hashes of a study: each export, and all files of runs together."""
    found = {}
    for form in FORMATS:
        target = folder.with_suffix(f".{form}")
        subprocess.run(
            archsim("export", str(folder), "--format", form, "--out", str(target), "-q"), check=True
        )
        found[form] = sha256(target.read_bytes()).hexdigest()
    runs = sha256()
    for path in sorted((folder / "runs").rglob("*.json")):
        runs.update(path.name.encode() + path.read_bytes())
    return {**found, "runs": runs.hexdigest()}


def same(folders: Sequence[Path]) -> bool:
    """Whether studies are the same to the byte; prints what was compared."""
    prints = [fingerprints(folder) for folder in folders]
    for what in prints[0]:
        alike = len({one[what] for one in prints}) == 1
        print(f"{what}: {'equal' if alike else 'NOT equal'} in {len(folders)} studies, "
              f"SHA-256 {prints[0][what][:16]}")  # fmt: skip
    kept = [answers(folder) for folder in folders]
    for folder, own in zip(folders, kept, strict=True):
        other = sum(own.get(key) != said for key, said in kept[0].items())
        if other:
            print(f"{folder.name}: {other} of {len(own)} designs have another answer")
    return all(one == prints[0] for one in prints)


def moments(total: int, kills: int, seed: int) -> list[int]:
    """When to end a study, in designs that are answered."""
    return sorted(random.Random(seed).sample(range(1, total), kills))


def keep(folder: Path, out: Path) -> None:
    """The page, the figures and the table of a study."""
    out.mkdir(parents=True, exist_ok=True)
    page = str(out / f"{folder.name}.html")
    for words in (("-o", page), ("--figures", "-o", str(out / "figures"))):
        subprocess.run(
            archsim("report", str(folder), *words), check=True, stdout=subprocess.DEVNULL
        )
    shutil.copyfile(folder.with_suffix(".csv"), out / f"{folder.name}.csv")


def main(argv: list[str] | None = None) -> bool:
    """Print all; whether every study is the same, and nothing was lost or run twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default=STUDY)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args(argv)
    print(FORM.format(*COLUMNS))
    with tempfile.TemporaryDirectory() as root:
        alone, single, ended = (Path(root, name) for name in ("two", "one", "killed"))
        two = ("-j", "2")
        rows = [
            run("two workers", sweep(said.study, alone, *two), alone),
            run("one worker", sweep(said.study, single, "-j", "1"), single),
        ]
        whole = True
        for moment in moments(rows[0]["ran"], said.kills, said.seed):
            row, kept = killed(f"killed at {moment}", sweep(said.study, ended, *two), ended, moment)
            rows.append(row)
            whole &= kept
        rows.append(run("gone on to the end", sweep(said.study, ended, *two), ended))
        once = json.loads((ended / "manifest.json").read_text())["simulated"] == rows[-1]["ran"]
        alike = same([alone, single, ended])
        if said.out:
            keep(alone, said.out)
            write_csv(said.out / "sweep_proof.csv", rows)
    print(f"answers lost: {'none' if whole else 'SOME'}; run twice: {'none' if once else 'SOME'}")
    return alike and whole and once and not any(row["status"] for row in (*rows[:2], rows[-1]))


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
