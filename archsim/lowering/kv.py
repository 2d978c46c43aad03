"""Options of the KV cache that any decoder takes: formats, heads, window, choice, sharing.

Plain data and what they say of element types. What they do to lengths is in `sequences`, to ops in
the attention of the Transformer.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from archsim.core.spec import Fraction, Spec, problem
from archsim.ir.tensor import DType, Role
from archsim.lowering.phase import Count, DTypes

Bits = Annotated[int, Field(ge=1, le=16)]


class KvOptions(Spec):
    """What is kept of keys and values, in which form, and what is read of it."""

    k_bits: Bits | None = Field(default=None, examples=[4])
    """Of an element of a cached key. Default: as `dtypes.kv_cache`."""

    v_bits: Bits | None = Field(default=None, examples=[4])
    """Of an element of a cached value. Default: as `dtypes.kv_cache`."""

    group: Count | None = Field(default=None, examples=[64])
    """Elements that share a scale, where `k_bits` or `v_bits` are given. Default: no scales."""

    scale_bits: Annotated[int, Field(ge=1, le=512)] | None = None
    """Of a scale, with what else a group keeps. Default: 16, where there are groups."""

    heads: Count | None = None
    """Key and value heads instead of the model's; they divide the query heads."""

    window: Count | None = None
    """Tokens that one attends to at most, in layers with a window or in all where none has one."""

    kept: Fraction | None = Field(default=None, examples=[0.25])
    """Share of the cached tokens that a decode step attends to. All are scored for the choice."""

    select_width: Count | None = None
    """Elements of a key that the choice reads. Default: a quarter of them."""

    shared_prefix: Count | None = Field(default=None, examples=[1024])
    """First tokens that groups of sequences have in common: stored and read once a group."""

    sharers: Count | None = None
    """Sequences of a group with one prefix. Default: all that decode."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for key, other, needs in (
            ("group", "k_bits or v_bits", self.k_bits or self.v_bits),
            ("scale_bits", "group", self.group),
            ("select_width", "kept", self.kept),
            ("sharers", "shared_prefix", self.shared_prefix),
        ):
            if getattr(self, key) is not None and not needs:
                raise problem("E202", f"{key} is of {other}, and there is none")
        if self.kept and self.shared_prefix:
            message = "tokens are chosen for each sequence, so they cannot share a prefix"
            raise problem("E202", message, "kept or shared_prefix")
        return self

    def of_model(self) -> KvOptions:
        """The options that describe a model, without those of a phase."""
        phase = ("kept", "select_width", "shared_prefix", "sharers")
        return self.model_copy(update=dict.fromkeys(phase))

    def formats(self, dtypes: DTypes) -> tuple[DType, DType]:
        """Element types of cached keys and of cached values; MACs run at that of activations."""
        plain = dtypes.of(Role.KV_CACHE)
        math = dtypes.of(Role.ACTIVATION).computes_as
        scale = (self.scale_bits or 16) if self.group else 0
        name = f"g{self.group}s{scale}" if self.group else ""

        def of(bits: int | None) -> DType:
            if bits is None:
                return plain
            return DType(f"kv{bits}{name}", bits, self.group or 0, scale, math)

        return of(self.k_bits), of(self.v_bits)
