"""What part of a model's work is done, on how much input, and at which element types.

Plain data, shared by every form of workload. Which phases a model has is said by its architecture.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.tensor import DTYPES, DType, Role, block_format, mean_format

DTypeName = Literal[
    "fp32", "tf32", "bf16", "fp16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp4", "int32", "int16", "int8",
    "int4", "int3", "int2", "ternary", "mxfp4", "mxfp6", "mxfp8", "nvfp4", "int4g128",
]  # fmt: skip

Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
"""An extent or a number of things; a billion is beyond any model and keeps products in range."""

Listed = Annotated[int, Field(gt=0, le=10_000)]
"""A number of things that are gone through one by one, such as layers and experts."""


_T = TypeVar("_T")


def _some(items: tuple[_T, ...]) -> tuple[_T, ...]:
    if not items:
        raise problem("E107", "an empty list says nothing to run")
    return items


Several = Annotated[tuple[_T, ...], AfterValidator(_some), Field(json_schema_extra={"minItems": 1})]
"""A list of at least one; an entry that is wrong does not make it look empty."""


class Chunk(Spec):
    """New tokens of prompts, behind what is cached of them."""

    batch: Count = 1
    """Sequences."""

    tokens: Count = Field(examples=[2048])
    """New prompt tokens of each sequence."""

    context_before: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """Tokens of each sequence that an earlier chunk has left in the cache. Default: none."""


class Prefill(Chunk):
    """All tokens of the prompts at once, or a chunk of them; one token is sampled per sequence."""

    kind: Literal["prefill"]
    """Which phase this is."""

    logits: Literal["last", "all"] | None = None
    """Positions whose logits are computed: the last of each sequence (default), or all, as scoring
    a text does."""


class Contexts(Spec):
    """Sequences that get one new token each."""

    batch: Count | None = None
    """Sequences: 1, or as many as there are contexts."""

    context: Count | Several[Count] = Field(examples=[2048])
    """Tokens attended by each sequence, the newest included: one number, or one a sequence."""

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        contexts = self.context
        if isinstance(contexts, tuple) and self.batch not in (None, len(contexts)):
            raise problem(
                "E202",
                f"batch {self.batch} disagrees with {len(contexts)} contexts",
                "drop batch, or list one context for each sequence",
            )
        return self

    def counts(self) -> dict[int, int]:
        """Sequences by the tokens that they attend to."""
        if isinstance(self.context, tuple):
            return dict(Counter(self.context))
        return {self.context: self.batch or 1}


class Decode(Contexts):
    """One new token per sequence, or one after the other in several steps."""

    kind: Literal["decode"]
    """Which phase this is."""

    steps: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Steps, one behind the other: a context grows by one in each. Default: 1."""


class Mixed(Spec):
    """One step in which some sequences decode while prompts of others are processed in chunks."""

    kind: Literal["mixed"]
    """Which phase this is."""

    decode: Contexts = Field(examples=[{"batch": 32, "context": 2048}])
    """Sequences that get one new token each."""

    prefill: Several[Chunk] = Field(examples=[[{"tokens": 512}]])
    """Chunks of prompts."""


class Encode(Spec):
    """All tokens of an encoder's sequences at once."""

    kind: Literal["encode"]
    """Which phase this is."""

    batch: Count = 1
    """Sequences."""

    tokens: Count = Field(examples=[512])
    """Tokens of each sequence."""


class Train(Spec):
    """One training step of a decoder: forward, loss over every token, backward."""

    kind: Literal["train"]
    """Which phase this is."""

    batch: Count = 1
    """Sequences."""

    tokens: Count = Field(examples=[2048])
    """Tokens of each sequence."""

    optimizer: Literal["none", "sgd", "adam"] = "none"
    """What updates the weights; with none, gradients are written and that is all. Adam keeps two
    fp32 numbers for each parameter."""


class Infer(Spec):
    """One pass of a model without sequences: a convolutional network, a layer list, a graph."""

    kind: Literal["infer"]
    """Which phase this is."""

    batch: Count = 1
    """Inputs."""


AnyPhase = Prefill | Decode | Mixed | Encode | Train | Infer
Phase = Annotated[AnyPhase, Field(discriminator="kind")]


class BlockFormat(Spec):
    """Narrow integers, in blocks that share a scale or without; MACs run at a wider type."""

    bits: Annotated[int | float, Field(ge=1, le=16)] = Field(examples=[4])
    """Of an element; 5.25 is the mean of several widths, exact to a 1024th."""

    group: Count | None = Field(default=None, examples=[64])
    """Elements that share a scale. Default: no scales."""

    scale_bytes: int = Field(default=2, ge=1, le=64)
    """Of a scale, with what else a block keeps, such as a zero point."""

    computes_as: DTypeName = "bf16"
    """What MACs run at."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if 1024 % Fraction(str(self.bits)).denominator:
            raise problem("E107", f"bits: {self.bits} is no multiple of 1/1024", "such as 5.25")
        if self.group is None and "scale_bytes" in self.model_fields_set:
            raise problem("E202", "scale_bytes is of a group, and there is none", "group: 128")
        return self


def _form(value: object) -> str | None:
    """Which form of `StoredAs` a value has; None where it is neither."""
    if isinstance(value, str):
        return "name"
    return "blocks" if isinstance(value, dict | BlockFormat) else None


StoredAs = Annotated[
    Annotated[DTypeName, Tag("name")] | Annotated[BlockFormat, Tag("blocks")],
    Discriminator(
        _form,
        custom_error_type="name_or_mapping_type",
        custom_error_message="a name or a mapping",
    ),
]
"""An element type by its name, or blocks that share a scale."""


def dtype(form: str | BlockFormat) -> DType:
    """An element type by its name, or a form of storage that a workload makes up."""
    if isinstance(form, str):
        return DTYPES[form]
    if form.group is not None and isinstance(form.bits, int):
        return block_format(form.bits, form.group, form.scale_bytes, form.computes_as)
    bits, group = Fraction(str(form.bits)), form.group or 0
    return mean_format(bits, group, form.scale_bytes, form.computes_as)


class FormatRule(Spec):
    """An element type of some tensors alone; the first rule that matches one wins."""

    tensors: str | Several[str] = Field(examples=["ffn.*.weight"])
    """Names of weights or activations, or globs on them; see `archsim show` for the names."""

    dtype: StoredAs = Field(examples=["int4g128"])
    """Their element type."""

    def covers(self, name: str) -> bool:
        """Whether it speaks of a tensor."""
        words = (self.tensors,) if isinstance(self.tensors, str) else self.tensors
        return any(fnmatchcase(name, word) for word in words)


class DTypes(Spec):
    """Element types; the loader fills in what is left out."""

    weights: StoredAs | None = None
    """Of weights, and what MACs are computed in. Default: bf16; int8 for a SCALE-Sim topology."""

    activations: DTypeName | None = None
    """Of activations. Default: as of the weights."""

    kv_cache: StoredAs | None = None
    """Of the KV cache. Default: bf16, in models that keep one."""

    accumulators: DTypeName | None = None
    """Of partial sums. Default: fp32; int8 for a SCALE-Sim topology."""

    mixed: Several[FormatRule] | None = None
    """Weights and activations that differ from the rest, by name."""

    def filled(self, default: str, partial: str, *, cache: bool) -> DTypes:
        """With every type set that has an effect."""
        values = {
            "weights": self.weights or default,
            "activations": self.activations or default,
            "kv_cache": self.kv_cache or ("bf16" if cache else None),
            "accumulators": self.accumulators or partial,
            "mixed": self.mixed,
        }
        return DTypes.model_validate(values)

    def of(self, role: Role, name: str = "") -> DType:
        """Element type of a role, or of one tensor of it; indices are 32-bit integers."""
        if name and role in (Role.WEIGHT, Role.ACTIVATION):
            for rule in self.mixed or ():
                if rule.covers(name):
                    return dtype(rule.dtype)
        form = {
            Role.WEIGHT: self.weights,
            Role.ACTIVATION: self.activations,
            Role.KV_CACHE: self.kv_cache,
            Role.INDEX: "int32",
            Role.SAVED: self.activations,
            Role.GRADIENT: self.activations,
            Role.OPTIMIZER: "fp32",
        }[role]
        return dtype(form or "bf16")
