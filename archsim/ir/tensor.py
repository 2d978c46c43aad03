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
    """An element type: its name as users write it, its width in bits, and scales that blocks share.

    Attributes:
        name: as users write it.
        bits: of an element.
        group: elements that share a scale; 0 where there are none.
        scale_bits: of a scale.
        math: name of the type that MACs run at, where it is only a form of storage.
    """

    name: str
    bits: int
    group: int = 0
    scale_bits: int = 0
    math: str | None = None

    @property
    def computes_as(self) -> str:
        """Name of the type that MACs on elements of this one run at."""
        return self.math or self.name

    @property
    def stored_bits(self) -> float:
        """Bits of an element with its share of a scale: what rates are made of, not bytes."""
        return self.bits + self.scale_bits / self.group if self.group else self.bits

    def bytes(self, elements: int) -> int:
        """Bytes that so many elements occupy, packed, scales included, rounded up to whole ones."""
        scales = -(-elements // self.group) * self.scale_bits if self.group else 0
        return -(-(elements * self.bits + scales) // 8)


DTYPES: dict[str, DType] = {
    **{
        name: DType(name, bits)
        for name, bits in {
            "fp32": 32, "bf16": 16, "fp16": 16, "fp8": 8, "fp4": 4,
            "int32": 32, "int16": 16, "int8": 8, "int4": 4,
        }.items()
    },
    # forms of storage alone: no engine multiplies them as they are
    "int3": DType("int3", 3, math="bf16"),
    "int2": DType("int2", 2, math="bf16"),
    # OCP Microscaling Formats v1.0 (2023): blocks of 32 with a scale of 8 bits
    "mxfp4": DType("mxfp4", 4, 32, 8, "bf16"),
    "mxfp8": DType("mxfp8", 8, 32, 8, "fp8"),
    # NVIDIA Blackwell: blocks of 16 with an fp8 scale
    "nvfp4": DType("nvfp4", 4, 16, 8, "bf16"),
    # GPTQ and AWQ: 4 bits, a 16-bit scale and a 4-bit zero point for each 128
    "int4g128": DType("int4g128", 4, 128, 20, "bf16"),
}  # fmt: skip


def block_format(bits: int, group: int, scale_bytes: int, math: str) -> DType:
    """A form of storage that users make up: blocks of narrow integers that share a scale.

    Args:
        bits: of an element.
        group: elements that share a scale.
        scale_bytes: of a scale, with what else a block keeps.
        math: name of the type that MACs run at.
    """
    return DType(f"int{bits}g{group}s{scale_bytes}", bits, group, 8 * scale_bytes, math)


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
