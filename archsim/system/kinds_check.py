"""What kinds of devices a machine may have: all its engines and devices, no rule over several.

Plans and graphs that kinds cannot share are refused in `kinds`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from archsim.core.errors import InputError
from archsim.system.build_names import dangling
from archsim.system.kinds_rule import DeviceKind
from archsim.system.network_port import NetworkPort


def check_kinds(spec: Any, units: Collection[str], port: NetworkPort | None) -> None:
    """Refuse kinds of devices that do not make up a machine.

    Args:
        spec: its description.
        units: names of its engines.
        port: to the network between its devices.

    Raises:
        InputError: E201 for an engine that there is not, E202 for all else.
    """
    kinds: tuple[DeviceKind, ...] = spec.devices
    for i, kind in enumerate(kinds):
        for j, name in enumerate(kind.engines):
            if name not in units:
                raise dangling(f"devices[{i}].engines[{j}]", "engine", name, units)
    if not kinds:
        return
    total = port.devices if port else 1
    said = " + ".join(str(kind.count) for kind in kinds)
    names = [kind.name for kind in kinds]
    spare = sorted(set(units) - {name for kind in kinds for name in kind.engines})
    twice = next((name for name in names if names.count(name) > 1), "")
    if len(kinds) == 1:
        raise _wrong("devices names one kind", "two or more, or leave devices out")
    if twice:
        raise _wrong(f'devices has two kinds called "{twice}"', "each kind a name of its own")
    if len({kind.count for kind in kinds}) > 1:
        raise _wrong(f"devices are {said}: kinds of unlike counts", "as many of each kind")
    if sum(kind.count for kind in kinds) != total:
        raise _wrong(
            f"devices are {said}, and the network joins {total}",
            f"counts that add up to {total}, or a network of {sum(k.count for k in kinds)} devices",
        )
    if spare:
        raise _wrong(f"no kind of device has engine {spare[0]}", f"engines: [..., {spare[0]}]")
    _check_rules(spec, kinds)


def _check_rules(spec: Any, kinds: tuple[DeviceKind, ...]) -> None:
    """Refuse rules that take one op, or ops that run as one, to several kinds at once."""
    for i, rule in enumerate(spec.dispatch):
        over = rule.split.over if rule.split else ()
        if over and not any(set(over) <= set(kind.engines) for kind in kinds):
            raise _wrong(
                f"dispatch[{i}].split deals one op to engines of devices of several kinds",
                "engines of one kind",
                f"dispatch[{i}].split.over",
            )
    for i, rule in enumerate(spec.mapping):
        if rule.head_groups is not None:
            raise _wrong(
                f"mapping[{i}].head_groups is of devices that are all alike",
                "leave head_groups out",
                f"mapping[{i}].head_groups",
            )
    if spec.interleave is not None:
        raise _wrong(
            "interleave is of devices that are all alike", "leave interleave out", "interleave"
        )


def _wrong(message: str, instead: str, path: str = "devices") -> InputError:
    return InputError(message, code="E202", help=instead, details={"path": path})
