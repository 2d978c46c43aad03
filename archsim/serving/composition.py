"""A composition of experts as a description: a router, complete models, and who asks for them.

Each expert is a whole model. The router, itself one, reads every prompt and names the expert that
answers it. How a mix becomes a sequence is in `serving.requests`, what runs take in
`serving.times`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from archsim.core.data import find
from archsim.core.document import Document
from archsim.core.spec import PositiveInt, Spec, problem
from archsim.core.yamlio import load_spec
from archsim.ir.parallel import ParallelPlan
from archsim.lowering.phase import Several
from archsim.memory.replacement import Policy
from archsim.serving.named import model_of

FOLDER = "workloads/compositions"
Number = Annotated[int, Field(gt=0, le=100_000)]
"""How many of something that is gone through one by one."""


class Router(Spec):
    """The model that reads every prompt and names an expert."""

    model: str = Field(examples=["llama-2-7b"])
    """A shipped model, or the path of a `config.json`, relative to this file."""


class Experts(Spec):
    """Alike experts: models of one shape with weights of their own."""

    name: str = Field(examples=["chat"])
    """Name of the expert; of several, `name-0`, `name-1` and so on."""

    model: str = Field(examples=["llama-2-7b"])
    """A shipped model, or the path of a `config.json`, relative to this file."""

    count: Number = 1
    """Experts of this shape."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each expert."""
        if self.count == 1:
            return (self.name,)
        return tuple(f"{self.name}-{i}" for i in range(self.count))


class Uniform(Spec):
    """Every expert is as likely as the others."""

    kind: Literal["uniform"]
    """Which mix this is."""


class Zipf(Spec):
    """The i-th expert is asked for with a weight of i to the power of minus the exponent."""

    kind: Literal["zipf"]
    """Which mix this is."""

    exponent: Annotated[float, Field(ge=0, le=10)] = 1.0
    """How uneven: 0 is uniform."""


class Trace(Spec):
    """Experts in the order of a file, over and over until there are enough requests."""

    kind: Literal["trace"]
    """Which mix this is."""

    file: str = Field(examples=["asked.txt"])
    """Names of experts, one a line, relative to this file; `#` begins a comment."""


Mix = Annotated[
    Annotated[Uniform, Tag("uniform")]
    | Annotated[Zipf, Tag("zipf")]
    | Annotated[Trace, Tag("trace")],
    Discriminator("kind"),
]


class Requests(Spec):
    """Who asks for what."""

    count: Number = 512
    """Requests in all; the last batch may be smaller."""

    batch: PositiveInt = 1
    """Requests that arrive together, when those before them have been answered."""

    prompt_tokens: PositiveInt = Field(examples=[512])
    """Tokens of each prompt; router and expert read all of them."""

    output_tokens: PositiveInt = Field(examples=[20])
    """Tokens of each answer; the first comes from the prompt's own pass."""

    mix: Mix = Field(default=Uniform(kind="uniform"), examples=[{"kind": "zipf", "exponent": 1.0}])
    """Which experts are asked for."""

    order: Literal["arrival", "grouped"] = "arrival"
    """Whether requests of a batch are answered one after the other, or those of an expert at
    once."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Of the random draws."""


class ResidencyRule(Spec):
    """Which experts stay in the nearest memory."""

    policy: Policy = "lru"
    """Who gives way: the one used longest ago (default), the one used least often, nobody, or the
    one that is needed again last."""

    start: Literal["warm", "cold"] = "warm"
    """What is there at first: the experts that most of these requests ask for, or none."""

    prefetch: Annotated[int, Field(ge=0, le=64)] = 0
    """Experts that may be on their way while others work: a copy begins as soon as the router has
    named the expert, that many turns ahead at most. Default: each begins at its own turn."""


class CompositionSpec(Spec):
    """A router and complete models that share a machine."""

    schema_: Literal["archsim.composition/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str = Field(examples=["samba-coe"])
    """Name in reports."""

    description: str = ""
    """One line for people."""

    router: Router | None = None
    """The model that chooses. Default: who asks says which expert is meant."""

    experts: Several[Experts] = Field(
        examples=[[{"name": "expert", "model": "llama-2-7b", "count": 150}]]
    )
    """The models that answer."""

    requests: Requests
    """Who asks for what."""

    residency: ResidencyRule = ResidencyRule()
    """Which experts stay in the nearest memory."""

    parallel: ParallelPlan | None = Field(default=None, examples=[{"tensor": 8}])
    """How each model is divided over the devices. Default: as for a lone model."""

    provenance: dict[str, str] = {}
    """Where numbers come from, by path."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        twice = [name for name, n in Counter(self.names).items() if n > 1]
        if twice:
            raise problem("E202", f'two experts are named "{twice[0]}"', "give each its own name")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every expert."""
        return tuple(name for group in self.experts for name in group.names)

    @property
    def models(self) -> tuple[str, ...]:
        """Model of every expert."""
        return tuple(group.model for group in self.experts for _ in group.names)


def load_composition(
    source: str | Path | dict[str, Any], set_: tuple[str, ...] = ()
) -> tuple[CompositionSpec, Document]:
    """A checked composition and the document it came from.

    Args:
        source: a shipped name, a path, or the description as data.
        set_: overrides such as `composition.requests.batch=8`.

    Raises:
        InputError: with every mistake found, at its place.
    """
    where = source if isinstance(source, dict) else find(source, FOLDER)
    spec, document = load_spec(where, CompositionSpec, set_=set_)
    groups = tuple(
        group.model_copy(update={"model": model_of(document, group.model, ("experts", i, "model"))})
        for i, group in enumerate(spec.experts)
    )
    changed: dict[str, Any] = {"experts": groups}
    if spec.router is not None:
        changed["router"] = Router(model=model_of(document, spec.router.model, ("router", "model")))
    return spec.model_copy(update=changed), document
