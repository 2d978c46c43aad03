"""A device's slices of weights: columns, rows, whole heads, or whole experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from archsim.ir.op import Kind, Op
from archsim.parallel.dealt import sharers
from archsim.testing.functional_attention import Floats
from archsim.testing.functional_slices import Model

if TYPE_CHECKING:
    from archsim.testing.functional_devices import Device


def weight_of(device: Device, op: Op, name: str) -> Floats:
    """A device's part of a weight, as an op reads it."""
    model, place = device.model, device.place
    whole_op = model.op(op.name)
    base, columns = name, None
    if name not in model.graph.tensors:
        part = name.split(".")[-2]
        base = name.replace(f".{part}.", ".")
        columns = _segments(model, whole_op)[part]
    found = model.weight(base, device.at)
    if columns:
        found = found[..., columns[0] : columns[1]]
    if op.kind is Kind.COLLECTIVE:  # stored in slices, to be gathered
        size = device.graph.tensors[f"{name}.gathered"].shape
        found = _cut(device, _user(device, name), name, found, size)
        return _block(found, 0, device.graph.tensors[name].shape[0], place.gather)
    size = device.graph.tensors[name].shape
    if op.op_class == "moe_expert":
        found = found[place.held(op)]
    return _cut(device, op, name, found, size)


def _user(device: Device, name: str) -> Op:
    """The op that reads a gathered weight."""
    whole = f"{name}.gathered"
    return next(
        op for _, op in device.graph.ops() if any(a.tensor == whole for a in op.reads)
    )  # fmt: skip


def _segments(model: Model, op: Op) -> dict[str, tuple[int, int]]:
    """Columns of each result of a fused product."""
    found, at = {}, 0
    for access in op.writes:
        width = model.graph.tensors[access.tensor].elements // op.ranks["M"]
        found[access.tensor.rpartition(".")[2]] = (at, at + width)
        at += width
    return found


def _cut(device: Device, op: Op, name: str, value: Floats, size: tuple[int, ...]) -> Floats:
    """Slices of a weight along each dimension of which the device has a part."""
    if len(op.writes) > 1 and value.shape[-1] != size[-1]:
        return _heads(device, op, value)
    access = next(a for a in op.reads if a.tensor.removesuffix(".gathered") == name)
    for i, (have, want) in enumerate(zip(value.shape, size, strict=True)):
        if have != want:
            rank = access.dims[i].terms[0][0] if access.dims else "BKN"[i]
            value = _block(value, i, want, _index(device, op, rank, have, want))
    return value


def _heads(device: Device, op: Op, value: Floats) -> Floats:
    """Whole heads of each part of a fused matrix."""
    parts = []
    spans = _segments(device.model, device.model.op(op.name)).values()
    for access, (start, end) in zip(op.writes, spans, strict=True):
        wide = device.graph.tensors[access.tensor].elements // op.ranks["M"]
        index = _index(device, op, "N", end - start, wide)
        parts.append(_block(value[..., start:end], value.ndim - 1, wide, index))
    return np.concatenate(parts, axis=-1)


def _index(device: Device, op: Op, rank: str, have: int, want: int) -> int:
    """Which of the slices of a rank is the device's."""
    place = device.place
    ways = -(-have // want)
    if op.op_class == "moe_expert" and place.deals:
        return place.tensor % sharers(place.plan, device.model.shape.experts)
    if place.plan.layout != "2d":
        return place.tensor * ways // place.ways
    x, yz = place.plan.ways("tensor.x"), place.plan.ways("tensor.yz")
    if op.kind is Kind.GEMM and ways != x * yz:
        back = op.op_class == "out_proj" or op.name.endswith("down")
        return place.yz if (rank == "K") == back else place.x
    if op.kind is Kind.GATHER:
        return place.yz if want * yz >= have and rank == "B" else place.x
    return place.x * yz + place.yz  # of the residual stream


def _block(value: Floats, axis: int, size: int, index: int) -> Floats:
    """A slice along an axis, filled up with zeros where the last one is short."""
    part = np.take(value, np.arange(index * size, min((index + 1) * size, value.shape[axis])), axis)
    short = size - part.shape[axis]
    if short:
        pad = [(0, short if i == axis else 0) for i in range(value.ndim)]
        part = np.pad(part, pad)
    return part


def slots(model: Model, ways: int) -> list[tuple[int, int]]:
    """(token, which of its experts) of each row of the undivided permutation."""
    share, top = model.shape.tokens // ways, model.top
    return [
        ((j % ways) * share + j // ways // top, (j // ways) % top)
        for j in range(model.shape.tokens * top)
    ]
