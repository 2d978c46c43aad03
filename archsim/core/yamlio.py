"""Files in and out: YAML with positions to a checked spec, and plain data back to text.

The one door through which descriptions enter. How text becomes data is in `core.yamlread`, how
layers merge in `core.overrides`, how mistakes are worded in `core.problems`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from archsim.core import data as shipped
from archsim.core.document import Document
from archsim.core.errors import Diagnostic, InputError
from archsim.core.overrides import apply, merge
from archsim.core.problems import diagnose
from archsim.core.shape import Shape
from archsim.core.yamlread import NUMBER, read_text

__all__ = [
    "Document",
    "canonical_json",
    "dump_yaml",
    "load_layers",
    "load_spec",
    "load_yaml",
    "sha256_of",
    "validate",
]

S = TypeVar("S")


def load_yaml(path: Path | str) -> Document:
    """One YAML or JSON file as data with positions; `extends` is not followed.

    Raises:
        InputError: E001 not valid YAML, E002 a key given twice, E003 cannot be read.
    """
    file = Path(path)
    try:
        raw = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        where = Diagnostic("E003", "", str(path))
        raise InputError(f"cannot be read: {reason}", code="E003", where=where) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"not valid YAML: byte 0x{raw[error.start]:02x} is not UTF-8"
        where = Diagnostic("E001", message, str(path), line)
        raise InputError(message, code="E001", where=where) from None
    return read_text(text, str(path), file)


def load_layers(source: Path | str | Document | Mapping[str, Any]) -> Document:
    """A description with its `extends` chain merged below it.

    Args:
        source: A file, a loaded document, or data made by Python code.

    Raises:
        InputError: as `load_yaml`; E201 when a base file is missing, E202 when the chain is a ring.
    """
    document = _open(source)
    chain = [document]
    while isinstance(document.data, dict) and "extends" in document.data:
        base = _base_of(document)
        if base.resolve() in {link.file.resolve() for link in chain if link.file}:
            raise document.error(("extends",), "E202", f"extends comes back to {base.name}")
        document = load_yaml(base)
        chain.append(document)
    merged = _without_extends(chain.pop())
    while chain:
        merged = merge(merged, _without_extends(chain.pop()))
    return merged


def load_spec(
    source: Path | str | Document | Mapping[str, Any],
    spec: type[S] | TypeAdapter[S],
    *,
    set_: Sequence[str] = (),
    set_files: Sequence[Path | str] = (),
    finish: Callable[[Document], Document] | None = None,
) -> tuple[S, Document]:
    """A checked description and the document it came from.

    Layers, lowest first: the `extends` chain, the file, `set_files`, `set_`.

    Args:
        source: A file, a loaded document, or data made by Python code.
        spec: What the description must be.
        set_: Settings such as `memory.hbm.bandwidth=4 TB/s`.
        set_files: Files with settings.
        finish: What is done to merged data before it is checked, such as reading files it names.

    Raises:
        InputError: with every mistake found, each at its file, line and column, or at its flag.
    """
    adapter = _adapter_of(spec)
    document = load_layers(source)
    for file in set_files:
        document = merge(document, load_layers(file))
    if set_:
        document = apply(document, tuple(set_), _shape(adapter))
    if finish is not None:
        document = finish(document)
    return validate(document, adapter), document


def validate(document: Document, spec: type[S] | TypeAdapter[S]) -> S:
    """A document's data as a spec.

    Raises:
        InputError: with every mistake found.
    """
    adapter = _adapter_of(spec)
    try:
        # validated as JSON, where a list may become a tuple and nothing else is converted
        return adapter.validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise InputError.of(diagnose(found, document, _shape(adapter))) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise document.error((), "E105", f"not plain data: {error}") from None


def dump_yaml(data: Any) -> str:
    """Plain data as YAML text that loads back equal, in the given key order, without aliases."""
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )


def canonical_json(data: Any) -> str:
    """Plain data as JSON text that is equal for equal data: sorted keys, no spaces."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def sha256_of(data: Any) -> str:
    """Hash of plain data, as hexadecimal text; independent of key order."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


class _Dumper(yaml.SafeDumper):
    """Quotes every text that a 1.2 or a 1.1 reader would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """True: equal values are written out each time."""
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        """Text; escaped where it holds a line break that only some readers know."""
        style = '"' if set(data) & set("\x85\u2028\u2029\ufeff") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def _adapter_of(spec: type[S] | TypeAdapter[S]) -> TypeAdapter[S]:
    """The validator of a spec; a model keeps its own compiled one, so this is cheap."""
    return spec if isinstance(spec, TypeAdapter) else _adapters(cast("Hashable", spec))


@lru_cache(maxsize=32)
def _adapters(spec: Any) -> TypeAdapter[Any]:
    return TypeAdapter(spec)


@lru_cache(maxsize=32)
def _shape(adapter: TypeAdapter[Any]) -> Shape:
    return Shape(adapter.json_schema(by_alias=True))


def _open(source: Path | str | Document | Mapping[str, Any]) -> Document:
    if isinstance(source, Document):
        return source
    if isinstance(source, Mapping):
        return Document.of(dict(source))
    return load_yaml(source)


def _base_of(document: Document) -> Path:
    """The file that a document extends: relative to it, or a shipped name."""
    name = document.data["extends"]
    if not isinstance(name, str):
        raise document.error(("extends",), "E105", "extends expects the name of a file")
    folder = document.file.parent if document.file else Path()
    beside = folder / name
    if beside.is_file():
        return beside
    try:
        return shipped.find(name, "configs", "workloads")
    except InputError as error:
        message = f'extends names "{name}", which does not exist'
        raise document.error(("extends",), "E201", message, help=error.help) from None


def _without_extends(document: Document) -> Document:
    if not isinstance(document.data, dict):
        return document
    return replace(document, data={k: v for k, v in document.data.items() if k != "extends"})
