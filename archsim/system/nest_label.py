"""The dataflow that a written nest says it is: a template's name is refused where it is not true.

A name of the user's own is only what reports call the nest.
"""

from __future__ import annotations

from archsim.core.errors import Unmappable
from archsim.dataflows.base import Dataflow, dataflows
from archsim.ir.nest import NestMapping, Placed

HELD = {"weight": "weight", "input": "in", "output": "out"}  # what stays in the array
WIDE = {"OH", "OC", "N", "G", "B"}  # output rows, filters and groups of a set, or of several
SETS = {"rows": WIDE | {"FH", "IC", "K"}, "cols": WIDE}
ALONG = {  # ranks that a template may have along an axis
    "channel_parallel": {"rows": {"IC", "K"}, "cols": {"OC", "N"}},
    "row_stationary": SETS,
    "row_stationary_groups": SETS,
}
OF_NESTS = ("product", "nest")  # templates whose mappings loop nests can say


def check_label(label: str, nest: NestMapping) -> None:
    """Refuse a template's name for a nest of a spatial array that is none of that template's.

    What is asked is what makes the template: the operand that its elements keep while the array
    goes on, and the ranks that lie along rows and columns. Sizes of tiles are the user's.

    Raises:
        Unmappable: with the reason.
    """
    if label not in dataflows:
        return
    flow = dataflows.get(label)
    if flow.stages not in OF_NESTS:
        _refuse(nest.name, f"{label} is no loop nest of one product")
    kept = nest.levels[2].keeps if len(nest.levels) > 2 else frozenset()
    operand = _operand(flow)
    if operand and operand not in kept:
        held = ", ".join(sorted(kept)) or "nothing"
        _refuse(nest.name, f"{label} keeps {operand} in registers, and these loops keep {held}")
    inside = [loop for loop in nest.loops if loop.level and not loop.axis]
    stays = nest.relevant[operand] if flow.stages == "product" else frozenset()
    if inside and inside[-1].rank in stays and any(loop.rank not in stays for loop in inside):
        _refuse(nest.name, f"{label} keeps {operand} longest, and {_text(inside[-1])} changes it")
    for loop in (loop for loop in nest.loops if loop.axis in ALONG.get(label, {})):
        if loop.rank not in ALONG[label][loop.axis]:
            _refuse(nest.name, f"{label} has no {loop.rank} along {loop.axis}")


def check_matrix_label(op: str, label: str, flow: Dataflow) -> None:
    """Refuse a template's name for a nest of a systolic array, whose template its ranks say.

    Raises:
        Unmappable: with the template that it is.
    """
    if label in dataflows and label != flow.kind:
        _refuse(op, f"nest says {label}, and its loops are those of {flow.kind}")


def _operand(flow: type[Dataflow]) -> str:
    """Operand that a template's elements keep; empty where that is left open."""
    if flow.stages == "product":
        return HELD.get(flow.stationary, "")
    return "weight" if flow.kind.startswith("row_stationary") else ""


def _text(loop: Placed) -> str:
    return f"{loop.rank}/{loop.tile}"


def _refuse(op: str, reason: str) -> None:
    help = "leave `dataflow` out, or give it a name of your own"
    details = {"level": "dataflow", "loop": ""}
    raise Unmappable(f"{op}: {reason}", code="E401", help=help, details=details)
