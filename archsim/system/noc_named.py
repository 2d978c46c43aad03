"""Which network `noc` is asked about: a word such as `mesh:8x8`, a description, or a machine."""

from __future__ import annotations

from typing import Any

from archsim.core.document import Document
from archsim.core.errors import InputError, Unsupported
from archsim.core.yamlio import validate
from archsim.interconnect.base import Topology, links
from archsim.interconnect.flit_spec import RouterSpec
from archsim.interconnect.flit_wires import MESH_LATENCY, TORUS_LATENCY
from archsim.system.spec import load_hardware

CYCLE_NS = 1  # of a network that is given as a word: 1 GHz (assumed)
MOST_NODES, MOST_LINKS = 1 << 16, 1 << 20  # that are laid out in seconds (assumed)


def is_word(topology: Any) -> bool:
    """Whether a network is given as a kind and its size."""
    return isinstance(topology, str) and topology.partition(":")[0].isidentifier() and (
        ":" in topology
    )  # fmt: skip


def word_latency(link: Topology) -> int:
    """Cycles of the links of a network that is given as a word."""
    return TORUS_LATENCY if wraps(link) else MESH_LATENCY


def wraps(link: Topology) -> bool:
    """Whether it is a torus: a grid of closed dimensions."""
    return has_dims(link) and bool(getattr(link, "wraps", False))


def has_dims(link: Topology) -> bool:
    """Whether it is described by the extents of a grid."""
    return "dims" in type(link.spec).model_fields


def find_network(topology: Any) -> tuple[str, Topology]:
    """A network and its name.

    Args:
        topology: `kind:8x8`, a description (`{kind: ...}`), a machine by name, path or data, or a
            Topology.

    Raises:
        InputError: for what is none of these, a machine without a network, and one of one device.
        Unsupported: for more nodes or links than are laid out.
    """
    name, link = _found(topology)
    _check_size(name, link)
    return name, link


def _check_size(name: str, link: Topology) -> None:
    """Refuse networks on which nobody sends, and those beyond what is laid out.

    Raises:
        InputError: E202 for one device.
        Unsupported: E301 for too many nodes or links.
    """
    if link.devices < 2:
        message = f"{name} is a network of one device, which has nobody to send to"
        raise InputError(message, code="E202", help="two devices or more")
    for what, count, most in (
        ("nodes", link.devices, MOST_NODES), ("links", link.link_count() or 0, MOST_LINKS),
    ):  # fmt: skip
        if count > most:
            raise Unsupported(f"{name} has {count} {what}, and noc loads {most} at most")


def _found(topology: Any) -> tuple[str, Topology]:
    """The same before its size is looked at."""
    if isinstance(topology, Topology):
        return topology.name, topology
    if is_word(topology):
        return topology, _worded(topology)
    if isinstance(topology, dict) and "kind" in topology:
        return str(topology["kind"]), _described(topology, str(topology["kind"]))
    spec, _ = load_hardware(topology)
    for name, own in spec.interconnect.items():
        made = links.get(own.kind)(name, own)
        if isinstance(made, Topology):
            return f"{spec.name} {name}", made
    raise InputError(
        f"machine {spec.name} has no network between its chips",
        code="E102",
        help="such as interconnect.node: {kind: mesh, dims: [8, 8], ...}; or a word: mesh:8x8",
    )


def _class(kind: str) -> type[Topology]:
    cls = links.get(kind)
    if issubclass(cls, Topology):
        return cls
    known = ", ".join(k for k, c in links.items() if issubclass(c, Topology))
    raise InputError(f"a {kind} is no network", code="E108", help=f"networks: {known}")


def _described(data: dict[str, Any], name: str) -> Topology:
    cls = _class(str(data["kind"]))
    return cls(name, validate(Document.of(data), cls.Spec))


def _worded(word: str) -> Topology:
    """A network of a word: links of a flit a cycle, of one or two cycles beside the routers.

    Raises:
        InputError: E108 for an unknown kind, E105 for a size that is none, E202 for one device.
        Unsupported: for a size beyond what is laid out.
    """
    kind, _, size = word.partition(":")
    cls = _class(kind)
    parts = size.split("x")
    if not all(part.isascii() and part.isdecimal() and int(part) for part in parts):
        raise InputError(f'"{word}" has no size', code="E105", help="such as mesh:8x8 or ring:16")
    numbers = [int(part) for part in parts]
    fields = cls.Spec.model_fields
    form: dict[str, Any]
    if "dims" in fields:
        form = {"dims": numbers}
    elif "devices" in fields and len(numbers) == 1:
        form = {"devices": numbers[0]}
    else:
        raise InputError(
            f'"{word}": this network needs a description of its own',
            code="E105",
            help="give a YAML file with it under interconnect:",
        )
    known = cls.example()
    data = {"kind": kind, **{key: known[key] for key in ("arity",) if key in known}, **form,
            "bandwidth": f"{16 / CYCLE_NS} GB/s", "medium": "chip"}  # fmt: skip
    first = _described(data | {"latency": "1 ns"}, word)
    _check_size(word, first)
    fabric = first.fabric()
    halves = 2 if fabric.nodes > fabric.terminals else 1  # latency is from device to device
    cycles = (RouterSpec().pipeline_cycles + word_latency(first)) * halves
    return _described(data | {"latency": f"{cycles * CYCLE_NS} ns"}, word)
