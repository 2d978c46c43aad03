"""The workload as frozen data: which model, in which phase, at which element types."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from archsim.core.data import data_dir, find, names
from archsim.core.errors import InputError, nearest
from archsim.core.spec import PositiveInt, Spec, problem
from archsim.core.yamlio import Document, load_spec, load_yaml

DTypeName = Literal["fp32", "bf16", "fp16", "fp8", "int32", "int16", "int8", "int4"]
FORMS = ("preset", "hf_config", "topology", "graph")


class ModelRef(Spec):
    """The model, in exactly one of four forms."""

    preset: str | None = None
    """Name of a shipped model: see `archsim list models`."""

    hf_config: str | None = None
    """Path of a Hugging Face `config.json`."""

    topology: str | None = None
    """Path of a SCALE-Sim topology CSV; its layers run one after the other."""

    graph: str | None = None
    """Path of an op graph in YAML."""

    layers: tuple[dict[str, int | str], ...] | None = None
    """Layers of a topology written out: the columns of the CSV by name."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [f for f in (*FORMS, "layers") if getattr(self, f) is not None]
        if len(given) != 1:
            raise problem(
                "E202",
                f"model needs exactly one of {', '.join(FORMS)}, got {', '.join(given) or 'none'}",
                "preset: llama-3-8b",
            )
        return self


class Prefill(Spec):
    """All tokens of the prompts at once; one token is sampled per sequence."""

    kind: Literal["prefill"]
    """Which phase this is."""

    batch: PositiveInt = 1
    """Sequences."""

    tokens: PositiveInt
    """Prompt tokens of each sequence."""


class Decode(Spec):
    """One new token per sequence."""

    kind: Literal["decode"]
    """Which phase this is."""

    batch: PositiveInt | None = None
    """Sequences; with a list of contexts, its length."""

    context: PositiveInt | tuple[PositiveInt, ...]
    """Tokens attended by each sequence, the newest included: one number, or one a sequence."""

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        if isinstance(self.context, tuple):
            if not self.context:
                raise problem("E107", "context lists no sequence", "context: [512, 2048]")
            if self.batch not in (None, len(self.context)):
                raise problem(
                    "E202",
                    f"batch {self.batch} disagrees with {len(self.context)} contexts",
                    "drop batch, or list one context for each sequence",
                )
        return self

    @property
    def contexts(self) -> tuple[int, ...]:
        """One context a sequence."""
        if isinstance(self.context, tuple):
            return self.context
        return (self.context,) * (self.batch or 1)


class Encode(Spec):
    """All tokens of an encoder's sequences at once."""

    kind: Literal["encode"]
    """Which phase this is."""

    batch: PositiveInt = 1
    """Sequences."""

    tokens: PositiveInt
    """Tokens of each sequence."""


class Infer(Spec):
    """One pass of a model without a sequence: a convolutional network, a layer list, a graph."""

    kind: Literal["infer"]
    """Which phase this is."""

    batch: PositiveInt = 1
    """Inputs."""


Phase = Annotated[Prefill | Decode | Encode | Infer, Field(discriminator="kind")]


class DTypes(Spec):
    """Element types."""

    weights: DTypeName = "bf16"
    """Of weights; also the type that MACs are computed in."""

    activations: DTypeName = "bf16"
    """Of activations."""

    kv_cache: DTypeName = "bf16"
    """Of the KV cache."""

    accumulators: DTypeName = "fp32"
    """Of partial sums."""


class WorkloadSpec(Spec):
    """What is run: a model in a phase."""

    schema_: Literal["archsim.workload/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name in reports."""

    model: ModelRef
    """The model."""

    phase: Phase = Infer(kind="infer")
    """What part of its work; models with tokens need one."""

    dtypes: DTypes = DTypes()
    """Element types."""


def model_names() -> tuple[str, ...]:
    """Names of the shipped models."""
    return names("workloads/models")


def load_workload(
    source: str | Path | dict[str, Any],
    *,
    set_: Sequence[str] = (),
    set_files: Sequence[str] = (),
    phase: str | None = None,
    batch: int | None = None,
    context: Any = None,
    tokens: int | None = None,
) -> tuple[WorkloadSpec, Document]:
    """A workload by shipped name, model name, path (YAML, config.json, topology CSV) or data.

    Raises:
        InputError: with every problem at its line and column.
    """
    document = _document(source)
    flags = {"kind": phase, "batch": batch, "context": context, "tokens": tokens}
    given = {k: v for k, v in flags.items() if v is not None}
    if given and isinstance(document.data, dict):
        old = document.data.get("phase")
        same = isinstance(old, dict) and given.get("kind", old.get("kind")) == old.get("kind")
        document.data["phase"] = {**(old if same and isinstance(old, dict) else {}), **given}
    spec, found = load_spec(document, WorkloadSpec, set_=set_, set_files=set_files)
    return _beside(spec, found), found


def _document(source: str | Path | dict[str, Any]) -> Document:
    if isinstance(source, dict):
        return Document.of(dict(source))
    text = str(source)
    path = Path(source)
    if path.suffix == ".csv":
        # SCALE-Sim counts words of one size, partial sums too
        words = dict.fromkeys(("weights", "activations", "accumulators"), "int8")
        return _wrap(path.stem, {"topology": _real(path)}, words)
    if path.suffix == ".json":
        return _wrap(path.resolve().parent.name or path.stem, {"hf_config": _real(path)})
    if not path.is_file() and text in model_names() and text not in names("workloads"):
        return _wrap(text, {"preset": text})
    known = (*names("workloads"), *model_names())
    if not path.is_file() and text not in known:
        close = nearest(text, known)
        raise InputError(
            f'no file, no shipped workload and no model "{text}"',
            code="E003",
            help=f'did you mean "{close}"?' if close else "see archsim list models",
        )
    document = load_yaml(find(source, "workloads", "workloads/models"))
    data = document.data
    if isinstance(data, dict) and str(data.get("schema", "")).startswith("archsim.graph/"):
        return _wrap(path.stem, {"graph": str(path)})
    return document


def _real(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path} cannot be read: no such file", code="E003")
    return str(path)


def _wrap(name: str, model: dict[str, Any], dtypes: dict[str, Any] | None = None) -> Document:
    data: dict[str, Any] = {"schema": "archsim.workload/1", "name": name, "model": model}
    if dtypes:
        data["dtypes"] = dtypes
    return Document.of(data)


def _beside(spec: WorkloadSpec, document: Document) -> WorkloadSpec:
    """Paths of a workload file are relative to it."""
    for form in FORMS[1:]:
        name = getattr(spec.model, form)
        if name is None or Path(name).is_file():
            continue
        beside = (document.file.parent if document.file else Path()) / name
        if not beside.is_file():
            raise document.error(("model", form), "E003", f'"{name}" cannot be read: no such file')
        return spec.model_copy(update={"model": ModelRef.model_validate({form: str(beside)})})
    if spec.model.preset is not None and spec.model.preset not in model_names():
        close = nearest(spec.model.preset, model_names())
        raise document.error(
            ("model", "preset"),
            "E108",
            f'preset "{spec.model.preset}" is not one of {", ".join(model_names())}',
            help=f'did you mean "{close}"?' if close else "see archsim list models",
        )
    return spec


def preset_path(name: str) -> Path:
    """File of a shipped model."""
    return data_dir("workloads/models") / f"{name}.yaml"
