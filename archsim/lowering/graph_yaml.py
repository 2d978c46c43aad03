"""Op graph files: `ops.yaml`, a list of ops by name and size; see `architectures.graph`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from archsim.core.document import Document
from archsim.core.errors import InputError
from archsim.core.yamlio import load_spec
from archsim.lowering.architectures.graph import Graph, Ops, mistakes


class GraphFile(Ops):
    """An op graph file."""

    schema_: Literal["archsim.graph/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str = "graph"
    """Name in reports."""


def read_graph(path: str | Path | Document) -> Graph:
    """The ops of a file.

    Raises:
        InputError: with every mistake at its line and column.
    """
    spec, document = load_spec(path, GraphFile)
    found = [
        document.diagnostic(("ops", m.line, m.key), m.code, m.message, help=m.help)
        for m in mistakes(spec.ops)
    ]
    if found:
        raise InputError.of(found)
    return Graph(repeat=spec.repeat, ops=spec.ops)
