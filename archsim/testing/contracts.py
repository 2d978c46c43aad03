"""Promises that every registered plug-in keeps: test classes to inherit, or to run over a registry.

A plug-in's author writes `class TestMine(EngineContract): plugin = MyEngine` and has most tests.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from archsim.components._pim import PimEngine
from archsim.components.base import Engine
from archsim.core.errors import Unmappable
from archsim.core.yamlio import load_spec
from archsim.dataflows._cascade import CascadeDataflow
from archsim.dataflows.base import Dataflow
from archsim.energy.table import load_table
from archsim.interconnect.base import Link
from archsim.ir.attention_problem import AttentionTarget
from archsim.ir.cascade_target import Tiling
from archsim.ir.problem import problem
from archsim.ir.target import Cost, Target, Tiles
from archsim.memory.base import Memory
from archsim.memory.dram import Dram
from archsim.testing.attentions import attention_graph, problem_of
from archsim.testing.cascades import cascade_target
from archsim.testing.functional import execute
from archsim.testing.functional_attention import execute_attention
from archsim.testing.functional_cascade import execute_cascade
from archsim.testing.problems import conv, gemm


class PartContract:
    """What every kind that a machine description can name promises."""

    plugin: ClassVar[Any]

    def test_its_example_loads_and_comes_back_from_its_own_dump(self) -> None:
        """Load, dump, load is identity."""
        spec, _ = load_spec(self.plugin.example(), self.plugin.Spec)
        again, _ = load_spec(spec.to_data(), self.plugin.Spec)
        assert again == spec

    def test_every_field_says_what_it_means(self) -> None:
        """Field docs are the reference manual."""
        missing = [n for n, f in self.plugin.Spec.model_fields.items() if not f.description]
        assert [n for n in missing if n != "kind"] == []

    def test_it_says_in_one_sentence_what_it_is(self) -> None:
        """`archsim list` prints the first line of the docstring."""
        assert (self.plugin.__doc__ or "").strip().split("\n")[0].endswith(".")


class EngineContract(PartContract):
    """What an engine promises."""

    plugin: ClassVar[type[Engine]]

    def engine(self) -> Engine:
        """The example, on a clock of 1 GHz, in a memory where it is built into one."""
        spec, _ = load_spec(self.plugin.example(), self.plugin.Spec)
        part = self.plugin("part", spec, 1e9)
        if isinstance(part, PimEngine):
            part.bind(Dram("dram", load_spec(part.MEMORY, Dram.Spec)[0], 1e9))
        return part

    def test_its_area_and_leakage_come_from_the_table(self) -> None:
        """Area is positive in every table, and silicon leaks."""
        for name in ("45nm", "7nm"):
            assert self.engine().area_mm2(load_table(name)) > 0
            assert self.engine().leakage_w(load_table(name)) >= 0

    def test_its_actions_have_rows_in_every_table(self) -> None:
        """An action without a row is refused when it is named, never free."""
        for name in ("45nm", "7nm"):
            table = load_table(name)
            for component, action in self.plugin.ACTIONS:
                if action != "*" and component != "sram":
                    assert table.of(component, action).source

    def test_it_names_the_op_kinds_it_runs(self) -> None:
        """An engine that runs nothing is no engine."""
        assert self.plugin.KINDS


class MemoryContract(PartContract):
    """What a memory promises."""

    plugin: ClassVar[type[Memory]]

    def memory(self) -> Memory:
        """The example, on a clock of 1 GHz."""
        spec, _ = load_spec(self.plugin.example(), self.plugin.Spec)
        return self.plugin("part", spec, 1e9)

    def test_a_transfer_takes_bytes_over_bandwidth_rounded_up(self) -> None:
        """The closed form, and never no time at all."""
        memory = self.memory()
        for size in (1, 64, 4097, 10**9):
            exact = size * 10**12 / memory.bytes_per_s
            assert exact <= memory.transfer_ps(size) < exact + 2

    def test_it_delivers_no_more_than_its_peak(self) -> None:
        """Efficiency is a share."""
        assert 0 < self.memory().bytes_per_s <= self.memory().peak_bytes_per_s


class LinkContract(PartContract):
    """What a mover promises: only what every part does."""

    plugin: ClassVar[type[Link]]


class DataflowContract:
    """What a mapping template promises, shown on a plain, a ragged-edged and a windowed op."""

    plugin: ClassVar[type[Dataflow]]
    CASES: ClassVar[tuple[Any, ...]] = (
        gemm(1, 16, 16, 16),
        gemm(2, 13, 7, 29),
        conv(1, 1, 5, 3, (9, 8), 3, (2, 1, 1)),
        conv(1, 4, 1, 1, (8, 8), 3, (1, 1, 1)),
    )

    def target(self, buffer_bytes: int) -> Target:
        """A 4 x 4 array that costs one cycle a multiply-accumulate row."""

        def cost(tiles: Tiles) -> Cost:
            cycles = tiles.b * tiles.m * tiles.n * tiles.k // 16 + 1
            zero = np.zeros_like(cycles)
            return Cost(cycles, zero, zero, zero, zero, zero, zero)

        return Target("array", 4, 4, 1, 1e9, buffer_bytes, 1e9, cost=cost)

    def test_its_mappings_compute_the_op_and_move_what_they_say(self) -> None:
        """The same object that is timed is executed, tile by tile."""
        for op, tensors in self.CASES:
            view = problem(op, tensors, 32)
            for buffer_bytes in (200, 10**6):
                try:
                    mapping = self.plugin().map(view, self.target(buffer_bytes))
                except Unmappable:
                    assert buffer_bytes == 200
                    continue
                entered = execute(mapping)
                for operand, tiles in entered.items():
                    assert tiles == sum(mapping.transfers(operand, e) for e in view.cases)

    def test_its_nest_prints(self) -> None:
        """`archsim map` shows it."""
        op, tensors = self.CASES[0]
        text = self.plugin().map(problem(op, tensors, 32), self.target(10**6)).render()
        assert self.plugin.kind in text


class LineContract(DataflowContract):
    """What a template for one-dimensional depthwise convolutions promises: it takes no others."""

    CASES = (
        conv(1, 5, 1, 1, (9, 7), (1, 3), (1, 1, 1)),
        conv(2, 3, 1, 1, (8, 6), (3, 1), (1, 1, 1)),
        conv(2, 4, 1, 1, (11, 12), (1, 5), (2, 1, 2)),
        conv(1, 3, 1, 1, (12, 11), (3, 1), (2, 2, 0)),
    )
    OTHERS: ClassVar[tuple[Any, ...]] = (
        *DataflowContract.CASES,
        conv(1, 4, 2, 1, (8, 8), (1, 3), (1, 1, 1)),
        conv(1, 2, 1, 3, (8, 8), (3, 1), (1, 1, 1)),
        conv(1, 4, 1, 1, (8, 8), 1, (1, 1, 0)),
    )

    def test_it_refuses_everything_else(self) -> None:
        """Two dimensions, several channels or filters a group, a single tap, a product."""
        for op, tensors in self.OTHERS:
            try:
                self.plugin().map(problem(op, tensors, 32), self.target(10**6))
            except Unmappable:
                continue
            raise AssertionError(f"{op.name} of {op.ranks} is mapped")


class AttentionContract:
    """What a template for whole attentions promises: grouped, masked and latent ones."""

    plugin: ClassVar[Any]
    CASES: ClassVar[tuple[Any, ...]] = (
        attention_graph(2, 4, 1, ((40, 2),), (8, 8)),
        attention_graph(2, 2, 24, ((30, 2),), (8, 4), causal=True),
        attention_graph(1, 1, 24, ((24, 1),), (8, 4), causal=True, reach=7),
        attention_graph(2, 4, 1, ((13, 1), (40, 1)), (8, 5), one_cache=True),
    )

    def target(self, buffer_bytes: int) -> AttentionTarget:
        """A 4 x 4 array and a vector unit that take a cycle for each 16 of anything."""

        def cost(tiles: Tiles) -> Cost:
            cycles = tiles.b * tiles.m * tiles.n * tiles.k // 16 + 1
            zero = np.zeros_like(cycles)
            return Cost(cycles, zero, zero, zero, zero, zero, zero)

        def vector(points: Any, rows: Any) -> Any:
            return (points + rows) // 16 + 1

        return AttentionTarget(
            "array", 4, 4, 1, 1e9, 1e9, buffer_bytes, 1e9, 1e-7, 2, frozenset(),
            score=cost, value=cost, softmax=vector, join=vector, finish=vector,
        )  # fmt: skip

    def test_its_mappings_compute_attention_and_move_what_they_say(self) -> None:
        """The same object that is timed is executed, tile by tile."""
        for graph in self.CASES:
            problem = problem_of(graph)
            for buffer_bytes in (100, 2000, 10**6):
                try:
                    mapping = self.plugin().map_attention(problem, self.target(buffer_bytes))
                except Unmappable:
                    assert buffer_bytes == 100
                    continue
                assert mapping.room_bytes() <= buffer_bytes
                assert execute_attention(mapping) == mapping.traffic()

    def test_its_nest_prints(self) -> None:
        """`archsim map` shows it."""
        mapping = self.plugin().map_attention(problem_of(self.CASES[1]), self.target(2000))
        assert self.plugin.kind in mapping.render()

    def test_it_refuses_a_product_by_itself(self) -> None:
        """A rule that sends other ops here is told so."""
        view = problem(*gemm(1, 16, 16, 16), 32)
        refused = ""
        try:
            self.plugin().map(view, DataflowContract().target(10**6))
        except Unmappable as error:
            refused = str(error)
        assert view.op.name in refused


class CascadeContract:
    """What a template that maps attention as a cascade of Einsums promises."""

    plugin: ClassVar[type[CascadeDataflow]]

    def test_its_mappings_compute_attention_in_the_room_they_say(self) -> None:
        """The same object that is timed is executed, holding no more than its footprints."""
        for graph in AttentionContract.CASES:
            problem = problem_of(graph)
            for rows, cols, room in ((4, 4, 10**6), (3, 5, 2000)):
                target = cascade_target(rows, cols, room)
                mapping = self.plugin().map_cascade(problem, target, Tiling())
                assert mapping.room_bytes <= room
                entered = execute_cascade(mapping)
                assert set(entered) == {"q", "k", "v", "out"}

    def test_it_counts_every_product_once(self) -> None:
        """Multiply-accumulates are those of the attention, wherever they run."""
        problem = problem_of(AttentionContract.CASES[1])
        counts = self.plugin().map_cascade(problem, cascade_target(4, 4, 10**6), Tiling()).counts()
        macs = problem.points * (problem.key_dim + problem.value_dim)
        assert sum(n for key, n in counts.items() if key.startswith("mac.")) == macs

    def test_its_nest_prints(self) -> None:
        """`archsim map` shows it, Einsum by Einsum."""
        problem = problem_of(AttentionContract.CASES[1])
        mapping = self.plugin().map_cascade(problem, cascade_target(4, 4, 10**6), Tiling())
        text = mapping.render()
        assert self.plugin.kind in text
        assert all(e.text() in text for e in mapping.cascade.einsums)

    def test_it_refuses_a_product_by_itself(self) -> None:
        """A rule that sends other ops here is told so."""
        view = problem(*gemm(1, 16, 16, 16), 32)
        refused = ""
        try:
            self.plugin().map(view, DataflowContract().target(10**6))
        except Unmappable as error:
            refused = str(error)
        assert view.op.name in refused
