"""Zeros that a workload states: weights that are not stored, and activations that are zero.

Nothing is drawn: what engines skip, and what memory saves, are means. Which engine skips what is an
option of the engine.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from fractions import Fraction as Ratio
from typing import Annotated, Self

from pydantic import Field, model_validator

from archsim.core.spec import Fraction, Spec, problem
from archsim.ir.tensor import Role, Sparsity, Tensor
from archsim.lowering.phase import Count, Several

STEP = 4096  # densities are rounded to so many parts


class _Rule(Spec):
    """Tensors that a rule speaks of; the first rule that matches one wins."""

    def covers(self, name: str) -> bool:
        """Whether it speaks of a tensor."""
        tensors: str | tuple[str, ...] = getattr(self, "tensors")  # noqa: B009
        return any(
            fnmatchcase(name, t) for t in ([tensors] if isinstance(tensors, str) else tensors)
        )


class WeightRule(_Rule):
    """Weights of which a part is stored, and what it costs to say which."""

    tensors: str | Several[str] = "*.weight"
    """Names of weights, or globs on them."""

    pattern: str | None = Field(default=None, examples=["2:4"])
    """N:M: of M neighbours N are stored."""

    density: Fraction | None = Field(default=None, examples=[0.5])
    """Share of the elements, or of the blocks, that is stored."""

    block: Count = 1
    """Elements that are stored or left out together."""

    index_bytes: Annotated[float, Field(ge=0, le=64)] | None = None
    """For each block that is stored, in whole bits. Default: log2(M) bits for a pattern, else 2."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.pattern is None) is (self.density is None):
            raise problem("E202", "needs exactly one of pattern, density", "pattern: 2:4")
        if self.pattern is not None:
            found = re.fullmatch(r"(\d{1,4}):(\d{1,4})", self.pattern)
            if not found or not 0 < int(found[1]) <= int(found[2]):
                raise problem("E105", f'"{self.pattern}" is no pattern N:M', "such as 2:4")
        if self.index_bytes is not None and (self.index_bytes * 8) % 1:
            raise problem("E107", f"index_bytes: {self.index_bytes} is no whole number of bits")
        return self

    @property
    def form(self) -> Sparsity:
        """What is stored."""
        bits = None if self.index_bytes is None else int(self.index_bytes * 8)
        if self.pattern is not None:
            kept, of = (int(n) for n in self.pattern.split(":"))
            return Sparsity(kept, of, self.block, (of - 1).bit_length() if bits is None else bits)
        assert self.density is not None
        share = Ratio(max(1, round(self.density * STEP)), STEP)
        index = 16 if bits is None else bits
        return Sparsity(share.numerator, share.denominator, self.block, index)


class ZeroRule(_Rule):
    """Activations of which a part is zero, and stored all the same."""

    tensors: str | Several[str] = "*"
    """Names of activations, or globs on them."""

    zeros: Annotated[float, Field(ge=0, lt=1)] = Field(examples=[0.4])
    """Share of the elements that is zero."""


class SparsityOptions(Spec):
    """Which tensors have zeros."""

    weights: Several[WeightRule] | None = None
    """Weights that are not stored as a whole."""

    activations: Several[ZeroRule] | None = None
    """Activations that are zero at a rate."""

    def thinned(self, tensor: Tensor) -> Tensor:
        """A tensor with the zeros that the options state."""
        if tensor.role is Role.WEIGHT:
            for rule in self.weights or ():
                if rule.covers(tensor.name):
                    return replace(tensor, dtype=replace(tensor.dtype, sparse=rule.form))
        if tensor.role is Role.ACTIVATION:
            for zero in self.activations or ():
                if zero.covers(tensor.name):
                    rate = Ratio(min(round(zero.zeros * STEP), STEP - 1), STEP)  # some remain
                    return replace(tensor, zeros=rate)
        return tensor

    def idle(self, tensors: list[Tensor]) -> list[str]:
        """Rules that match no tensor of theirs, by path."""
        found = []
        for role, key, rules in (
            (Role.WEIGHT, "weights", self.weights),
            (Role.ACTIVATION, "activations", self.activations),
        ):
            names = [t.name for t in tensors if t.role is role]
            for i, rule in enumerate(rules or ()):
                if not any(rule.covers(name) for name in names):
                    found.append(f"sparsity.{key}[{i}]")
        return found
