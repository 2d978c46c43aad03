"""Hypothesis strategies that damage descriptions, to show that no input ends in a traceback.

They know YAML and the spec base, and no particular kind of file: give them a valid text or tree.
`SampleMachine` is a description with every kind of field, for tests of the loader itself.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hypothesis import strategies as st
from pydantic import Field

from archsim.core.errors import ArchsimError
from archsim.core.spec import (
    Bytes,
    BytesPerSecond,
    Cycles,
    Fraction,
    Hertz,
    PositiveInt,
    Rate,
    Seconds,
    Spec,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_QUANTITIES = (
    *("80 GiB", "80 GB", "80", "80 Gb", "64 KB", "1.2 TB/s", "3,35 TB/s", "512 B/cycle", "1e9 Hz"),
    *("940 MHz", "-1 s", "0 s", "85 %", "1e999 B", "5 parsecs", "0x10 B", "B", "%", "1 B/", "/ s"),
)
_WORDS = ("NO", "off", "~", "12:30", "017", "1e9", "2024-01-01", "<<", "*", "&a", "!!int", "=", "")
_LINES = ("\t", "- ", "? ", "{", "[", "]", "}", ": ", "#", "---\n", "'", '"', "|\n", "&a ", "*a")


class _Dram(Spec):
    """Memory with flat bandwidth and latency."""

    kind: Literal["dram"]

    capacity: Bytes
    """Bytes it holds."""

    bandwidth: BytesPerSecond
    """Peak bandwidth."""

    latency: Seconds = 0.0
    """Time from a request to its first byte."""

    efficiency: Fraction = 1.0
    """Share of the peak that is reached."""


class _Sram(Spec):
    """Memory on chip."""

    kind: Literal["sram"]

    capacity: Bytes
    """Bytes it holds."""

    bandwidth: Rate
    """Bandwidth, per second or per cycle."""

    latency: Cycles = 1
    """Cycles from a request to its first byte."""

    banks: PositiveInt = 1
    """Banks."""


class _Energy(Spec):
    """Where energies come from."""

    table: str = "7nm"
    """Name of a table."""


class SampleMachine(Spec):
    """A description with every kind of field."""

    schema_: Literal["archsim.machine/1"] = Field(alias="schema")

    name: str
    """Name of the machine."""

    clocks: dict[str, Hertz] = {}
    """Clocks by name."""

    memory: dict[str, Annotated[_Dram | _Sram, Field(discriminator="kind")]]
    """Memories by name."""

    energy: _Energy = _Energy()
    """Where energies come from."""

    sizes: int | list[int] = 1
    """One size, or one for each."""

    rates: dict[Literal["add", "mul"], PositiveInt] = {}
    """Results per cycle, by primitive."""

    note: str | None = None
    """Free text."""


SAMPLE_TEXT = """\
schema: archsim.machine/1
name: sample
clocks: {core: 1 GHz}
memory:
  hbm:
    kind: dram
    capacity: 80 GiB
    bandwidth: 1.2 TB/s
    efficiency: 85 %
  l2: {kind: sram, capacity: 4 MiB, bandwidth: 512 B/cycle}
rates: {add: 1, mul: 2}
"""
"""A valid `SampleMachine`."""


def refusal(load: Callable[[], object]) -> ArchsimError | None:
    """The error that a load ends in, or None; anything but an ArchsimError passes through.

    The error's text and its form for programs are made too, so that they cannot fail later.
    """
    try:
        load()
    except ArchsimError as error:
        error.render()
        error.to_dict()
        return error
    return None


def scalars() -> st.SearchStrategy[Any]:
    """Values that a field may be given by mistake: words, numbers, quantities, near-quantities."""
    numbers = st.one_of(st.integers(), st.integers(-2, 9), st.floats())
    words = st.one_of(st.sampled_from(_WORDS), st.sampled_from(_QUANTITIES), st.text(max_size=8))
    return st.one_of(st.none(), st.booleans(), numbers, words)


def trees() -> st.SearchStrategy[Any]:
    """Small nested data."""
    keys = st.text(max_size=6)
    return st.recursive(
        scalars(),
        lambda below: st.one_of(
            st.lists(below, max_size=3), st.dictionaries(keys, below, max_size=3)
        ),
        max_leaves=6,
    )


@st.composite
def damaged_data(draw: st.DrawFn, data: Any) -> Any:
    """A data tree with one to three entries removed, renamed, added or replaced."""
    result = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        holders = [h for h in _holders(result) if h]
        if not holders:
            return draw(trees())
        holder = draw(st.sampled_from(holders))
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = draw(st.sampled_from(keys))
        action = draw(st.sampled_from(("remove", "rename", "replace", "add")))
        if action == "remove":
            del holder[key]
        elif action == "replace" or isinstance(holder, list):
            holder[key] = draw(trees())
        elif action == "rename":
            holder[draw(_typos(str(key)))] = holder.pop(key)
        else:
            holder[draw(st.text(max_size=6))] = draw(trees())
    return result


@st.composite
def damaged_text(draw: st.DrawFn, text: str) -> str:
    """A text with one to four pieces cut, doubled, swapped or written over."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(
            st.one_of(
                st.just(""),
                st.just(text[start:end] * 2),
                st.sampled_from((*_LINES, *_WORDS, *_QUANTITIES)),
                st.text(max_size=6),
            )
        )
        text = text[:start] + piece + text[end:]
    return text


@st.composite
def settings(draw: st.DrawFn, data: Any) -> str:
    """A `--set` text: a path of the data, perhaps misspelt, and a value."""
    path = draw(st.sampled_from(_dotted(data, "")))
    path = draw(st.one_of(st.just(path), _typos(path), st.text(max_size=10)))
    value = draw(st.one_of(st.sampled_from((*_WORDS, *_QUANTITIES)), st.text(max_size=8)))
    return f"{path}{draw(st.sampled_from(('=', '=', '=', '', '[0]=', '.x=')))}{value}"


@st.composite
def _typos(draw: st.DrawFn, word: str) -> str:
    """A word with one letter gone, doubled or changed."""
    at = draw(st.integers(0, max(0, len(word) - 1)))
    middle = draw(st.one_of(st.just(""), st.just(word[at : at + 1] * 2), st.text(max_size=1)))
    return word[:at] + middle + word[at + 1 :]


def _holders(data: Any) -> list[Any]:
    """Every mapping and list of a tree."""
    if not isinstance(data, dict | list):
        return []
    items = data.values() if isinstance(data, dict) else data
    return [data, *(holder for item in items for holder in _holders(item))]


def _dotted(data: Any, path: str) -> list[str]:
    """Every path of a tree, as `--set` writes it."""
    if isinstance(data, dict):
        items = [(f"{path}.{key}" if path else key, item) for key, item in data.items()]
    else:
        items = [(f"{path}[{i}]", x) for i, x in enumerate(data)] if isinstance(data, list) else []
    return [found for name, item in items for found in (name, *_dotted(item, name))]
