"""Dequantisation: a vector unit brings tiles of weights to the type that the array multiplies.

It takes one multiply an element, by the scale, as a stage of its own between loader and array. It
runs beside what else the vector unit does: the time that both need together is not added up.
Weights that stay on chip, attention in one stage and kernels are not unpacked here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from archsim.components.base import MacEngine, VectorEngine
from archsim.core.errors import Unsupported
from archsim.ir.op import Kind, Op
from archsim.ir.tensor import DTYPES
from archsim.system.build import Machine
from archsim.system.rows import COMPUTE, Draft
from archsim.system.writer import duration_ps

if TYPE_CHECKING:
    from archsim.system.mac_rows import MacWriter

WORK = {"mul": 1}  # an element times the scale of its block
DEQUANTISE = Op("dequantise", Kind.VECTOR, "dequantise", {}, (), (), primitives=dict(WORK))


class Unpacker:
    """The rows of a vector unit that unpacks the weights of one stage."""

    def __init__(self, writer: MacWriter, vector: VectorEngine, to_bits: int) -> None:
        self.writer, self.vector, self.to_bits = writer, vector, to_bits
        self.unit = writer.book.unit(f"{vector.name}.unpack", COMPUTE)
        self.lane_cycles: tuple[Fraction, Fraction] = vector.lane_cycles(DEQUANTISE)

    def row(self, stored: int, ready: int, elements: int, size_bytes: int) -> Draft:
        """Take a tile from the channel `stored`, and put it to `ready` as the array reads it."""
        w, hz = self.writer, self.vector.clock_hz
        cycles = int(self.vector.cycles(*self.lane_cycles, np.array([elements]), np.array([1]))[0])
        row = w.draft(self.unit, duration_ps(cycles, hz), duration_ps(self.vector.lag_cycles, hz))
        row.take.append(stored)
        row.free.append(stored)
        row.reserve.append(ready)
        row.put.append(ready)
        row.counts = {f"vector.{name}": n * elements for name, n in WORK.items()}
        row.counts |= {
            "vector.cycles": cycles,
            "sram.read": size_bytes,
            "sram.write": -(-elements * self.to_bits // 8),
        }
        return row


def unpack_units(machine: Machine) -> list[VectorEngine]:
    """The vector units of a machine; the first one unpacks."""
    return [e for _, e in sorted(machine.engines.items()) if isinstance(e, VectorEngine)]


def unpacker(writer: MacWriter) -> Unpacker | None:
    """What unpacks the weights of a stage; None where the array takes them as they are stored.

    Raises:
        Unsupported: E302 where no vector unit could.
    """
    weight, engine = writer.view.weight, writer.engine
    assert isinstance(engine, MacEngine)
    if engine.unpacks(weight) or not writer.spilled(writer.weight):
        return None
    units = unpack_units(writer.machine)
    if not units:
        raise Unsupported(
            f"{writer.stage.path} stores its weights as {weight.name}, engine {engine.name} "
            f"multiplies {engine.rated(weight)}, and no vector unit brings one to the other",
            code="E302",
            help=f"--set engines.{engine.name}.dequantises=true, or a vector_unit",
        )
    return Unpacker(writer, units[0], DTYPES[engine.rated(weight)].bits)
