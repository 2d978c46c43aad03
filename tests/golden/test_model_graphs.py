"""Did a graph change? Ops, MACs, bytes and arithmetic of every model in its phases, by table.

A row is written by `python tests/golden/test_model_graphs.py`, which prints what changed. The
closed forms of MACs and bytes are in the contract of models; here a change of any op shows.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest

from archsim.ir.tensor import Role
from archsim.lowering.lower import lower, models
from archsim.lowering.model import load_model
from archsim.lowering.spec import load_workload

TABLE = Path(__file__).parent / "models.csv"
PHASES = {
    "decode": {"batch": 4, "context": 512},
    "prefill": {"batch": 2, "tokens": 128},
    "encode": {"batch": 2, "tokens": 128},
    "infer": {"batch": 1},
}


def phases_of(name: str) -> tuple[str, ...]:
    model = load_model(name).model
    if model.architecture != "transformer":
        return ("infer",)
    return ("encode",) if model.encoder else ("decode", "prefill")


def measure(name: str, phase: str) -> dict[str, str]:
    """The numbers of one graph as texts."""
    graph = lower(load_workload(name, phase=phase, **PHASES[phase])[0])
    arithmetic: dict[str, int] = {}
    for block, op in graph.ops():
        for primitive, n in op.primitive_counts().items():
            arithmetic[primitive] = arithmetic.get(primitive, 0) + block.count * n
    return {
        "ops": str(sum(len(block.ops) for block in graph.blocks)),
        "macs": str(graph.macs()),
        "weight_bytes_read": str(graph.read_bytes(Role.WEIGHT)),
        "kv_bytes_read": str(graph.read_bytes(Role.KV_CACHE)),
        "kv_bytes_written": str(graph.write_bytes(Role.KV_CACHE)),
        "activation_bytes_read": str(graph.read_bytes(Role.ACTIVATION)),
        "primitives": " ".join(f"{k}:{n}" for k, n in sorted(arithmetic.items())),
    }


def cases() -> list[tuple[str, str]]:
    return [(name, phase) for name in models() for phase in phases_of(name)]


def committed() -> dict[tuple[str, str], dict[str, str]]:
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="") as file:
        return {(row.pop("model"), row.pop("phase")): row for row in csv.DictReader(file)}


@pytest.mark.parametrize(("name", "phase"), cases(), ids="-".join)
def test_a_graph_has_the_committed_numbers(name: str, phase: str) -> None:
    row = committed()[name, phase]
    assert row.pop("why")
    assert measure(name, phase) == row


def test_the_table_has_a_row_for_every_model_and_phase_and_no_other() -> None:
    assert set(committed()) == set(cases())


def main() -> None:
    """Write the table anew and print what changed."""
    before, text, changes = committed(), io.StringIO(), []
    rows = {case: measure(*case) for case in cases()}
    columns = ["model", "phase", *next(iter(rows.values())), "why"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for (name, phase), row in rows.items():
        old = before.get((name, phase), {})
        why = old.get("why") or "regression only"
        writer.writerow({"model": name, "phase": phase, **row, "why": why})
        changes += [
            f"{name} {phase} {k}: {old.get(k, '-')} -> {v}"
            for k, v in row.items()
            if old.get(k) != v
        ]
    TABLE.write_text(text.getvalue())
    sys.stdout.write("\n".join(changes or ["no number changed"]) + "\n")


if __name__ == "__main__":
    main()
