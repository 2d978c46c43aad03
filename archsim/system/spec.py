"""The machine description as frozen data: clocks, memories, engines, movers, and rules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from archsim.components.base import engines
from archsim.core.data import find, names
from archsim.core.errors import InputError
from archsim.core.overrides import merge
from archsim.core.spec import Hertz, Joules, Mm2, PositiveInt, Seconds, Spec, problem
from archsim.core.yamlio import Document, load_layers, load_spec
from archsim.energy.table import AreaSpec, EnergyRow, LeakageSpec
from archsim.interconnect.base import links
from archsim.memory.base import memories
from archsim.system.cached_share import ResidencyRule
from archsim.system.cascade_rule import CascadeRule
from archsim.system.dispatch_rule import DispatchRule
from archsim.system.expert_cache import ExpertRule
from archsim.system.faults import Fault
from archsim.system.kinds_rule import DeviceKind
from archsim.system.layouts import Layout
from archsim.system.mapper_rule import Template, or_auto, says_auto, spread, unsaid
from archsim.system.nest_rule import NestRule, expand
from archsim.system.paged_cache import PageRule
from archsim.system.split_rule import Interleave

SCHEMA = "archsim.hardware/1"


class Placement(Spec):
    """Which memories may hold each role: what is too much for the first spills to the next.

    Room goes to the KV cache, then to activations, then to weights.
    """

    weights: tuple[str, ...] = ()
    """Memories for weights; default: all drams, the fastest first."""

    kv_cache: tuple[str, ...] = ()
    """Memories for the KV cache; default: all drams, the fastest first."""

    activations: tuple[str, ...] = ()
    """Memories for activations; default: the sram while they fit, then all drams, the fastest
    first."""

    experts: ExpertRule | None = None
    """A cache of experts in the nearest dram. Default: experts lie where weights do."""

    kv_pages: PageRule | None = None
    """The KV cache in whole pages. Default: what spills is the same share of each sequence."""

    residency: tuple[ResidencyRule, ...] = ()
    """Tensors with memories of their own, or that come and go in the nearest dram under a policy;
    the next ones hold these."""

    prefetch_stages: PositiveInt | None = None
    """Stages whose data may be on their way from further memories at once. Default: as many as
    staging areas have room for."""


class MappingRule(Spec):
    """How ops are mapped; for each option the first matching rule that gives it wins."""

    ops: str | tuple[str, ...]
    """Op class, or glob on the op's path; `*` is every op."""

    on: str | None = None
    """Engine: the rule is for ops that run on it. Default: whatever they run on."""

    dataflow: Template | None = None
    """A template: see `archsim list dataflows`; or `auto`: the mapper searches tile sizes, loop
    orders, held operands and templates. Default: the template that is fastest."""

    fuse: Literal["none", "elementwise", "reductions", "region"] | None = None
    """Ops that run on the tiles of the op before them: none, vector ops without a reduction
    (default), or reductions too, for which tiles hold whole output rows; on a spatial pipeline also
    all that follow, as one region with one launch (default there; elsewhere as `elementwise`)."""

    cascade: CascadeRule | None = None
    """Tiles and counts of an attention that a dataflow maps as a cascade of Einsums."""

    nest: NestRule | None = None
    """A mapping written out as a loop nest, inline or as the name of a file with its `levels`; MAC
    ops on systolic and spatial arrays. `archsim map --format yaml` prints mappings in this form."""

    launch: Literal["own", "joined"] | Seconds | None = Field(default=None, examples=["joined"])
    """On an engine that launches kernels: the op pays a launch of its own (default), or is launched
    together with its neighbour; or what its launch takes, in place of the engine's."""

    weights: Literal["along", "first"] | None = None
    """When weights of a product on a systolic array come: along with its arithmetic (default), or
    all of them before it, where they fit on chip at once and the rest takes no longer for it."""

    head_groups: PositiveInt | None = None
    """Most groups of heads in which an attention inside a memory is run, each with its part of the
    products before and behind it: the next group's beside the attention of this one. As many as the
    heads divide into. Default: all heads as one."""

    objective: Literal["latency", "energy", "edp", "traffic", "compute"] | None = None
    """What tile sizes minimise: time (default), array cycles before anything else (`compute`), or,
    by the mapper's search, energy, energy times time (`edp`) or bytes behind the chip."""

    budget: PositiveInt | None = None
    """Candidates that the mapper may try for an op (default 200,000). Where the space is no larger,
    all are tried, and no better mapping exists in it. On a spatial array all that its templates
    propose are tried."""

    seed: Annotated[int, Field(ge=0)] | None = None
    """Of the mapper's random draws (default 0): equal inputs and seeds give equal mappings."""

    cache: bool | None = None
    """Whether the mapper keeps its answers in the user's cache folder, and reads them (default)."""

    @model_validator(mode="after")
    def _one_mapping(self) -> Self:
        if self.nest is not None and self.dataflow is not None:
            message = "a rule gives a nest or a dataflow, not both"
            raise problem("E202", message, "a nest says itself what reports call its dataflow")
        return self


class Budgets(Spec):
    """The most that a run may take; the report says which are met."""

    latency: Seconds | None = None
    """Time of the whole run."""

    energy: Joules | None = None
    """Energy of the whole run, leakage included."""

    area: Mm2 | None = None
    """Area of engines and on-chip memory."""

    def limits(self) -> dict[str, float]:
        """Those that are given, by metric."""
        given = {"latency_s": self.latency, "energy_j": self.energy, "area_mm2": self.area}
        return {metric: limit for metric, limit in given.items() if limit is not None}


class EnergyChoice(Spec):
    """Which table of energy and area rows is used."""

    table: str = "7nm"
    """Name of a table: see `archsim list energy`."""

    node_nm: Annotated[int, Field(ge=7, le=130)] | None = Field(default=None, examples=[28])
    """Node to which the table's logic and SRAM are scaled. Default: the table's own."""

    overrides: tuple[EnergyRow, ...] = ()
    """Rows of the table that this machine replaces, each with its source; at its own node."""

    areas: tuple[AreaSpec, ...] = ()
    """Area rows of the table that this machine replaces, likewise."""

    leakages: tuple[LeakageSpec, ...] = ()
    """Rows of static power that this machine replaces, likewise."""


class HardwareBase(Spec):
    """A machine: what holds, what computes, what moves, and the rules between them."""

    schema_: Literal["archsim.hardware/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name in reports."""

    description: str = ""
    """One line for people."""

    clocks: dict[str, Hertz]
    """Clocks by name; every component names one of them."""

    devices: tuple[DeviceKind, ...] = ()
    """Kinds of devices on the network between chips, each with some of the engines. Default: all
    devices have all engines."""

    placement: Placement = Placement()
    """Which memories hold what."""

    layout: Layout = Layout()
    """How tensors lie in memories with banks: what bank-level timing sees."""

    dispatch: tuple[DispatchRule, ...] = ()
    """Which engine runs which op."""

    interleave: Interleave | None = None
    """A decode batch in parts that run side by side. Default: all sequences run as one."""

    mapping: tuple[MappingRule, ...] = Field(default=(), json_schema_extra=or_auto)
    """How ops are mapped; `auto`: by the machine's own rules, with the mapper's search in place of
    the templates of products; those of attentions and options such as `fuse` stay."""

    energy: EnergyChoice = EnergyChoice()
    """Energy and area rows."""

    budgets: Budgets = Budgets()
    """The most that a run may take. Default: no limits."""

    faults: tuple[Fault, ...] = ()
    """Devices and links between chips that are slow or missing; the report compares with none."""

    provenance: dict[str, str] = {}
    """Where each number comes from, by dotted path; `assumed` where there is no source."""


@cache
def _spec(kinds: tuple[type[Any], ...]) -> type[HardwareBase]:
    """The spec with the unions of all registered kinds, which key the cache."""
    fields: dict[str, Any] = {
        "memory": (_named(memories.union()), Field(description="Things that hold.")),
        "engines": (_named(engines.union()), Field(description="Things that compute.")),
        "interconnect": (
            _named(links.union()),
            Field(default_factory=dict, description="Things that move."),
        ),
    }
    return create_model(
        "HardwareSpec", __base__=HardwareBase, __doc__=HardwareBase.__doc__, **fields
    )


def _named(union: Any) -> Any:
    return dict[str, union]


def hardware_spec() -> type[HardwareBase]:
    """The spec of a machine with every kind that is registered now."""
    return _spec((*memories.classes(), *engines.classes(), *links.classes()))


def load_hardware(
    source: str | Any, *, set_: Sequence[str] = (), set_files: Sequence[str] = ()
) -> tuple[Any, Document]:
    """A machine by name, path or data, with overrides applied.

    Raises:
        InputError: with every problem of the file, each at its line and column.
    """
    where = _machine_file(source) if isinstance(source, str) else source

    def below() -> Document:
        under = load_layers(unsaid(where))
        for file in set_files:
            under = merge(under, load_layers(unsaid(file)))
        kept = [setting for setting in set_ if not says_auto(setting)]
        return load_spec(under, hardware_spec(), set_=kept, finish=lambda d: expand(spread(d)))[1]

    return load_spec(
        where, hardware_spec(), set_=set_, set_files=set_files,
        finish=lambda d: expand(spread(d, below)),
    )  # fmt: skip


def _machine_file(source: str) -> Path:
    """Path of a machine by name or path; a workload's name here is a slip worth its own words."""
    if not Path(source).exists() and source in names("workloads", "workloads/models"):
        raise InputError(
            f'"{source}" is a workload, and a machine is wanted here',
            code="E003",
            help="the machine comes first: archsim run HARDWARE WORKLOAD",
        )
    return find(source, "configs")
