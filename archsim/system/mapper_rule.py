"""How a description asks for the mapper: `mapping: auto`, or a rule's `dataflow: auto`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator

from archsim.core.document import Document
from archsim.core.errors import nearest
from archsim.core.spec import problem
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


def spread(document: Document) -> Document:
    """A machine's description with `mapping: auto` as the rule that it stands for.

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
    return replace(document, data={**data, "mapping": [{"ops": "*", "dataflow": AUTO}]})
