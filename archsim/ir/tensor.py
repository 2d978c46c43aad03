"""A tensor: named, shaped, typed data with a role; no values live here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod


class Role(StrEnum):
    """What a tensor is to the model; traffic is reported and placed by role."""

    WEIGHT = "weight"
    ACTIVATION = "activation"
    KV_CACHE = "kv_cache"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class DType:
    """An element type: its name as users write it and its width in bits."""

    name: str
    bits: int

    @property
    def computes_as(self) -> str:
        """Name of the type that MACs on elements of this one run at."""
        return self.name

    def bytes(self, elements: int) -> int:
        """Bytes that so many elements occupy, packed, rounded up to a whole byte."""
        return -(-elements * self.bits // 8)


DTYPES: dict[str, DType] = {
    name: DType(name, bits)
    for name, bits in {
        "fp32": 32,
        "bf16": 16,
        "fp16": 16,
        "fp8": 8,
        "int32": 32,
        "int16": 16,
        "int8": 8,
        "int4": 4,
    }.items()
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Named data of a shape (row-major extents), an element type and a role.

    A tensor of a block that repeats stands for one repeat: the graph multiplies.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    role: Role

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the whole tensor, packed."""
        return self.dtype.bytes(self.elements)
