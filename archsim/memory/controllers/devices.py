"""The controller that a description asks for, in front of the banks of some channels."""

from __future__ import annotations

from typing import Protocol

from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.requests import MemoryRun, Pacing, Requests
from archsim.memory.tables import Tables


class Controlled(Protocol):
    """A controller with its banks."""

    def drive(self, requests: Requests, pacing: Pacing = ...) -> MemoryRun:
        """Run a whole list from a fresh state."""
        ...


def device(tables: Tables, controller: ControllerSpec, addresses: AddressMap) -> Controlled:
    """A controller of the structure that its description names."""
    if controller.structure == "command_queues":
        from archsim.memory.controllers.command_queues import CommandQueues

        return CommandQueues(tables, controller, addresses, addresses.channels)
    from archsim.memory.controllers.unified import Unified

    return Unified(tables, controller, addresses, addresses.channels)
