"""What mappings of cascades share: which cascade, what runs where, and one case after the other.

What an Einsum takes and counts is in `_cascade_bench`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from archsim.core.errors import Unmappable
from archsim.dataflows._cascade_bench import Bench
from archsim.dataflows.base import Dataflow
from archsim.ir.attention_problem import AttentionProblem
from archsim.ir.cascade import PRIMITIVES, Cascade, Nest
from archsim.ir.cascade_mapping import CascadeMapping, Place, Sweep
from archsim.ir.cascade_target import CascadeTarget, Tiling
from archsim.ir.mapping import Mapping as PlainMapping
from archsim.ir.problem import Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.dataflows._nest_fit import Fit
    from archsim.ir.nest_check import NestTarget


class CascadeDataflow(Dataflow):
    """A mapping of whole attentions as a cascade; a subclass says which and what runs where.

    `chained`: lanes are a pipeline of functional units, so that arithmetic of one Einsum takes as
    long as its slowest primitive; without it primitives follow each other.
    """

    stages: ClassVar[str] = "cascade"
    cascade: ClassVar[Cascade]
    where: ClassVar[Mapping[str, Place]]
    chained: ClassVar[bool] = False
    kept: ClassVar[frozenset[str]] = frozenset()  # tensors made inside that lie in the buffer
    # what an Einsum takes from the one before it without a visit to the buffer
    passed_on: ClassVar[frozenset[tuple[str, str]]] = frozenset()

    def search(self, problem: Problem, target: Target) -> tuple[tuple[float, ...], PlainMapping]:
        """Refuses: one product is no attention.

        Raises:
            Unmappable: always.
        """
        raise Unmappable(
            f"{problem.op.name}: {self.kind} maps scores, softmax and values as one",
            code="E302",
            help=f"{{ops: attention, dataflow: {self.kind}}}",
        )

    def search_nest(self, problem: Problem, target: NestTarget) -> Fit:
        """Refuses too: on a spatial array it maps attentions, never one product.

        Raises:
            Unmappable: always.
        """
        op = problem.op
        raise Unmappable(
            f"{op.name}: {self.kind} maps an attention, and {op.name} is a {op.kind}",
            code="E302",
            help=f"{{ops: attention, dataflow: {self.kind}}}",
        )

    def map_cascade(
        self, problem: AttentionProblem, target: CascadeTarget, tiling: Tiling
    ) -> CascadeMapping:
        """The mapping, with what `tiling` leaves open chosen by the rule of the template.

        Raises:
            Unmappable: when the array cannot do its part, or no tile fits the buffer.
        """
        self._able(problem, target)
        found = [self._case(Bench(self, problem, case, target, tiling)) for case in problem.cases]
        sweeps = tuple(s for _, some, _ in found for s in some)
        counts = [s.counts.get("array", {}) for s in sweeps]
        return CascadeMapping(
            name=problem.name,
            dataflow=self.kind,
            problem=problem,
            engine=target.engine,
            vector=target.vector,
            cascade=self.cascade,
            where=self.where,
            nests=tuple(nest for nest, _, _ in found),
            sweeps=sweeps,
            kept=self.kept,
            room_bytes=max(room for _, _, room in found),
            slots=sum(c["array.slots"] for c in counts if c),
            array_cycles=sum(c["array.cycles"] for c in counts if c),
            elements=target.rows * target.cols * target.count,
        )

    def _able(self, problem: AttentionProblem, target: CascadeTarget) -> None:
        for name, place in self.where.items():
            einsum = self.cascade.of(name)
            if place.unit == "lanes" or einsum.is_mac:
                continue
            lacking = set(PRIMITIVES[einsum.operation]) - set(target.element_cycles)
            if lacking:
                raise Unmappable(
                    f"{problem.name}: {self.kind} runs {name} on {target.engine}, whose elements "
                    f"do not perform {', '.join(sorted(lacking))}",
                    code="E302",
                    help=f"engines.{target.engine}.cycles_per_primitive, or another dataflow",
                )

    def _case(self, bench: Bench) -> tuple[Nest, tuple[Sweep, ...], int]:
        """Nest, sweeps and room of one ragged case."""
        raise NotImplementedError
