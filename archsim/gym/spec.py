"""An environment as a description: which study it plays in, and what counts in its reward.

What a study says (machine, workload, fidelity, space, objectives, constraints) is not said again
here. What a description becomes is in `gym.make`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from archsim.core.data import find
from archsim.core.document import Document
from archsim.core.spec import PositiveInt, Spec, problem
from archsim.core.yamlio import load_layers, validate
from archsim.dse.spec import FOLDER, ExploreSpec, Named, load_explore

Kind = Literal["hardware", "controller", "mapping", "placement"]
Positive = Annotated[float, Field(gt=0)]
Version = Literal["archsim.gym/1"]
(SCHEMA,) = get_args(Version)
OF_DESIGNS = ("hardware", "controller")  # kinds in which a step is a whole design


class GymSpec(Spec):
    """An environment: a game over the designs of a study."""

    schema_: Version = Field(alias="schema")
    """Version of this file's form."""

    name: str = Field(examples=["pages"])
    """Name of the environment."""

    description: str = ""
    """One line for people."""

    kind: Kind = "hardware"
    """What is played: `hardware`, a design of the study's space each step; `controller`, the same
    over the parameters of a DRAM's controller; `mapping`, how one class of ops after the other is
    mapped; `placement`, which memory one tensor after the other lies in."""

    study: Named = Field(examples=["npu-bandwidth"])
    """The study: a shipped name, a path relative to this file, or written out."""

    steps: PositiveInt | None = None
    """Designs of an episode (default 16); the other games end by themselves."""

    observe: tuple[str, ...] = Field(default=(), examples=[["metrics.time_s"]])
    """Metrics that are observed. Default: those of the study's objectives and constraints."""

    weights: dict[str, Positive] = Field(default={}, examples=[{"metrics.time_s": 3.0}])
    """Weight of each objective in the reward, by metric; their sum is counted as one. Default:
    equal."""

    penalty: Positive = 8.0
    """What a design without an answer costs, and an action that is refused."""

    against: dict[str, Any] = Field(default={}, examples=[{"memory.hbm.bandwidth": "2 TB/s"}])
    """Settings of the design that others are measured against. Default: the machine as it is
    described."""

    agents: dict[str, tuple[str, ...]] = Field(
        default={}, examples=[{"arrays": ["engines.*"], "memory": ["memory.*"]}]
    )
    """Agents of the form for several, each with globs on the paths of the space. Default: one for
    each component of the machine."""

    memory: str | None = Field(default=None, examples=["hbm"])
    """The DRAM whose controller is played with. Default: the only one with a standard."""

    provenance: dict[str, str] = {}
    """Where numbers come from, by path."""

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        alien = {"memory": self.kind != "controller"}
        if self.kind not in OF_DESIGNS:
            alien |= {"steps": True, "agents": True}
        if self.kind == "placement":
            alien |= {"weights": True, "observe": True}
        for name, wrong in alien.items():
            if wrong and getattr(self, name):
                raise problem("E202", f"{name} says nothing of kind {self.kind}", "leave it out")
        return self


def load_gym(source: str | Path | Document | Mapping[str, Any]) -> tuple[GymSpec, Document]:
    """An environment by a path, by data, or by a study, which stands for the game over its designs.

    Raises:
        InputError: with every mistake at its line and column.
    """
    if isinstance(source, str):
        source = find(source, FOLDER)
    document = load_layers(source)
    data = document.data
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema in get_args(ExploreSpec.model_fields["schema_"].annotation):
        name = str(data.get("name", "study"))
        whole = {"schema": SCHEMA, "name": name, "study": data}
        return validate(Document.of(whole), GymSpec), document
    return validate(document, GymSpec), document


def study_of(spec: GymSpec, document: Document) -> tuple[ExploreSpec, Document]:
    """The study of an environment, and the document that its mistakes are placed in.

    Raises:
        InputError: with every mistake of the study.
    """
    if isinstance(spec.study, dict):
        if document.data.get("schema") != SCHEMA:  # the study itself was given
            return load_explore(document)
        marks = {at[1:]: mark for at, mark in document.marks.items() if at[:1] == ("study",)}
        return load_explore(replace(document, data=document.data["study"], marks=marks))
    beside = document.file.parent / spec.study if document.file else Path(spec.study)
    return load_explore(str(beside) if beside.exists() else spec.study)
