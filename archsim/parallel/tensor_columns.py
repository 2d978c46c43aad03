"""Tensor parallelism with a device that leads: the others only hold columns of its matrices.

Source: Gu et al., CENT (ASPLOS 2025), section 5.3, and its simulator. The first device of the axis
does all but products with weights. It broadcasts what one reads, every device multiplies by its
columns, and the first one gathers what they yield.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archsim.ir.collective import Pattern
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role
from archsim.parallel.held import Held, Rewrite, passing, restacked
from archsim.parallel.limits import LATENT
from archsim.parallel.refusal import refused
from archsim.parallel.shape import Shape

LED = "columns"


def leads(plan: ParallelPlan) -> bool:
    """Whether the first device of the tensor axis does what the others do not."""
    return plan.layout == LED and plan.tensor > 1


def check_led(plan: ParallelPlan, shape: Shape, graph: OpGraph) -> None:
    """Refuse a layout by columns for what is not a dense decoder.

    Raises:
        InputError: E203.
    """
    if not leads(plan):
        return
    latent = any(op.op_class == "qkv_proj" and op.name.endswith(LATENT) for _, op in graph.ops())
    if shape.experts or shape.trains or latent or not shape.heads:
        raise refused("layout: columns is of inference of dense models with keys of their own",
                      "layout: 1d")  # fmt: skip
    for key in ("sequence", "attention"):
        if getattr(plan, key) != type(plan).model_fields[key].default:
            raise refused(f"{key}: with layout: columns the first device has all of attention and "
                          "norms", f"leave {key} out")  # fmt: skip


def led(graph: OpGraph, plan: ParallelPlan, place: int) -> OpGraph:
    """The graph of the device at a place of the tensor axis."""
    return Led(graph, plan.ways("tensor"), first=place == 0).run()


class Led(Rewrite):
    """The pass at work.

    Args:
        graph: of all devices of the axis together.
        ways: how many they are.
        first: whether the device leads.
    """

    def __init__(self, graph: OpGraph, ways: int, *, first: bool) -> None:
        super().__init__(graph, "tensor", ways)
        self.first = first

    def run(self) -> OpGraph:
        """The graph of one device."""
        made = [self._block(block) for block in self.blocks()]
        return self.finish(block for block in made if block.ops)

    def _block(self, block: Block) -> Block:
        for op in block.ops:
            for part in self._rule(op):
                self.out.append(part)  # exchanges may be put between
            if op.op_class == "lm_head":  # the next token is chosen among all logits
                self._gathered(op.writes[0])
        if self.first:
            return replace(block, ops=tuple(self.out))
        return replace(block, ops=tuple(self.out), carry=())

    def _rule(self, op: Op) -> Iterator[Op]:
        matrix = op.kind is Kind.GEMM and self.before[op.reads[1].tensor].role is Role.WEIGHT
        if matrix:
            return self._product(op)
        return iter((replace(op, reads=tuple(self._gathered(a) for a in op.reads)),)
                    if self.first else self._left(op))  # fmt: skip

    def _left(self, op: Op) -> tuple[Op, ...]:
        """Nothing of an op of the first device, but that it gathers what it reads."""
        for access in op.reads:
            self._gathered(access)
        return ()

    def _apart(self, access: Access) -> bool:
        return self.of(access.tensor) is Held.COLUMNS and self._passes(access)

    def _passes(self, access: Access) -> bool:
        return self.before[access.tensor].role not in (Role.WEIGHT, Role.KV_CACHE)

    def _product(self, op: Op) -> Iterator[Op]:
        """A product by columns of what is broadcast."""
        source, weight, *bias = op.reads
        read = self._broadcast(self._gathered(source))
        widths = []
        for access in op.writes:
            tensor = self.before[access.tensor]
            rows = op.ranks["M"]
            wide = -(-(tensor.elements // rows) // self.ways)
            self.put(access.tensor, Held.COLUMNS, (rows, wide))
            widths.append(wide)
        wide = sum(widths)
        own = [self.split_weight(a, "N", wide, -1) for a in (weight, *bias)]
        writes = restacked(op.writes, widths)
        yield replace(op, ranks={**op.ranks, "N": wide}, reads=(read, *own), writes=writes)

    def _gathered(self, access: Access) -> Access:
        """An access to what the first device has gathered of columns."""
        name = access.tensor
        if not self._apart(access):
            return access
        if (name, Held.WHOLE) not in self._turned:
            self._turned[name, Held.WHOLE] = self._exchanged(name, "gather", "gathered")
        return replace(access, tensor=self._turned[name, Held.WHOLE])

    def _broadcast(self, access: Access) -> Access:
        """An access to what the first device has sent to all."""
        name = access.tensor
        key = (name, Held.ROWS)
        if key not in self._turned:
            self._turned[key] = self._exchanged(name, "broadcast", "sent")
        return replace(access, tensor=self._turned[key])

    def _exchanged(self, name: str, pattern: Pattern, suffix: str) -> str:
        whole = self.before[name]
        result = passing(whole, f"{name}.{suffix}")
        self.before = {**self.before, result.name: result}
        width = whole.shape[-1]
        maker, ends = self._makers.get(name, name), (name, result.name)
        size = whole.elements // width, width
        self.exchange(f"{maker}.{pattern}", pattern, ends, size, whole.bytes)
        return result.name
