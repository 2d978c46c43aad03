"""What a device has after a collective, from what all of its group gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archsim.ir.op import Op
from archsim.ir.tensor import Role
from archsim.testing.functional_attention import Floats
from archsim.testing.functional_heads import joined

if TYPE_CHECKING:
    from archsim.testing.functional_devices import Device


def exchanged(device: Device, op: Op, values: list[Any], mine: int) -> Any:
    """The result of a collective for one device of the group."""
    collective = op.collective
    assert collective is not None
    if collective.axis == "context":
        return _context(op, values, mine)
    if isinstance(values[0], dict):  # gradients, by name and iteration
        return {key: np.sum([value[key] for value in values], axis=0) for key in values[0]}
    if collective.pattern in ("all_reduce", "reduce_scatter"):
        total = np.sum(values, axis=0)
        if collective.pattern == "all_reduce":
            return total
        return np.split(total, len(values), axis=_along(device, op))[mine]
    if collective.pattern in ("broadcast", "gather"):
        return _led(op, values, mine)
    gathers = collective.pattern == "all_gather"
    return _gather(device, op, values) if gathers else _dealt(device, op, values, mine)


def _led(op: Op, values: list[Any], mine: int) -> Any:
    """What the first device sends to all; or what it has of all, without the last share's fill."""
    assert op.collective is not None
    if op.collective.pattern == "broadcast":
        return values[0]
    return None if mine else np.concatenate(values, axis=1)[:, : op.ranks["N"]]


def _dealt(device: Device, op: Op, values: list[Floats], mine: int) -> Floats:
    """What all devices have for one."""
    if device.graph.tensors[op.reads[0].tensor].role is Role.WEIGHT:
        return _looked_up(device, _gather(device, op, values))
    if op.name.endswith((".dispatch", ".return")):
        return _tokens(device, op, values, mine)
    axis = int("mixed" in op.reads[0].tensor)  # heads become sequences, and back
    parts = [np.split(value, len(values), axis=axis)[mine] for value in values]
    return np.concatenate(parts, axis=1 - axis)


def _looked_up(device: Device, table: Floats) -> Floats:
    """A table of which only the rows of a device's own tokens came."""
    here = device.place.ids - device.place.words(len(table))
    here = here[(here >= 0) & (here < len(table))]
    found = np.full_like(table, np.nan)
    found[here] = table[here]
    return found


def _along(device: Device, op: Op) -> int:
    """Columns on parts of a two-dimensional tensor axis and of slices of tokens, else rows."""
    assert op.collective is not None
    sliced = device.plan.experts == "sliced" and op.name.startswith(("moe.", "shared."))
    return int(sliced or (device.plan.layout == "2d" and "." in op.collective.axis))


def _gather(device: Device, op: Op, values: list[Floats]) -> Floats:
    access = op.reads[0]
    if device.graph.tensors[access.tensor].role is Role.WEIGHT:
        size = device.graph.tensors[op.writes[0].tensor].shape
        return np.concatenate(values)[: size[0]]
    if op.name.startswith("lm_head") or _along(device, op):
        found = np.concatenate(values, axis=1)
        if op.name.startswith("lm_head"):  # without the words that fill the last share up
            found = found[:, : device.model.shape.vocab]
        return _last(device, op, found)
    return _last(device, op, np.concatenate(values))


def _last(device: Device, op: Op, found: Floats) -> Floats:
    """The last token of each sequence, where only those are exchanged."""
    rows = op.ranks["M"]
    if len(found) == rows or op.name.startswith("lm_head"):
        return found
    step = len(found) // rows
    return found[step - 1 :: step]


def _context(op: Op, values: list[Any], mine: int) -> Any:
    """Keys of all, keys of the device before, or a softmax over the keys of all."""
    if op.name.endswith("combine"):
        return joined(values)[0]
    if ".shift." in op.name:
        return values[mine - 1]
    return (
        np.concatenate([value for value, _ in values], axis=1),
        np.concatenate([places for _, places in values]),
    )


def _tokens(device: Device, op: Op, values: list[Floats], mine: int) -> Floats:
    """Rows of tokens in the order of a device's experts, or back in that of its tokens."""
    model, routes, ways = device.model, device.model.routes, len(values)
    assert routes is not None
    at = [j % ways if e in routes.local else routes.owner[e] for j, e in enumerate(model.chosen)]

    place = device.place
    rows = [place.rows_of_experts(d) for d in range(ways)]

    def order(target: int) -> list[int]:
        here = [j for j in sorted(j for some in rows for j in some) if at[j] == target]
        count = {e: sum(model.chosen[j] == e for j in here) for e in model.chosen}
        return sorted(here, key=lambda j: (-count[model.chosen[j]], model.chosen[j], j))

    if op.name.endswith(".dispatch"):
        return np.array([values[j % ways][rows[j % ways].index(j)] for j in order(mine)])
    orders = [order(d) for d in range(ways)]
    return np.array([values[at[j]][orders[at[j]].index(j)] for j in rows[mine]])
