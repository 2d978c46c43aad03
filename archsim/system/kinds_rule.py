"""Kinds of devices as data: how many have which of a machine's engines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from archsim.core.spec import PositiveInt, Spec


class DeviceKind(Spec):
    """Devices that have some of the machine's engines; memories and the network are those of all.

    An op runs on devices of the first kind that has the engine which dispatch gives it, and what
    one kind writes for another is sent over the network.
    """

    name: str
    """In reports."""

    count: PositiveInt
    """Devices; as many as of every other kind. Those of the first kind have the lowest numbers."""

    engines: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names under `engines:`."""
