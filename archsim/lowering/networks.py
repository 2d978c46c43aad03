"""Reads the networks that a workload runs at once: each becomes a workload of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from archsim.core.document import Document
from archsim.core.errors import InputError
from archsim.lowering.architectures.several import SeveralNetworks

OWN = ("dtypes", "sparsity", "routing", "kv", "attention", "transform", "scores")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")  # it stands in paths and selectors: no dot, no glob


def read_networks(
    networks: Mapping[str, str | Mapping[str, Any]], document: Document
) -> SeveralNetworks:
    """Every network resolved: its model read, its phase checked, its element types filled in.

    Args:
        networks: by name: a shipped workload, a path relative to the document's file, or data.
        document: where they are named, for the place of a mistake.

    Raises:
        InputError: E107 for fewer than two or for a name that no selector could hold, E202 for
            networks inside a network or options beside them, and what is wrong with a network.
    """
    for key in OWN:
        if isinstance(document.data, dict) and key in document.data:
            message = f"{key} has no effect here: each network has its own"
            help_text = "write it in the networks' workloads"
            raise document.error((key,), "E202", message, help=help_text)
    if len(networks) < 2:
        message = "several networks are two or more"
        raise document.error(("model", "networks"), "E107", message, help="one is a `preset:`")
    found = {}
    for name, source in networks.items():
        place = ("model", "networks", name)
        if not NAME.fullmatch(name):
            message = f'network "{name}" is no name: letters, digits, _ and - only'
            raise document.error(place, "E107", message)
        found[name] = _resolved(name, source, place, document)
    return SeveralNetworks(networks=found)


def _resolved(
    name: str, source: str | Mapping[str, Any], place: tuple[str, ...], document: Document
) -> dict[str, Any]:
    from archsim.lowering.spec import load_workload  # late: it knows this module

    if isinstance(source, str) and document.file is not None:
        beside = document.file.parent / source
        source = str(beside) if beside.is_file() else source
    try:
        spec, _ = load_workload(source)
    except InputError as error:
        if error.diagnostics and error.diagnostics[0].file:
            raise  # it has a place in a file of its own
        raise document.error(place, error.code, f"network {name}: {error.message}",
                             help=error.help) from None  # fmt: skip
    if getattr(spec.model.config, "architecture", "") == "several":
        raise document.error(place, "E202", f"network {name} is several networks itself")
    if spec.phase is None:
        raise document.error(place, "E102", f"network {name} needs a phase",
                             help="write the workload out, with `phase:`")  # fmt: skip
    return spec.to_data()
