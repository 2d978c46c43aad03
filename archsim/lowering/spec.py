"""The workload as frozen data: which model, in which phase, at which element types.

`load_workload` reads it from any of its forms. What it returns stands alone: paths have become the
numbers that the files hold, defaults are filled in, and the phase suits the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from archsim.core.errors import ArchsimError, InputError
from archsim.core.spec import Spec, problem
from archsim.core.yamlio import Document, load_spec
from archsim.ir.parallel import ParallelPlan
from archsim.lowering.architectures.layers import ConvRow, GemmRow
from archsim.lowering.block_sparse import AttentionOptions, with_attention
from archsim.lowering.kv import KvOptions
from archsim.lowering.model import AnyArchitecture
from archsim.lowering.phase import DTypes, Phase, Several
from archsim.lowering.routing import Routing
from archsim.lowering.sparsity import SparsityOptions
from archsim.lowering.transform import AnyTransform

if TYPE_CHECKING:
    from archsim.lowering.architectures.base import Architecture

BESIDE = ("format", "dims", "maps", "ignored")  # say more of a form, and are none
WRITTEN_OUT = ("layers", "config")  # what files become; people name a file

Network = Annotated[
    Annotated[str, Tag("name")] | Annotated[dict[str, Any], Tag("data")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "data"),
]
"""One of several networks: a workload by its name or path, or written out."""


class ModelRef(Spec):
    """The model, in exactly one form."""

    preset: str | None = Field(default=None, examples=["llama-3-8b"])
    """Name of a shipped model: see `archsim list models`."""

    hf_config: str | None = Field(default=None, examples=["llama/config.json"])
    """Path of a Hugging Face `config.json`, relative to this file."""

    topology: str | None = Field(default=None, examples=["layers.csv"])
    """Path of a SCALE-Sim topology CSV; its layers are independent ops."""

    format: Literal["gemm", "conv"] | None = None
    """Form of the topology's rows. Default: told by the number of columns."""

    onnx: str | None = Field(default=None, examples=["model.onnx"])
    """Path of an ONNX model, relative to this file."""

    dims: dict[str, int] = {}
    """Extents of the ONNX model's symbolic dimensions, such as `{seq: 128}`."""

    maps: dict[str, str] = {}
    """Operators of the ONNX model that cost as another does, such as `{com.acme.Swish: Silu}`."""

    graph: str | None = Field(default=None, examples=["ops.yaml"])
    """Path of an op graph in YAML."""

    stream: str | None = Field(default=None, examples=["stream.yaml"])
    """Path of a stream graph in YAML."""

    networks: dict[str, Network] | None = Field(
        default=None, examples=[{"vision": "resnet-50", "text": "bert-base-encode"}]
    )
    """Networks that run at once, by a name each: a shipped workload's name, a path, or a workload
    written out."""

    layers: Several[GemmRow | ConvRow] | None = None
    """A topology written out."""

    config: AnyArchitecture | None = None
    """An architecture and its numbers written out; what a file is resolved to."""

    ignored: tuple[str, ...] | None = None
    """Fields of a `config.json` that nothing here reads; the loader writes them down."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [f for f in type(self).model_fields if f not in BESIDE]
        given = [f for f in forms if getattr(self, f) is not None]
        if len(given) != 1:
            listed = ", ".join(f for f in forms if f not in WRITTEN_OUT)
            raise problem(
                "E202" if given else "E102",
                f"model needs exactly one of {listed}; got {', '.join(given) or 'none'}",
                "example `model: {preset: llama-3-8b}`",
            )
        if (self.dims or self.maps) and not self.onnx:
            raise problem("E202", "dims and maps are of an ONNX model, and there is none")
        if self.format and not self.topology:
            raise problem("E202", f"format {self.format} is of a topology, and there is none")
        return self


class WorkloadSpec(Spec):
    """What is run: a model in a phase."""

    schema_: Literal["archsim.workload/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str = Field(examples=["llama3_decode"])
    """Name in reports."""

    description: str = ""
    """One line for people."""

    model: ModelRef = Field(examples=[{"preset": "llama-3-8b"}])
    """The model."""

    phase: Phase | None = None
    """What part of its work; a model without tokens has one phase and needs none."""

    dtypes: DTypes = DTypes()
    """Element types."""

    routing: Routing = Routing()
    """How tokens choose experts, in a model that has some."""

    kv: KvOptions = KvOptions()
    """What is kept of keys and values, in a model that keeps a cache."""

    attention: AttentionOptions | None = None
    """What is scored, in a model with attention."""

    transform: AnyTransform | None = Field(
        default=None, examples=[{"kind": "fuseconv", "variant": "half"}]
    )
    """What the model's description is changed by before it becomes ops. Default: nothing."""

    sparsity: SparsityOptions | None = None
    """Zeros among weights and activations."""

    scores: Literal["per_head", "block_diagonal"] | None = None
    """How scores of attention are computed: one product a head (default), or one for all heads
    whose queries hold zeros in the channels of other heads, as machines without a batch of products
    do; keys that heads share are then repeated."""

    parallel: ParallelPlan | None = Field(
        default=None, examples=[{"tensor": 8}, {"tensor": 4, "pipeline": 2, "microbatches": 8}]
    )
    """How the model is divided over the devices of a machine. Default: the tensor axis as far as
    heads divide, and copies beyond."""


def load_workload(
    source: str | Path | Mapping[str, Any],
    *,
    set_: Sequence[str] = (),
    set_files: Sequence[str | Path] = (),
    phase: str | None = None,
    batch: int | None = None,
    context: int | Sequence[int] | None = None,
    tokens: int | None = None,
    seed: int = 0,
) -> tuple[WorkloadSpec, Document]:
    """A workload that stands alone, and the document it came from.

    Args:
        source: a shipped workload or model by name, a workload or op graph YAML, a `config.json` or
            its folder, a topology CSV, or data.
        set_: settings such as `phase.batch=4`, with `workload.` before them or without.
        set_files: files of settings.
        phase: prefill | decode | encode | train | infer; replaces the file's phase.
        batch: sequences or inputs.
        context: tokens attended in decode.
        tokens: tokens of each sequence, except in decode.
        seed: of draws whose own seed is not given.

    Raises:
        InputError: with every mistake at its line and column, or at its flag.
        Unsupported: for a model type without a builder.
    """
    from archsim.lowering.flags import refusals, with_flags
    from archsim.lowering.sources import open_source

    given = {"phase": phase, "batch": batch, "context": context, "tokens": tokens}
    flags = {k: v for k, v in given.items() if v is not None}
    named = [s if s.startswith("workload.") else f"workload.{s}" for s in set_]  # as people type it
    opened = open_source(source)
    try:
        document = with_flags(opened, flags, named)
        spec, found = load_spec(document, WorkloadSpec, set_=named, set_files=set_files)
        return resolve(spec, found, seed), found
    except InputError:  # say first that the model does not do what flags ask: sizes are beside it
        name, phases = _phases(opened) if flags else ("", ())
        better = refusals(name, phases, flags, opened, named) if phases else []
        if better:
            raise InputError.of(better) from None
        raise


def _phases(opened: Document) -> tuple[str, tuple[str, ...]]:
    """Name of a workload and the phases of its model; none where the model cannot be read."""
    from archsim.lowering.sources import inlined

    data = opened.data if isinstance(opened.data, dict) else {}
    alone = replace(opened, data={key: v for key, v in data.items() if key != "phase"})
    try:
        spec, _ = load_spec(alone, WorkloadSpec)
        spec = spec.model_copy(update={"model": inlined(spec.model, alone)})
        return spec.name, architecture_of(spec).phases
    except ArchsimError:
        return "", ()


def resolve(spec: WorkloadSpec, document: Document | None = None, seed: int = 0) -> WorkloadSpec:
    """A workload whose files are read, whose defaults are filled in, and whose phase is checked.

    Args:
        spec: a workload; one that stands alone is returned equal.
        document: where it came from: paths are relative to its file, mistakes are placed in it.
        seed: of draws whose own seed is not given.

    Raises:
        InputError: for a file or preset that does not exist, or a phase that the model has not.
        Unsupported: for a model type without a builder.
    """
    from archsim.lowering.sources import inlined, traced

    document = document or Document.of({})
    spec = spec.model_copy(update={"model": inlined(spec.model, document)})
    architecture = architecture_of(spec, document)
    phase = spec.phase
    if phase is None and architecture.phases == ("infer",):
        phase = architecture.default_phase()
    if phase is not None and phase.kind not in architecture.phases:
        message = f'phase "{phase.kind}" is not one of {", ".join(architecture.phases)}'
        help_text = f"those are what {spec.name}'s model does"
        raise document.error(("phase", "kind"), "E108", message, help=help_text)
    for found in architecture.objections(phase):
        place = (found.section, found.key)
        raise document.error(place, found.code, found.message, help=found.help)
    dtypes = spec.dtypes.filled(*architecture.default_dtypes, cache=architecture.keeps_cache)
    routed = architecture.routed(phase) if phase else None
    routing = traced(spec.routing, routed, document) if routed else spec.routing
    if routed and routing.kind != "trace" and routing.seed is None:
        routing = routing.model_copy(update={"seed": seed})
    return spec.model_copy(update={"phase": phase, "dtypes": dtypes, "routing": routing})


def architecture_of(spec: WorkloadSpec, document: Document | None = None) -> Architecture:
    """The builder of a workload whose files are read; the document places its transform."""
    from archsim.lowering.architectures.base import architectures
    from archsim.lowering.model import load_model
    from archsim.lowering.transform import transformed

    config: Any = spec.model.config
    if spec.model.preset:
        config = load_model(spec.model.preset).model
    name = spec.model.preset or spec.name
    document = document or Document.of({})
    config = transformed(name, spec.transform, config, document)
    config = with_attention(name, spec.attention, config, document)
    return architectures.get(config.architecture)(config, spec.kv)
