"""A model that ships: the architecture's numbers, what must come of them, and their source."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from archsim.core.data import data_dir
from archsim.core.spec import PositiveInt, Spec
from archsim.core.yamlio import load_spec
from archsim.lowering.architectures.base import architectures

FOLDER = "workloads/models"

if TYPE_CHECKING:
    AnyArchitecture = Any  # a union that grows with the folder is nothing a checker can know
else:
    AnyArchitecture = architectures.union("architecture")


class AtContext(Spec):
    """A count that depends on how many tokens are attended."""

    context: PositiveInt
    """Tokens attended."""

    value: PositiveInt
    """The count there."""


class Expect(Spec):
    """What a model file's numbers must come out as; a contract test checks them."""

    parameters: PositiveInt
    """Parameters of the released checkpoint, or as printed."""

    within: int = 0
    """How far ours may be off: half of the last digit printed, 0 for an exact count."""

    macs_per_token: AtContext | None = None
    """MACs of one token at a context, LM head included."""

    macs: int | None = None
    """MACs of one input, for models without tokens."""

    kv_bytes_per_token: int | None = None
    """Bytes of KV cache a token in 16 bit."""


class ModelFile(Spec):
    """A model that ships: one file in `workloads/models`."""

    schema_: Literal["archsim.model/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name that `preset:` takes."""

    description: str = ""
    """One line for people."""

    source: str
    """Where the numbers come from."""

    expect: Expect
    """What they must come out as."""

    model: AnyArchitecture
    """The architecture and its numbers."""


def models() -> tuple[str, ...]:
    """Names of the shipped models."""
    folder = data_dir(FOLDER)
    return _names(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _names(folder: Path, changed_ns: int) -> tuple[str, ...]:
    """The same of a folder that was last changed then."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def load_model(name: str) -> ModelFile:
    """A shipped model.

    Raises:
        InputError: when the file has a mistake or does not exist.
    """
    path = data_dir(FOLDER) / f"{name}.yaml"
    return _read(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=16)
def _read(path: Path, changed_ns: int) -> ModelFile:
    """The model of a file that was last changed then."""
    return load_spec(path, ModelFile)[0]
