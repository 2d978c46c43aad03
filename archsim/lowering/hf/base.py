"""Reading a `config.json`: which model type it is, and its fields with their places.

A model type declares the fields that decide sizes; all others are left alone. Old and new spellings
of a field are aliases.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from archsim.core.document import Document
from archsim.core.errors import InputError, Unsupported, nearest
from archsim.core.registry import Registry
from archsim.core.spec import Spec
from archsim.core.yamlio import load_yaml, validate
from archsim.lowering.architectures._description import Transformer
from archsim.lowering.hf._origins import place_of, unread

ActivationName = Literal[
    "silu", "swish", "relu", "gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"
]
"""Activations that have a form here, by their names in transformers (`activations.py`)."""


def activation(name: str) -> str:
    """Our name of an activation."""
    exact = {"swish": "silu", "gelu_python": "gelu"}
    tanh = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")
    return "gelu_tanh" if name in tanh else exact.get(name, name)


class HfConfig(BaseModel):
    """The fields of a model type. A subclass sets `kind`, the type's name, and `numbers`.

    `builds` is what the numbers are fields of: a `Transformer`, unless a subclass says otherwise.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, use_attribute_docstrings=True
    )

    kind: ClassVar[str]
    builds: ClassVar[type[Spec]] = Transformer

    def numbers(self) -> dict[str, Any]:
        """The fields of the model."""
        raise TypeError(f"{type(self).__name__} has no numbers")


class Unbuildable(Exception):
    """A config asks for something that no builder makes; holds the field and the reason."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.reason = field, reason


class Misfit(ValueError):
    """Fields that contradict each other; holds the key of the spec that the mistake is about."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def head_width(head_dim: int | None, hidden: int, heads: int) -> int:
    """Width of a head: as stated, or the hidden size over the heads."""
    if head_dim is None and hidden % heads:
        message = f"{heads} attention heads do not divide a hidden size of {hidden}"
        raise Misfit("heads", message)
    return head_dim or hidden // heads


def spelt(*names: str, example: int | None = None, default: Any = ...) -> Any:
    """A field under any of its names."""
    examples = None if example is None else [example]
    return Field(default, validation_alias=AliasChoices(*names), examples=examples)


hf_configs: Registry[HfConfig] = Registry("archsim.lowering.hf", HfConfig)


def model_types() -> tuple[str, ...]:
    """Model types that can be read."""
    return hf_configs.names()


def read_config(path: str | Path | Document) -> Spec:
    """The model of a `config.json`.

    Raises:
        InputError: with every field that is missing or wrong, each at its line and column.
        Unsupported: E301 for a model type, or a variant of one, without a builder.
    """
    document = path if isinstance(path, Document) else load_yaml(path)
    config = validate(document, _type_of(document))
    try:
        return config.builds.model_validate(config.numbers())
    except Unbuildable as error:
        where = document.diagnostic((error.field,), "E301", error.reason)
        raise Unsupported(error.reason, code="E301", where=where) from None
    except Misfit as error:
        raise document.error(place_of(error.key, document), "E202", str(error)) from None
    except ValidationError as error:
        raise _contradiction(error, document) from None


def fields_unread(document: Document) -> tuple[str, ...]:
    """Fields of a `config.json` that may change the cost and have no effect here."""
    return unread(document, _type_of(document))


def _type_of(document: Document) -> type[HfConfig]:
    known = model_types()
    supported = f"supported: {', '.join(known)}"
    if not isinstance(document.data, dict):
        raise document.error((), "E105", "config.json expects a mapping")
    if "model_type" not in document.data:
        message = 'the file needs "model_type"'
        raise document.error((), "E102", message, help=supported)
    kind = document.data["model_type"]
    if kind in known:
        return hf_configs.get(kind)
    close = nearest(str(kind), known)
    message = f'model_type "{kind}" has no builder'
    help_text = f"closest: {close}; {supported}" if close else supported
    where = document.diagnostic(("model_type",), "E301", message, help=help_text)
    raise Unsupported(message, code="E301", help=help_text, where=where)


def _contradiction(error: ValidationError, document: Document) -> InputError:
    """The first mistake between numbers, at the field that one of them came from."""
    first = error.errors(include_url=False)[0]
    said = first.get("ctx", {})
    key = str(said.get("key") or (first["loc"] or ("",))[-1])
    message = str(said.get("message") or first["msg"])
    path, code = place_of(key, document), str(said.get("code") or "E202")
    return document.error(path, code, message, help=said.get("help"))
