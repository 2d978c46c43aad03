"""Is a sweep that is killed and goes on the same sweep? 500 designs of a Duplex-like machine.

    python -m benchmarks sweep_proof [--study NAME] [--kills N] [--seed N] [--out FOLDER]

The study runs by two workers and by one, left alone; then by two workers that end with their
process group at drawn moments, by SIGKILL, and go on each time. Every answer that was in the store
before must be there after, unchanged, and none of them may be run again; at the end CSV, JSON
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

from benchmarks.tables import Row, write_csv

STUDY = "duplex-mixtral"
FORMATS = ("csv", "jsonl", "parquet")
LOOK_S = 0.01  # between looks at how far a study is
FORM = "{:24} {:>9} {:>7} {:>9} {:>9}"


def archsim(*words: str) -> list[str]:
    """The command line of archsim, in this Python."""
    return [sys.executable, "-m", "archsim.cli", *words]


def sweep(study: str, folder: Path, *how: str) -> list[str]:
    """The command of a study in a folder."""
    return archsim("sweep", study, "-o", str(folder), "-q", *how)


def answers(folder: Path) -> dict[str, str]:
    """What the store says of each design, by key; empty while there is none."""
    with suppress(sqlite3.OperationalError):
        address = f"file:{folder / 'sweep.db'}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            query = "SELECT key, status || metrics || settings FROM points"
            return {key: sha256(said.encode()).hexdigest() for key, said in database.execute(query)}
    return {}


def count(folder: Path) -> int:
    """Designs that are answered."""
    with suppress(sqlite3.OperationalError):
        address = f"file:{folder / 'sweep.db'}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            return int(database.execute("SELECT COUNT(*) FROM points").fetchone()[0])
    return 0


def run(name: str, command: list[str], folder: Path) -> Row:
    """Run a study to its end; a row of the table."""
    before = count(folder)
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall_s = time.perf_counter() - began
    manifest = json.loads((folder / "manifest.json").read_text())
    ran = manifest["simulated"]
    row = {
        "run": name,
        "before": before,
        "ran": ran,
        "wall_s": wall_s,
        "points_per_s": ran / wall_s,
    }
    show(row)
    return row


def show(row: Row) -> None:
    """A line of the table."""
    print(
        FORM.format(
            row["run"], row["before"], row["ran"], f"{row['wall_s']:.1f}",
            f"{row['points_per_s']:.1f}",
        ),
        flush=True,
    )  # fmt: skip


def killed(
    name: str, command: list[str], folder: Path, moment: int, act: Callable[[int], None]
) -> tuple[Row, bool]:
    """Run a study until so many designs are answered, then end it.

    Args:
        name: in the table.
        command: of the study; leads a process group of its own.
        folder: of the study.
        moment: answered designs at which it ends.
        act: ends the process whose id it is given.

    Returns:
        A row of the table; whether nothing that was answered is lost, or was run again.
    """
    before = answers(folder)
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while count(folder) < moment and process.poll() is None:
        time.sleep(LOOK_S)
    seen = answers(folder)
    act(process.pid)
    process.wait()
    _until_gone(process.pid)
    wall_s = time.perf_counter() - began
    after = answers(folder)
    ran = len(after) - len(before)
    row = {"run": name, "before": len(before), "ran": ran, "wall_s": wall_s,
           "points_per_s": ran / wall_s}  # fmt: skip
    show(row)
    kept = all(
        after.get(key) == said for said_by in (before, seen) for key, said in said_by.items()
    )
    return row, kept and process.returncode != 0


def _until_gone(group: int) -> None:
    """Until no process of a group is left: workers end with their study."""
    with suppress(ProcessLookupError):
        while True:
            os.killpg(group, 0)
            time.sleep(LOOK_S)


def by_sigkill(pid: int) -> None:
    """End a study as a lost machine would; workers must see to themselves."""
    os.kill(pid, signal.SIGKILL)


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
    print(FORM.format("run", "answered", "ran", "wall s", "points/s"))
    with tempfile.TemporaryDirectory() as root:
        alone, single, ended = (Path(root, name) for name in ("two", "one", "killed"))
        two = ("-j", "2")
        rows = [
            run("two workers", sweep(said.study, alone, *two), alone),
            run("one worker", sweep(said.study, single, "-j", "1"), single),
        ]
        whole = True
        for moment in moments(rows[0]["ran"], said.kills, said.seed):
            row, kept = killed(
                f"killed at {moment}", sweep(said.study, ended, *two), ended, moment, by_sigkill
            )
            rows.append(row)
            whole &= kept
        rows.append(run("gone on to the end", sweep(said.study, ended, *two), ended))
        once = count(ended) == rows[-1]["before"] + rows[-1]["ran"]
        alike = same([alone, single, ended])
        if said.out:
            keep(alone, said.out)
            write_csv(said.out / "sweep_proof.csv", rows)
    print(f"answers lost: {'none' if whole else 'SOME'}; run twice: {'none' if once else 'SOME'}")
    return alike and whole and once


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
