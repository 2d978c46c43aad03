"""Whole experts dealt over the tensor axis: each device computes its own, for all tokens.

Source: Yun et al., Duplex (MICRO 2024), section V: experts whole on devices whose other matrices
are shared, so that one all-reduce adds up what experts yield, as it adds up terms elsewhere. Where
there are more devices than experts, those of one expert share its matrices, columns then rows. What
travels along the expert axis is only what a device's own experts take. Devices differ by the tokens
that fall on them; one without any has no product at all.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role
from archsim.parallel.expert import Routes
from archsim.parallel.experts import loads, with_loads
from archsim.parallel.held import with_facts
from archsim.parallel.shape import Shape


def deals(plan: ParallelPlan, shape: Shape) -> bool:
    """Whether a plan deals the experts of a model over its tensor axis."""
    return plan.experts == "dealt" and plan.tensor > 1 and shape.experts > 0


def dealt_experts(
    graph: OpGraph,
    plan: ParallelPlan,
    shape: Shape,
    place: tuple[int, int],
    known: dict[tuple[str, str], Routes],
) -> OpGraph:
    """A graph with the experts of one device of the tensor axis; all else is as it was.

    Args:
        graph: of one device of the expert axis.
        plan: the plan.
        shape: of the graph.
        place: of the device along the expert axis, and along the tensor axis.
        known: routes of layers along the expert axis, by block and op.
    """
    if not deals(plan, shape):
        return graph
    return _Dealt(graph, plan, shape, place, known).run()


def experts_at(plan: ParallelPlan, experts: int, place: tuple[int, int]) -> range:
    """Numbers of the experts that a device has, by its place along both axes."""
    here = experts // plan.expert  # of a place of the expert axis
    held = max(1, here // plan.tensor)
    first = place[0] * here + place[1] * here // plan.tensor
    return range(first, first + held)


def sharers(plan: ParallelPlan, experts: int) -> int:
    """Devices that share the matrices of one expert."""
    return max(1, plan.tensor // (experts // plan.expert))


class _Dealt:
    """The pass at work, for one device."""

    def __init__(
        self,
        graph: OpGraph,
        plan: ParallelPlan,
        shape: Shape,
        place: tuple[int, int],
        known: dict[tuple[str, str], Routes],
    ) -> None:
        self.graph, self.plan, self.place, self.known = graph, plan, place, known
        self.experts, self.mine = shape.experts, experts_at(plan, shape.experts, place)
        self.ways = sharers(plan, shape.experts)
        self.sizes: dict[str, tuple[int, ...]] = {}

    def run(self) -> OpGraph:
        blocks = tuple(self._block(block) for block in self.graph.blocks)
        names = {a.tensor for b in blocks for op in b.ops for a in (*op.reads, *op.writes)}
        names |= {name for block in blocks for pair in block.carry for name in pair}
        tensors = {
            name: replace(t, shape=self.sizes.get(name, t.shape))
            for name, t in self.graph.tensors.items() if name in names
        }  # fmt: skip
        return with_facts(replace(self.graph, blocks=blocks, tensors=tensors))

    def _block(self, block: Block) -> Block:
        first = next((op for op in block.ops if op.op_class == "moe_expert"), None)
        if first is None:
            return block
        found = {e: n for e, n in loads(first) if e in self.mine}
        inside = sum(found.values())  # rows of the device's experts
        own, routes = inside, self.known.get((block.name, first.name))
        if routes is not None:
            held = {key: n for key, n in routes.held.items() if self._here(key[1], routes)}
            routes = Routes(held, frozenset(), routes.owner, routes.ways)
            own = sum(n for (source, _), n in held.items() if source == self.place[0])
        elif not inside:
            return replace(block, ops=_without(block.ops))
        rows = {"own": max(1, own), "inside": max(1, inside)}
        return replace(block, ops=tuple(self._op(op, found, rows, routes) for op in block.ops))

    def _here(self, expert: int, routes: Routes) -> bool:
        """Whether an expert of any place along the expert axis has this place along the other."""
        place = (routes.owner[expert], self.place[1])
        return expert in experts_at(self.plan, self.experts, place)

    def _op(self, op: Op, found: dict[int, int], rows: dict[str, int], routes: Routes | None) -> Op:
        if op.op_class == "moe_permute":
            return self._rowed(op, rows["own"])
        if op.op_class == "comm_expert" and routes is not None:
            return self._sent(op, rows, routes)
        if op.op_class == "moe_expert":
            return self._expert(op, found, rows["inside"])
        if op.op_class == "activation" and op.reads[0].tensor in self.sizes:
            op = self._rowed(op, rows["inside"], self.ways)
            return replace(op, ranks={**op.ranks, "N": op.ranks["N"] // self.ways})
        if op.op_class == "moe_combine":
            return self._combined(op, rows["own"])
        return op

    def _rowed(self, op: Op, rows: int, ways: int = 1) -> Op:
        """An op over so many rows of what experts take or yield."""
        for access in op.writes:
            *_, width = self.graph.tensors[access.tensor].shape
            self.sizes[access.tensor] = (rows, width // ways)
        source, *more = op.reads
        if source.tensor not in self.sizes:  # tokens of which some are taken: each once at most
            tensor = self.graph.tensors[source.tensor]
            few = rows * tensor.shape[-1]
            source = replace(source, touched=None if few >= tensor.elements else few)
        return replace(op, ranks={**op.ranks, "M": rows}, reads=(source, *more))

    def _sent(self, op: Op, rows: dict[str, int], routes: Routes) -> Op:
        """Rows to and from the device's experts along the expert axis."""
        back = op.name.endswith("return")
        given, got = (rows["inside"], rows["own"]) if back else (rows["own"], rows["inside"])
        tensor = self.graph.tensors[op.writes[0].tensor]
        width = tensor.shape[-1]
        self.sizes[tensor.name] = (got, width)
        token = tensor.dtype.bytes(width)
        assert op.collective is not None
        sent = routes.returned(token) if back else routes.sent(token)
        few = replace(op.collective, size_bytes=given * token, sent_bytes=sent)
        return replace(op, ranks={**op.ranks, "M": given}, collective=few)

    def _expert(self, op: Op, found: dict[int, int], rows: int) -> Op:
        """A product for a device's experts: by columns, then rows, where several share one."""
        rank = "K" if op.name.endswith("down") else "N"
        op = replace(op, ranks={**op.ranks, rank: op.ranks[rank] // self.ways})
        for access in op.reads:
            tensor = self.graph.tensors[access.tensor]
            if tensor.role is Role.WEIGHT:
                ranks = "BKN" if len(tensor.shape) == 3 else "BN"  # a matrix, or a bias
                parts = (self.ways if r == rank else 1 for r in ranks[1:])
                shape = (n // k for n, k in zip(tensor.shape[1:], parts, strict=True))
                self.sizes[tensor.name] = (len(self.mine), *shape)
        for access in op.writes:
            width = self.graph.tensors[access.tensor].shape[-1]
            self.sizes[access.tensor] = (rows, width // (self.ways if rank == "N" else 1))
        local = {
            a.tensor: replace(self.graph.tensors[a.tensor], shape=self.sizes[a.tensor])
            for a in op.reads if self.graph.tensors[a.tensor].role is Role.WEIGHT
        }  # fmt: skip
        return with_loads(op, {**self.graph.tensors, **local}, found.items(), len(self.mine))

    def _combined(self, op: Op, rows: int) -> Op:
        """The sum of what a device's experts yield: as many terms a token as it has on average."""
        tokens = op.ranks["M"]
        top = self.graph.tensors[op.reads[1].tensor].shape[-1]
        terms = min(top, -(-rows // tokens))
        fewer = top - terms
        work = {name: n - fewer for name, n in op.primitives.items() if n > fewer}
        return replace(op, primitives=work)


def _without(ops: tuple[Op, ...]) -> tuple[Op, ...]:
    """Ops of a device on whose experts no token falls: what is shared, if anything, remains."""
    gone: set[str] = set()
    left: list[Op] = []
    for op in ops:
        lost = op.op_class in ("moe_permute", "moe_expert")
        if lost or (op.op_class == "activation" and op.reads[0].tensor in gone):
            gone |= {a.tensor for a in op.writes}
            continue
        reads: tuple[Access, ...] = tuple(a for a in op.reads if a.tensor not in gone)
        left.append(replace(op, reads=reads))
    return tuple(left)
