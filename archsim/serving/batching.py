"""Continuous batching as a description: a model, a batch that is kept full, and its requests.

A closed loop: so many requests are always at work, and where one is done the next takes its place
at once. How this becomes stages is in `closed_loop`, what a stage takes in `stages`, how answers
come out of them in `serve`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from archsim.core.data import find
from archsim.core.document import Document
from archsim.core.spec import Spec
from archsim.core.yamlio import load_spec
from archsim.ir.parallel import ParallelPlan
from archsim.lowering.model import models
from archsim.lowering.phase import DTypes
from archsim.serving.batching_lengths import Lengths, written_out
from archsim.serving.named import model_of

FOLDER = "workloads/serving"
LARGEST = "largest"
Places = Annotated[int, Field(gt=0, le=65_536)]
"""Requests that are at work at once."""

Batch = Annotated[
    Annotated[Places, Tag("number")] | Annotated[Literal["largest"], Tag("word")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "number"),
]
"""A number of requests, or as many as fit."""


class Even(Spec):
    """Every expert is as likely as the others."""

    kind: Literal["uniform"]
    """Which draw this is."""

    per_layer: bool = False
    """Draw each layer anew: honest and slow, as layers no longer repeat."""


class Uneven(Spec):
    """The r-th expert is drawn with a weight of 1 / r to a power."""

    kind: Literal["zipf"]
    """Which draw this is."""

    exponent: Annotated[float, Field(ge=0, le=8)] = 1.0
    """The power: 0 is uniform."""

    per_layer: bool = False
    """Draw each layer anew: honest and slow, as layers no longer repeat."""


class TokenTrace(Spec):
    """Experts of one token after the other from a file, over and over."""

    kind: Literal["trace"]
    """Which draw this is."""

    file: str = Field(examples=["experts.csv"])
    """CSV relative to this file: a row has the experts of one token, counted from 0, the same in
    all layers. A stage takes as many rows as it has tokens, from where the one before stopped."""


ExpertDraw = Annotated[
    Annotated[Even, Tag("uniform")]
    | Annotated[Uneven, Tag("zipf")]
    | Annotated[TokenTrace, Tag("trace")],
    Discriminator("kind"),
]


class ServingSpec(Spec):
    """A model that answers requests in a batch that is always full."""

    schema_: Literal["archsim.serving/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str = Field(examples=["mixtral-closed-loop"])
    """Name in reports."""

    description: str = ""
    """One line for people."""

    model: str = Field(examples=["mixtral-8x7b"])
    """A shipped model, or the path of a `config.json`, relative to this file."""

    batch: Batch = Field(examples=[64])
    """Requests at work at once; `largest`: as many as the machine holds at their full length."""

    lengths: Lengths = Field(
        examples=[{"kind": "fixed", "prompt_tokens": 1024, "output_tokens": 256}]
    )
    """Tokens of each request."""

    stages: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    """Stages that are counted. Default: twice those of the longest answer."""

    start: Literal["drawn", "even", "together"] = "drawn"
    """How far requests are at first: as a long-running batch is found at any time, at equal
    distances, or all at their prompt."""

    warm_up: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Stages before those that are counted. A `drawn` or `even` start needs none."""

    dtypes: DTypes = DTypes()
    """Element types."""

    routing: ExpertDraw | None = None
    """How tokens choose experts, drawn anew in each stage. Default: evenly, in a model that has
    some."""

    parallel: ParallelPlan | None = Field(default=None, examples=[{"tensor": 4}])
    """How the model is divided over the devices. Default: as for a lone workload."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Of lengths and of experts; each stage draws with a seed of its own that follows from it."""

    provenance: dict[str, str] = {}
    """Where numbers come from, by path."""

    @property
    def counted(self) -> int:
        """Stages that are counted."""
        return self.stages or 2 * self.lengths.longest_output

    def workload(self) -> dict[str, Any]:
        """The workload of every stage but for its phase and its experts."""
        form = "preset" if self.model in models() else "hf_config"
        data: dict[str, Any] = {
            "schema": "archsim.workload/1",
            "name": self.name,
            "model": {form: self.model},
            "dtypes": self.dtypes.to_data(),
        }
        if self.parallel is not None:
            data["parallel"] = self.parallel.model_dump(
                mode="json", exclude_none=True, exclude_unset=True
            )
        return data


def load_serving(
    source: str | Path | dict[str, Any], set_: tuple[str, ...] = ()
) -> tuple[ServingSpec, Document]:
    """A checked description whose lengths are read, and the document it came from.

    Args:
        source: a shipped name, a path, or the description as data.
        set_: overrides such as `serving.batch=8`.

    Raises:
        InputError: with every mistake found, at its place.
    """
    where = source if isinstance(source, dict) else find(source, FOLDER)
    spec, document = load_spec(where, ServingSpec, set_=set_)
    changed = {
        "model": model_of(document, spec.model, ("model",)),
        "lengths": written_out(spec.lengths, document),
    }
    return spec.model_copy(update=changed), document
