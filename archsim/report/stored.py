"""A run folder read back: what `Report.write` wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from archsim.core.errors import InputError
from archsim.core.yamlio import load_yaml
from archsim.report.model import MOMENTS, Report

WORDS = frozenset({"op", "fused", "op_class", "engine", "dataflow", "bound_by", "cells_used"})


def read_run(folder: str | Path) -> Report:
    """The report that a run folder holds.

    Raises:
        InputError: E003 where the folder, or a file that a run writes, is missing or damaged.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f'no run folder "{folder}"', code="E003", help="a run writes one: see -o")
    result: Any = None
    try:
        result = json.loads((root / "result.json").read_text("utf-8"))
        manifest = json.loads((root / "manifest.json").read_text("utf-8"))
        with (root / "ops.csv").open(encoding="utf-8", newline="") as file:
            ops = [{k: _value(k, v) for k, v in row.items()} for row in csv.DictReader(file)]
        resolved = load_yaml(root / "config.resolved.yaml").data
    except (OSError, ValueError) as error:
        name = Path(getattr(error, "filename", None) or "a file").name
        if kind := _other(result):
            raise InputError(
                f"{folder} is not the folder of a run: its result is {kind}", code="E003",
                help="archsim run writes one with -o",
            ) from None  # fmt: skip
        raise InputError(
            f"{folder} is not the folder of a run: {name} is missing or damaged", code="E003",
            help="run again with -o and --force",
        ) from None  # fmt: skip
    return Report(result, ops, list(result["warnings"]), resolved, manifest)


def read_moments(folder: str | Path) -> list[dict[str, Any]]:
    """What memories did over time, where the run stored it; nothing elsewhere."""
    path = Path(folder) / MOMENTS
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: _value(k, v) for k, v in row.items()} for row in csv.DictReader(file)]


def _other(result: Any) -> str:
    """The schema of what another verb than `run` found; empty where it is none of these."""
    kind = str(result.get("schema", "")) if isinstance(result, dict) else ""
    return kind if kind.startswith("archsim.") and not kind.startswith("archsim.result/") else ""


def _value(column: str, text: str) -> Any:
    """A cell of `ops.csv` as it was before it was text."""
    if column in WORDS or text == "":
        return text or None
    return int(text) if text.lstrip("-").isdigit() else float(text)
