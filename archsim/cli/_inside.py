"""What `explain` says of an op that is computed inside a memory: rows, accesses, and waiting."""

from collections.abc import Mapping
from typing import Any


def inside(result: Mapping[str, Any], op: str) -> list[dict[str, Any]]:
    """What engines inside memories did for an op, by engine."""
    return [
        {"engine": engine, "memory": whole["memory"], "sharing": whole["sharing"], **stage}
        for engine, whole in result.get("pim", {}).items()
        for path, stage in whole["stages"].items()
        if path == op
    ]


def inside_text(one: Mapping[str, Any]) -> str:
    """The share of each reason in the time of the banks, then what they read."""
    from archsim.cli._output import table_text
    from archsim.core.units import format_bytes

    whole = one["banks_ps"]
    reasons = sorted(one["waits_ps"].items(), key=lambda item: (-item[1], item[0]))
    rows = [[f"  {name}", f"{ps / whole:.1%}", _WORDS.get(name, "")] for name, ps in reasons if ps]
    over = one["ratio_to_bound"]
    facts = [
        ["  matrices", format_bytes(one["matrix_bytes"]),
         f"{one['padding_share'] or 0:.1%} of what they occupy is padding"],
        ["  read in banks", format_bytes(one["read_bytes"]),
         f"{one['row_hit_rate'] or 0:.1%} of accesses find their row open"],
        ["  rows opened", f"{one['activates']:,}", "counted bank by bank"],
        ["  over the bus", format_bytes(one["input_bytes"] + one["result_bytes"]),
         f"inputs {format_bytes(one['input_bytes'])}, "
         f"results {format_bytes(one['result_bytes'])}"],
        ["  over the least time", f"{over:.2f} x" if over else "-",
         "of the units' reads, or of their arithmetic"],
    ]  # fmt: skip
    head = f"Inside {one['memory']}, on {one['engine']}: the time of the busiest channel"
    return f"{head}\n{table_text(rows)}\nAll repeats, on all its devices\n{table_text(facts)}"


_WORDS = {
    "mac": "MAC commands at the pace of banks",
    "compute": "units multiply longer than banks read",
    "row": "rows open and close",
    "power": "activates and MACs are kept apart for their power",
    "input": "inputs are written to the units",
    "result": "results are read out of the units",
    "refresh": "refresh",
    "mode": "modes change",
    "link": "inputs and results pass a link slower than the bus",
}
"""What the time of banks is spent on."""
