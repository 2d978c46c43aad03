"""A dataflow that does not suit its engine or op: one code, and the rule that asks for it.

Whatever part of the choice of tiles finds it, it is refused as an engine without a rate is.
"""

from __future__ import annotations

from archsim.core.errors import Unmappable, Unsupported
from archsim.system.place import Stage
from archsim.system.room import Room
from archsim.system.rules import rule_of


def unsuited(error: Unmappable, stage: Stage, room: Room) -> Unsupported:
    """The refusal with the place of the rule, where it does not say a closer one."""
    number = rule_of(room.machine, stage.path, stage.ops[0], "dataflow", room.used)
    asked = {} if number is None else {"path": f"mapping[{number}].dataflow"}
    return Unsupported(
        error.message, code=error.code, help=error.help, details={**asked, **error.details}
    )
