"""How a description asks for the mapper: `mapping: auto`, or a rule's `dataflow: auto`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from archsim.core.document import Document
from archsim.core.errors import nearest
from archsim.core.overrides import graft
from archsim.core.spec import problem
from archsim.core.yamlio import load_yaml
from archsim.dataflows.base import dataflows

AUTO = "auto"  # in place of a template: the mapper searches all of them


def _template(name: str) -> str:
    """A name that a rule's `dataflow` may give."""
    known = (AUTO, *dataflows.names())
    if name in known:
        return name
    close = nearest(name, known)
    raise problem(
        "E108",
        f'dataflow "{name}" is not one of {", ".join(known)}',
        f'did you mean "{close}"?' if close else None,
    )


Template = Annotated[str, AfterValidator(_template)]


def or_auto(schema: dict[str, Any]) -> None:
    """Let the JSON schema of the list of rules take the word too."""
    listed = {key: schema.pop(key) for key in ("type", "items") if key in schema}
    schema["anyOf"] = [listed, {"const": AUTO, "type": "string"}]


def spread(document: Document, below: Callable[[], Document] | None = None) -> Document:
    """A machine's description with `mapping: auto` as the rules that it stands for.

    They are the machine's own, with `auto` for what a search finds: see `filled`.

    Args:
        document: the description.
        below: gives it as it is without the word, from the files and settings under that.

    Raises:
        InputError: E108 for another word.
    """
    data = document.data
    word = data.get("mapping") if isinstance(data, dict) else None
    if not isinstance(word, str):
        return document
    if word != AUTO:
        close = nearest(word, [AUTO])
        message = f'mapping "{word}" is neither {AUTO} nor a list of rules'
        help = f'did you mean "{close}"?' if close else f"mapping: {AUTO}"
        raise document.error(("mapping",), "E108", message, help=help)
    lower = below() if below is not None else None
    rules = lower.data.get("mapping") if lower is not None else None
    if lower is None or not isinstance(rules, list):
        return replace(document, data={**data, "mapping": filled([])})
    marks = {at[1:]: mark for at, mark in lower.marks.items() if at[:1] == ("mapping",)}
    return graft(document, ("mapping",), replace(lower, data=filled(rules), marks=marks))


def filled(rules: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules of a machine under `mapping: auto`, with their order and their other options.

    Templates that a search chooses among give way to it; those of attentions, and others with tiles
    of their own, stay. What no rule gives a template for is searched too.
    """
    found = [{**rule, "dataflow": AUTO} if _searched(rule) else dict(rule) for rule in rules]
    last = found[-1] if found else {}
    if any(r["ops"] == "*" and r.get("dataflow") == AUTO and not r.get("on") for r in found):
        return found
    if last.get("ops") == "*" and not any(last.get(key) for key in ("on", "dataflow", "nest")):
        return [*found[:-1], {**last, "dataflow": AUTO}]
    return [*found, {"ops": "*", "dataflow": AUTO}]


def _searched(rule: dict[str, Any]) -> bool:
    """True for a rule with a template that a search may choose, or not, by itself."""
    name = rule.get("dataflow")
    return name in dataflows and dataflows.get(str(name)).stages in ("product", "nest")


def says_auto(setting: str) -> bool:
    """True for `--set mapping=auto`."""
    left, _, right = setting.partition("=")
    path = left.strip().removeprefix("hardware.")
    return path == "mapping" and right.strip().strip("\"'") == AUTO


def unsaid(source: Any) -> Any:
    """A layer of a description without `mapping: auto`, if that is what it says."""
    layer = load_yaml(source) if isinstance(source, str | Path) else source
    data = layer.data if isinstance(layer, Document) else layer
    if not isinstance(data, Mapping) or data.get("mapping") != AUTO:
        return source
    rest = {key: value for key, value in data.items() if key != "mapping"}
    return replace(layer, data=rest) if isinstance(layer, Document) else rest
