"""A tensor: named, shaped, typed data with a role; no values live here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import lcm, prod
from typing import Any


class Role(StrEnum):
    """What a tensor is to the model; traffic is reported and placed by role."""

    WEIGHT = "weight"
    ACTIVATION = "activation"
    KV_CACHE = "kv_cache"
    INDEX = "index"
    SAVED = "saved"  # an activation that the backward pass reads, once for each repeat of its block
    GRADIENT = "gradient"  # of a weight
    OPTIMIZER = "optimizer"  # what an optimizer keeps of a weight


TRAINING = frozenset({Role.SAVED, Role.GRADIENT, Role.OPTIMIZER})  # no other phase has these


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Which elements of a weight are stored: `kept` blocks of every `of`, and where they stand.

    Attributes:
        kept, of: blocks that are stored, of so many.
        block: elements of a block, which are stored or left out together.
        index_bits: that say where a stored block stands.
    """

    kept: int
    of: int
    block: int = 1
    index_bits: int = 0

    @property
    def share(self) -> Fraction:
        """Share of the elements that are stored."""
        return Fraction(self.kept, self.of)


@dataclass(frozen=True, slots=True)
class DType:
    """An element type: its name as users write it, its width in bits, and scales that blocks share.

    Attributes:
        name: as users write it.
        bits: of an element.
        group: elements that share a scale; 0 where there are none.
        scale_bits: of a scale.
        math: name of the type that MACs run at, where it is only a form of storage.
        sparse: which elements are stored; None where all are.
    """

    name: str
    bits: int
    group: int = 0
    scale_bits: int = 0
    math: str | None = None
    sparse: Sparsity | None = None

    @property
    def computes_as(self) -> str:
        """Name of the type that MACs on elements of this one run at."""
        return self.math or self.name

    @property
    def stored_bits(self) -> float:
        """Bits of an element with its share of a scale: what rates are made of, not bytes.

        Of a sparse one, the mean over all elements, those that are not stored included.
        """
        full = self.bits + self.scale_bits / self.group if self.group else self.bits
        if self.sparse is None:
            return full
        return float(self.sparse.share) * (full + self.sparse.index_bits / self.sparse.block)

    def bytes(self, elements: int) -> int:
        """Bytes that so many elements occupy, packed, rounded up to whole ones.

        Scales and indices are included.
        """
        return int(self.bytes_of(elements))

    def bytes_of(self, elements: Any) -> Any:
        """The same of one number of elements or of an array of such."""
        index = 0
        if self.sparse:
            blocks = -(-elements // self.sparse.block)
            stored = -(-blocks * self.sparse.kept // self.sparse.of)
            elements, index = stored * self.sparse.block, stored * self.sparse.index_bits
        scales = -(-elements // self.group) * self.scale_bits if self.group else 0
        return -(-(elements * self.bits + scales + index) // 8)


DTYPES: dict[str, DType] = {
    **{
        name: DType(name, bits)
        for name, bits in {
            "fp32": 32, "bf16": 16, "fp16": 16, "fp8": 8, "fp4": 4,
            "int32": 32, "int16": 16, "int8": 8, "int4": 4,
            "tf32": 32,  # NVIDIA A100: 19 bits of an fp32 word are multiplied, 32 are stored
        }.items()
    },
    # the two kinds of 8-bit float (Micikevicius et al., 2022) are multiplied at one rate
    "fp8_e4m3": DType("fp8_e4m3", 8, math="fp8"),
    "fp8_e5m2": DType("fp8_e5m2", 8, math="fp8"),
    # forms of storage alone: no engine multiplies them as they are
    "int3": DType("int3", 3, math="bf16"),
    "int2": DType("int2", 2, math="bf16"),
    # BitNet b1.58 (Ma et al., 2024): -1, 0 or 1, packed in two bits, beside activations of int8
    "ternary": DType("ternary", 2, math="int8"),
    # OCP Microscaling Formats v1.0 (2023): blocks of 32 with a scale of 8 bits
    "mxfp4": DType("mxfp4", 4, 32, 8, "bf16"),
    "mxfp6": DType("mxfp6", 6, 32, 8, "fp8"),
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


def mean_format(bits: Fraction, group: int, scale_bytes: int, math: str) -> DType:
    """Narrow integers of several widths by their mean, with or without scales.

    What is above the whole bits is kept as bits that a group shares: 5.25 bits are 5 and one for
    every four elements, so that bytes come out exact.

    Args:
        bits: of an element, on average.
        group: elements that share a scale; 0 where there are none.
        scale_bytes: of a scale, with what else a block keeps.
        math: name of the type that MACs run at.
    """
    whole, over = divmod(bits, 1)
    block = lcm(over.denominator, group or 1)
    shared = over * block + (8 * scale_bytes * block // group if group else 0)
    name = f"int{float(bits):g}" + (f"g{group}s{scale_bytes}" if group else "")
    return DType(name, int(whole), block if shared else 0, int(shared), math)


@dataclass(frozen=True, slots=True)
class Tensor:
    """Named data of a shape (row-major extents), an element type and a role.

    A tensor of a block that repeats stands for one repeat: the graph multiplies. `zeros` is the
    share of its elements that are zero but stored.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    role: Role
    zeros: Fraction = Fraction(0)

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the whole tensor, packed."""
        return self.dtype.bytes(self.elements)
