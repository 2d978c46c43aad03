"""Stream graph files: `stream.yaml`, nodes and FIFOs; see `architectures.stream`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from archsim.core.document import Document
from archsim.core.errors import InputError
from archsim.core.yamlio import load_spec
from archsim.lowering.architectures.stream import Stream, Streams, wrong


class StreamFile(Streams):
    """A stream graph file."""

    schema_: Literal["archsim.stream/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str = "stream"
    """Name in reports."""


def read_stream(path: str | Path | Document) -> Stream:
    """The graph of a file.

    Raises:
        InputError: with every mistake at its line and column.
    """
    spec, document = load_spec(path, StreamFile)
    found = [
        document.diagnostic((m.section, m.at, m.key), m.code, m.message, help=m.help)
        for m in wrong(spec)
    ]
    if found:
        raise InputError.of(found)
    return Stream(iterations=spec.iterations, nodes=spec.nodes, fifos=spec.fifos)
