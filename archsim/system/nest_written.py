"""A nest that a mapping rule gives, at the op it is for: read, checked, or refused at its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from archsim.components.base import KernelEngine, MacEngine
from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.core.errors import Unmappable
from archsim.ir.nest import LEVELS, NestLoop, NestMapping
from archsim.ir.nest_check import NestTarget, check_cuts
from archsim.ir.nest_ranks import OPERANDS
from archsim.ir.nest_text import nest_from_data, read_loop
from archsim.ir.problem import Problem
from archsim.system.build import selects
from archsim.system.nest_label import check_label
from archsim.system.nest_rule import NestRule
from archsim.system.place import Stage
from archsim.system.room import Room


class Written:
    """The nest of a mapping rule, and where it stands in the machine's description."""

    def __init__(self, number: int, rule: NestRule, op: str) -> None:
        self.number, self.rule, self.op = number, rule, op
        self.data = rule.to_data()

    def path(self, level: str = "", loop: str = "") -> str:
        """Dotted path of the nest, or of a level or a loop in it."""
        parts = f"mapping[{self.number}].nest"
        levels = self.data.get("levels", {})
        if level == "dataflow":
            return f"{parts}.dataflow"
        if level not in levels:
            return f"{parts}.levels" if level else parts
        loops = levels[level].get("loops", [])
        if loop in loops:
            return f"{parts}.levels.{level}.loops[{loops.index(loop)}]"
        return f"{parts}.levels.{level}"

    def loops(self) -> dict[str, list[NestLoop]]:
        """Loops by level, outermost first, as they are written."""
        levels = self.data["levels"]
        return {
            name: [read_loop(text) for text in levels[name].get("loops", ())]
            for name in LEVELS
            if name in levels
        }

    @contextmanager
    def located(self) -> Iterator[None]:
        """Reasons to refuse the nest with their place in the description."""
        try:
            yield
        except Unmappable as error:
            at = self.path(error.details.get("level", "buffer"), error.details.get("loop", ""))
            details = {**error.details, "path": at}
            raise Unmappable(
                error.message, code=error.code, help=error.help, details=details
            ) from None

    def nest(self, view: Problem, target: NestTarget) -> NestMapping:
        """The nest on a spatial array.

        Raises:
            Unmappable: with the reason, and its place.
        """
        with self.located():
            for level in self.data["levels"].values():
                for kept in level.get("keep", ()):
                    if " over " in kept:
                        raise Unmappable(
                            f"{view.op.name}: {kept}: a level of {target.engine} keeps one tile "
                            "of an operand",
                            details={"level": "buffer"},
                            help=f"write `{kept.split()[0]}`; the order of loops says how long "
                            "it stays",
                        )
            nest = nest_from_data(self.data, view, target.engine, self.rule.dataflow)
            check_cuts(view.op.name, nest.ranks, self.loops())
            depth = dict.fromkeys(OPERANDS, target.depth) | dict(nest.depth)
            depth.pop("partial", None)
            nest = replace(nest, depth=depth)
            nest.check(target)
            check_label(self.rule.dataflow, nest)
        return nest


def written(stage: Stage, room: Room) -> Written | None:
    """The nest that the first rule for a stage gives, where one does."""
    op = stage.ops[0]
    if not op.is_mac:
        return None
    for i, rule in enumerate(room.machine.spec.mapping):
        if rule.nest is not None and selects(rule.ops, stage.path, op.op_class):
            room.used.add(f"mapping[{i}]")
            return Written(i, rule.nest, stage.path)
    return None


def refuse_elsewhere(stage: Stage, room: Room) -> None:
    """Refuse a nest for an engine whose work is not cut by one.

    Raises:
        Unmappable: with the place of the nest.
    """
    engine = stage.engine
    if isinstance(engine, MacEngine) and not isinstance(engine, KernelEngine | SpatialPipeline):
        return
    given = written(stage, room)
    if given is not None:
        raise Unmappable(
            f"{stage.path}: a {stage.engine.kind} cuts its work by itself, and takes no nest",
            code="E302",
            help="nests are for systolic_array and spatial_array",
            details={"path": given.path()},
        )
