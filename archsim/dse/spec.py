"""A study as a description: machines and workloads, a space, what is better, and how to search.

What a description becomes is in `dse.bases` (what runs) and `dse.plan` (what is tried).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from archsim.core.data import find
from archsim.core.document import Document
from archsim.core.spec import Fraction, PositiveInt, Seconds, Spec
from archsim.core.yamlio import load_spec, load_yaml
from archsim.dse.dimension import AnyDimension
from archsim.dse.objective import Objective

FOLDER = "studies"
Fidelity = Literal["bound", "analytic", "tile", "cycle"]
Whole = Annotated[int, Field(ge=0)]


Data = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "required": ["schema"]})]
Named = Annotated[
    Annotated[str, Tag("name")] | Annotated[Data, Tag("data")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "data"),
]
"""A description by its name or path, or written out."""


class WorkloadRef(Spec):
    """A workload with what is said of it here."""

    model: Named = Field(examples=["llama-3-8b"])
    """A shipped workload or model, a path, relative to this file, or a workload written out."""

    phase: str | None = None
    """Phase, for a bare model name."""

    batch: PositiveInt | None = None
    """Sequences in the batch."""

    context: PositiveInt | None = None
    """Tokens attended in decode, the newest included."""

    tokens: PositiveInt | None = None
    """Tokens of a sequence, except in decode."""

    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often it counts where times and energies are summed."""


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "data" if "schema" in value else "reference"
    return "reference" if isinstance(value, WorkloadRef) else "name"


AnyWorkload = Annotated[
    Annotated[str, Tag("name")]
    | Annotated[WorkloadRef, Tag("reference")]
    | Annotated[Data, Tag("data")],
    Discriminator(_kind),
]
"""A workload by its name or path, with what is said of it here, or written out."""


class Descriptions(Spec):
    """Descriptions that designs choose by a name of this file."""

    hardware: dict[str, Data] = {}
    """Machines by the name that the space gives them."""

    workload: dict[str, Data] = {}
    """Workloads the same way."""


class Stop(Spec):
    """When a search ends before its evaluations are spent."""

    hypervolume_stall: PositiveInt | None = Field(default=None, examples=[5])
    """Generations (batches) without a gain in hypervolume."""


class SearchSpec(Spec):
    """How designs are chosen."""

    sampler: str | None = Field(default=None, examples=["nsga2"])
    """A sampler: see `archsim list samplers`. Default: `list` for points; else `grid` in a sweep,
    `nsga2` in an exploration."""

    evaluations: PositiveInt | None = Field(default=None, examples=[480])
    """Designs that are asked for, repeated ones among them; a grid and a list take all."""

    population: PositiveInt | None = Field(default=None, examples=[24])
    """Designs that are asked for together, before the search hears of any; of the study, so that
    the number of workers alters nothing."""

    seed: Whole | None = None
    """Of the search. Default: that of the study."""

    stop: Stop = Stop()
    """When it ends early."""

    reference: tuple[float, ...] | None = Field(default=None, examples=[[0.05, 2.0]])
    """Point that hypervolumes are measured from, a value an objective. Default: the worst values of
    the first batch, and 10 % of their range beyond."""


class Stage(Spec):
    """A round at lower cost that decides which designs go on."""

    fidelity: Fidelity
    """At which designs run in this round."""

    keep: Fraction = 0.25
    """Share of them that goes on: by front, then by room around them."""


class Execution(Spec):
    """How designs are run; it alters no answer."""

    executor: str = Field(default="local", examples=["dask"])
    """Who runs them."""

    workers: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Processes; `auto` is one a core."""

    scheduler: str | None = Field(default=None, examples=["tcp://host:8786"])
    """Address of a cluster's scheduler."""

    timeout_per_point: Seconds | None = None
    """That one design may take."""

    retries: Whole = 1
    """Times that a design runs again after it ended its worker."""

    keep: Literal["results", "metrics"] = "results"
    """Whether the whole result of each run is kept, or its numbers only."""


class ExploreSpec(Spec):
    """A study: which designs are tried, and what is wanted of them."""

    schema_: Literal["archsim.explore/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str = Field(examples=["pim_ratio"])
    """Name in reports."""

    description: str = ""
    """One line for people."""

    hardware: Named | None = Field(default=None, examples=["npu"])
    """The machine: its name, its path relative to this file, or written out. May be left out where
    the space chooses it."""

    workloads: tuple[AnyWorkload, ...] = Field(default=(), examples=[["llama-3-8b-decode"]])
    """What runs on each design, one after the other. May be left out where the space chooses."""

    fidelity: Fidelity = "tile"
    """How closely time is modelled."""

    seed: Whole = 0
    """Of every draw whose own seed is not said."""

    space: dict[str, AnyDimension] = Field(
        default={}, examples=[{"memory.hbm.bandwidth": ["1 TB/s", "2 TB/s"]}]
    )
    """Settings that vary, as `--set` takes them; `workload.` begins those of the workloads, and
    `hardware` and `workload` alone choose among descriptions."""

    descriptions: Descriptions = Descriptions()
    """What the space chooses, written out. A name that is not here is shipped, or a path relative
    to this file."""

    points: tuple[dict[str, Any], ...] = Field(
        default=(), examples=[[{"memory.hbm.bandwidth": "2 TB/s"}]]
    )
    """Designs that are written out, instead of a space."""

    objectives: tuple[Objective, ...] = Field(
        default=(), examples=[[{"metric": "metrics.time_s", "direction": "minimize"}]]
    )
    """What is better. Default: less time and less energy; at `bound`, which has no energy, less
    area."""

    constraints: tuple[str, ...] = Field(default=(), examples=[["metrics.power_w.mean <= 700 W"]])
    """What a design must keep."""

    search: SearchSpec = SearchSpec()
    """How designs are chosen."""

    screen: (
        Annotated[
            Annotated[Stage, Tag("one")] | Annotated[tuple[Stage, ...], Tag("several")],
            Discriminator(lambda value: "several" if isinstance(value, list | tuple) else "one"),
        ]
        | None
    ) = None
    """Rounds at lower fidelity before, the lowest first."""

    execution: Execution = Execution()
    """How designs are run."""

    output: str | None = Field(default=None, examples=["sweeps/pim_ratio"])
    """Folder of the study, relative to where archsim runs. Default: `sweeps/<name>`."""

    provenance: dict[str, str] = {}
    """Where numbers come from, by path."""

    @property
    def fidelities(self) -> tuple[str, ...]:
        """Of all rounds, the first one first."""
        return (*(stage.fidelity for stage in self.stages), self.fidelity)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Rounds before the last, the first one first."""
        if self.screen is None:
            return ()
        return self.screen if isinstance(self.screen, tuple) else (self.screen,)


def load_explore(
    source: str | Path | Document | dict[str, Any], *, set_: Sequence[str] = ()
) -> tuple[ExploreSpec, Document]:
    """A study by a shipped name, a path, or data, and the document it came from.

    Raises:
        InputError: with every mistake at its line and column.
    """
    if isinstance(source, str):
        source = load_yaml(find(source, FOLDER))
    return load_spec(source, ExploreSpec, set_=set_)
