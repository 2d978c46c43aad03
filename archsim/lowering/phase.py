"""What part of a model's work is done, on how much input, and at which element types.

Plain data, shared by every form of workload. Which phases a model has is said by its architecture.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.tensor import DTYPES, DType, Role, block_format

DTypeName = Literal[
    "fp32", "bf16", "fp16", "fp8", "fp4", "int32", "int16", "int8", "int4", "int3", "int2",
    "mxfp4", "mxfp8", "nvfp4", "int4g128",
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


class Infer(Spec):
    """One pass of a model without sequences: a convolutional network, a layer list, a graph."""

    kind: Literal["infer"]
    """Which phase this is."""

    batch: Count = 1
    """Inputs."""


AnyPhase = Prefill | Decode | Mixed | Encode | Infer
Phase = Annotated[AnyPhase, Field(discriminator="kind")]


class BlockFormat(Spec):
    """Narrow integers in blocks that share a scale; MACs run at a wider type."""

    bits: int = Field(ge=1, le=16, examples=[4])
    """Of an element."""

    group: Count = Field(examples=[64])
    """Elements that share a scale."""

    scale_bytes: int = Field(default=2, ge=1, le=64)
    """Of a scale, with what else a block keeps, such as a zero point."""

    computes_as: DTypeName = "bf16"
    """What MACs run at."""


StoredAs = Annotated[
    Annotated[DTypeName, Tag("name")] | Annotated[BlockFormat, Tag("blocks")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "blocks"),
]
"""An element type by its name, or blocks that share a scale."""


def dtype(form: str | BlockFormat) -> DType:
    """An element type by its name, or a form of storage that a workload makes up."""
    if isinstance(form, str):
        return DTYPES[form]
    return block_format(form.bits, form.group, form.scale_bytes, form.computes_as)


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

    def filled(self, default: str, partial: str, *, cache: bool) -> DTypes:
        """With every type set that has an effect."""
        values = {
            "weights": self.weights or default,
            "activations": self.activations or default,
            "kv_cache": self.kv_cache or ("bf16" if cache else None),
            "accumulators": self.accumulators or partial,
        }
        return DTypes.model_validate(values)

    def of(self, role: Role) -> DType:
        """Element type of a role; indices are 32-bit integers."""
        form = {
            Role.WEIGHT: self.weights,
            Role.ACTIVATION: self.activations,
            Role.KV_CACHE: self.kv_cache,
            Role.INDEX: "int32",
        }[role]
        return dtype(form or "bf16")
