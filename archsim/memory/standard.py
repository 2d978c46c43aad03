"""DRAM standards as data: one YAML a standard in `standards/`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from archsim.core.errors import InputError, nearest
from archsim.core.spec import Bytes, BytesPerSecond, Fraction, Seconds, Spec

FOLDER = Path(__file__).parent / "standards"


class Standard(Spec):
    """What one stack, device channel or module of a standard offers."""

    schema_: Literal["archsim.dram-standard/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name that `standard:` takes."""

    bytes_per_s: BytesPerSecond
    """Peak bandwidth of one stack, every pin at its rate."""

    capacity_bytes: Bytes
    """Bytes of one stack."""

    latency_s: Seconds
    """Unloaded random read, row opened and data returned."""

    streaming_efficiency: Fraction
    """Share of the peak that a sequential read gets, refresh included."""

    energy: str
    """Class of its rows in the energy table."""

    source: dict[str, str]
    """Where each number comes from."""


def standard_names() -> tuple[str, ...]:
    """Names of the standards that ship."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def load_standard(name: str) -> Standard:
    """The standard of a name.

    Raises:
        InputError: E108 when there is no such file.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        close = nearest(name, standard_names())
        raise InputError(
            f"standard {name!r} is not one of {', '.join(standard_names())}",
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )
    from archsim.core.yamlio import load_spec

    return load_spec(path, Standard)[0]
