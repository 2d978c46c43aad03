"""A collective as a stage: how it is carried out, and whether it has the chip to itself."""

from __future__ import annotations

from dataclasses import replace

from archsim.system.classes import MESSAGES
from archsim.system.network_port import NetworkPort
from archsim.system.place import Stage
from archsim.system.room import Room


def collective_stage(stage: Stage, room: Room) -> Stage:
    """A collective with its algorithm.

    Where kernels are launched it has the chip to itself as they do, unless the plan cuts products
    and their exchanges into chunks that overlap. A message is on its way beside them, and so are
    the keys and values of a ring.
    """
    port, collective = stage.engine, stage.ops[0].collective
    assert isinstance(port, NetworkPort)
    assert collective is not None
    launched = any(e.launch_s is not None for e in room.machine.engines.values())
    passed_round = collective.axis == "context" and collective.pattern == "all_to_all"
    message = collective.pattern in MESSAGES or passed_round
    alone = launched and not message and (port.plan is None or port.plan.overlap_chunks == 1)
    return replace(stage, mapping=port.exchanged(collective), exclusive=alone)
