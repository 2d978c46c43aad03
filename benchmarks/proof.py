"""What is proved by running it: mappings executed against numpy, and mistakes that are caught.

    python -m benchmarks proof [--cases N] [--every N] [--out FOLDER]

Draws are the same each time. Every case is executed tile by tile, holding what its mapping says,
and must equal the op's definition; where a family has a closed form of what moves, the counts must
equal it. Into every n-th case all mistakes of a table are put, one at a time.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from archsim.testing.proofs import Proved, proofs, prove

SLOW = {"cascades of Einsums": 4}  # families of which fewer cases are drawn: a part of the others'
COLUMNS = ("family", "cases", "op_kinds", "mistakes_tried", "mistakes_caught", "seconds")


def row(proved: Proved, seconds: float) -> tuple[object, ...]:
    """One line of the table."""
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(proved.cases.items()))
    tried, caught = sum(proved.tried.values()), sum(proved.caught.values())
    return (proved.name, proved.drawn, kinds, tried, caught, round(seconds, 1))


def drawn(name: str, cases: int, every: int) -> int:
    """Cases of a family: of a slow one a part, but enough that mistakes find something to change.

    Args:
        name: of the family.
        cases: that are asked for.
        every: mistakes go into every so many-th.
    """
    return max(cases // SLOW.get(name, 1), min(cases, every))


def main(arguments: Sequence[str] = ()) -> bool:
    """Print the table; True when every mistake was caught."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks proof")
    parser.add_argument("--cases", type=int, default=100, help="mappings of each family")
    parser.add_argument("--every", type=int, default=5, help="mistakes go into every n-th")
    parser.add_argument("--out", help="folder for proof.csv and mistakes.csv")
    given = parser.parse_args(arguments)
    rows, mistakes, passed, pairs = [], [], [], 0
    for proof in proofs():
        began = time.perf_counter()
        found = prove(proof, drawn(proof.name, given.cases, given.every), given.every)
        rows.append(row(found, time.perf_counter() - began))
        passed += found.passed
        pairs += len(found.cases)
        mistakes += [(found.name, name, n, found.caught[name]) for name, n in found.tried.items()]
        name, cases, kinds, tried, caught, seconds = rows[-1]
        print(f"{name}: {cases} cases, {caught} of {tried} mistakes caught, {seconds} s\n  {kinds}")
    executed, tried, caught = (sum(int(str(r[i])) for r in rows) for i in (1, 3, 4))
    print(
        f"{len(rows)} families, {pairs} pairs of family and op kind, {executed} cases executed, "
        f"{caught} of {tried} mistakes caught"
    )
    print("\n".join(passed[:5]), end="\n" if passed else "")
    if given.out:
        folder = Path(given.out)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "proof.csv", COLUMNS[:-1], [r[:-1] for r in rows])
        _write(folder / "mistakes.csv", ("family", "mistake", "tried", "caught"), mistakes)
    return tried == caught


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
