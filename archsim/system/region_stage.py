"""The plan of a stage that is a region: its tiles, with the room that is left on chip."""

from __future__ import annotations

from dataclasses import replace

from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.core.errors import Infeasible
from archsim.system.place import Stage
from archsim.system.region import Planner
from archsim.system.region_cut import takes
from archsim.system.room import Room


def is_region(stage: Stage) -> bool:
    """True for a stage on a fabric that is no template's: fused or not, it is a region."""
    return not stage.template and takes(stage.engine, stage.ops[0])


def region_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its mapping.

    Raises:
        Infeasible: E401 when not even one tile of it fits.
        Unsupported: E302 for an element type without a rate.
    """
    engine = stage.engine
    assert isinstance(engine, SpatialPipeline)
    planner = Planner(
        room.graph,
        room.machine,
        engine,
        room.resident,
        2 * room.budget_bytes,  # it runs alone
        room.accumulator_bits,
    )
    mapping = planner.plan(stage.path, stage.ops, frozenset(stage.writes))
    if mapping is None:
        raise Infeasible(
            f"{stage.path}: no tile of it fits {engine.spec.memory_units} memory units",
            code="E401",
            help="a larger on-chip memory",
        )
    mapping.check()
    return replace(stage, mapping=mapping, room_bytes=mapping.room_bytes)
