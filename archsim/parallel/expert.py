"""Expert parallelism: experts are dealt out whole, and tokens travel to them and back.

Sources: Lepikhin et al., GShard (2021), for the two all-to-alls; He et al., FasterMoE (2022), for
experts with most tokens that every device holds too, whose tokens stay at home. Everything but
experts' matrices is a copy with its share of the batch. Assumed: the tokens of each expert come
from all devices alike, to within one.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from math import ceil, gcd

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role, Tensor
from archsim.parallel.batch import long_shapes
from archsim.parallel.experts import loads, with_loads
from archsim.parallel.held import exchange, with_facts
from archsim.parallel.mixed import MixedRows, MixedStep
from archsim.parallel.rows import row_op, row_shape
from archsim.parallel.shape import Shape


@dataclass
class Routes:
    """Where the tokens of one layer go.

    Attributes:
        held: tokens by (device, expert), before they travel.
        local: experts that every device holds.
        owner: device of each expert.
        ways: devices.
        tables: bytes from each device to each, by direction and bytes of a token, as asked for.
    """

    held: dict[tuple[int, int], int]
    local: frozenset[int]
    owner: dict[int, int]
    ways: int
    tables: dict[tuple[bool, int], tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def _computed(self) -> dict[int, Counter[int]]:
        """Tokens by expert, by the device that computes them."""
        found: dict[int, Counter[int]] = defaultdict(Counter)
        for (source, expert), n in self.held.items():
            found[source if expert in self.local else self.owner[expert]][expert] += n
        return found

    def mine(self, device: int) -> dict[int, int]:
        """Tokens by expert that a device computes."""
        return dict(self._computed.get(device, {}))

    def sent(self, token_bytes: int) -> tuple[int, ...]:
        """Bytes that each device has for each, row by row."""
        return self._bytes(False, token_bytes)

    def returned(self, token_bytes: int) -> tuple[int, ...]:
        """Bytes on the way back."""
        return self._bytes(True, token_bytes)

    def _bytes(self, back: bool, token_bytes: int) -> tuple[int, ...]:
        key = (back, token_bytes)
        if key not in self.tables:
            rows = zip(*self._rows, strict=True) if back else self._rows
            self.tables[key] = tuple(n * token_bytes for row in rows for n in row)
        return self.tables[key]

    @cached_property
    def _rows(self) -> list[list[int]]:
        """Tokens that a device has for another, itself included."""
        rows = [[0] * self.ways for _ in range(self.ways)]
        for (source, expert), n in self.held.items():
            rows[source][source if expert in self.local else self.owner[expert]] += n
        return rows


def expert_parallel(
    graph: OpGraph,
    plan: ParallelPlan,
    shape: Shape,
    index: int,
    known: dict[tuple[str, str], Routes],
) -> tuple[OpGraph, Shape]:
    """The graph of one device of the expert axis, and its sizes.

    Args:
        graph: of all devices of the axis together.
        plan: the plan.
        shape: of the graph.
        index: which device.
        known: routes of layers, by block and op, as devices before this one have found them.
    """
    if plan.expert == 1:
        return graph, shape
    step = MixedStep.of(graph, plan.expert)
    tokens = shape.tokens // plan.expert if step is None else step.tokens(index)
    parts = () if step is None else (len(step.decodes[index]), *shape.part_batch[1:])
    batch = shape.batch // plan.expert
    fewer = replace(shape, batch=batch, tokens=tokens, part_batch=parts)
    return _Experts(graph, plan, shape, index, known, step).run(), fewer


def routes_of(
    op: Op, plan: ParallelPlan, experts: int, tokens: tuple[int, ...] | None = None
) -> Routes:
    """Where the tokens of an expert product go under a plan.

    Args:
        op: over all tokens.
        plan: the plan.
        experts: of a layer.
        tokens: new tokens of each device, where these differ.
    """
    ways, wanted = plan.expert, loads(op)
    uneven = None if tokens is None else _drawn(tokens, sum(n for _, n in wanted))
    if plan.capacity_factor is not None:
        most = ceil(plan.capacity_factor * sum(n for _, n in wanted) / experts)
        wanted = [(e, min(n, most)) for e, n in wanted]
    held: dict[tuple[int, int], int] = {}
    before = 0
    for expert, n in wanted:
        for device in range(ways):
            mine = (before + n - 1 - device) // ways - (before - 1 - device) // ways
            if uneven is not None:
                mine = uneven[before : before + n].count(device)
            if mine:
                held[device, expert] = mine
        before += n
    hot = sorted(wanted, key=lambda pair: (-pair[1], pair[0]))[: plan.shadow_experts]
    owner = {e: e // (experts // ways) for e, _ in wanted}
    return Routes(held, frozenset(e for e, _ in hot), owner, ways)


def _drawn(tokens: tuple[int, ...], slots: int) -> list[int]:
    """The device of each slot: as many as it has tokens, spread as evenly as a golden step does."""
    ends = [slots * sum(tokens[: i + 1]) // sum(tokens) for i in range(len(tokens))]
    step = next(s for s in count(round(slots * 0.618) or 1) if gcd(s, slots) == 1)
    return [bisect(ends, slot * step % slots) for slot in range(slots)]


def dropped(graph: OpGraph, plan: ParallelPlan, experts: int) -> tuple[int, int]:
    """Tokens of all layers that find no room with an expert, and all that look for some."""
    lost = total = 0
    for block, op in graph.ops():
        if op.op_class == "moe_expert" and op.name.endswith("down"):
            every = sum(n for _, n in loads(op))
            total += block.count * every
            lost += block.count * (every - sum(routes_of(op, plan, experts).held.values()))
    return lost, total


class _Experts:
    """The pass at work, for one device."""

    def __init__(
        self,
        graph: OpGraph,
        plan: ParallelPlan,
        shape: Shape,
        index: int,
        known: dict[tuple[str, str], Routes],
        step: MixedStep | None,
    ) -> None:
        self.known, self.step = known, step
        self.mixed = None if step is None else MixedRows(step, graph, index)
        self.graph, self.plan, self.shape, self.index = graph, plan, shape, index
        self.ways = plan.expert
        self.tensors = dict(graph.tensors)
        self.shapes = {} if step else long_shapes(graph, self.ways, index, shape.batch)
        self.inner: dict[str, int] = {}  # rows of tensors that experts hold

    def run(self) -> OpGraph:
        blocks = tuple(self._block(block) for block in self.graph.blocks)
        tensors = {
            name: replace(t, shape=self.shapes.get(name, t.shape))
            for name, t in self.tensors.items()
        }
        return with_facts(replace(self.graph, blocks=blocks, tensors=tensors))

    def _block(self, block: Block) -> Block:
        ops: list[Op] = []
        routes: Routes | None = None
        for op in block.ops:
            if op.op_class == "moe_expert":
                if routes is None:
                    key = (block.name, op.name)
                    if key not in self.known:
                        tokens = self.step.all_tokens if self.step else None
                        self.known[key] = routes_of(op, self.plan, self.shape.experts, tokens)
                    routes = self.known[key]
                    ops += self._dispatch(ops.pop(), op, routes)
                ops.append(self._expert(op, routes))
                if op.name.endswith("down"):
                    ops.append(self._return(op, routes))
                    routes = None
            elif op.op_class == "activation" and op.reads[0].tensor in self.inner:
                ops.append(self._inside(op))
            else:
                ops += self._rows(op)
        return replace(block, ops=tuple(ops))

    def _rows(self, op: Op) -> list[Op]:
        """A share of the sequences of an op outside the experts, if it has any."""
        if self.mixed is not None:
            own = self.mixed.op(op)
            if own is None:
                return []
            found, shapes = own, self.mixed.shapes(own)
        else:
            found, shapes = row_op(op, self.tensors, self.ways, self.index, self.shape.batch)
        for name, size in shapes.items():
            if name not in self.inner:
                self.shapes.setdefault(name, size)
        reads = tuple(
            replace(a, tensor=f"{a.tensor}.returned", dims=()) if a.tensor in self.inner else a
            for a in found.reads
        )
        return [replace(found, reads=reads)]

    def _own(self, tensor: Tensor) -> tuple[int, ...]:
        """Shape of a device's own tokens in the order of their experts."""
        if self.mixed is not None:
            return self.mixed.rows(tensor.shape[0]), *tensor.shape[1:]
        return row_shape(tensor, self.ways)

    def _tensor(self, name: str, like: str, shape: tuple[int, ...]) -> Tensor:
        made = replace(self.tensors[like], name=name, shape=shape)
        self.tensors[name] = made
        self.shapes[name] = shape
        return made

    def _dispatch(self, permute: Op, op: Op, routes: Routes) -> list[Op]:
        """Tokens in the order of their experts, sent to where these are."""
        name = op.reads[0].tensor
        tensor = self.graph.tensors[name]
        width = tensor.shape[-1]
        mine = self._mine(routes)
        own = self._tensor(f"{name}.own", name, self._own(tensor))
        self.shapes[name] = (mine, width)
        self.inner[name] = mine
        token = tensor.dtype.bytes(width)
        sent = routes.sent(token)
        send = exchange(
            f"{op.name.rpartition('.')[0]}.dispatch", "all_to_all", (own.name, name),
            (own.shape[0], width), "expert", self.ways, own.bytes, sent=sent,
        )  # fmt: skip
        writes = (replace(permute.writes[0], tensor=own.name),)
        return [replace(permute, writes=writes), send]

    def _mine(self, routes: Routes) -> int:
        return max(1, sum(routes.mine(self.index).values()))

    def _expert(self, op: Op, routes: Routes) -> Op:
        """A product for the experts of a device."""
        held = self.shape.experts // self.ways
        mine = routes.mine(self.index)
        here = set(range(self.index * held, (self.index + 1) * held))
        held += len(routes.local - here)
        for access in op.reads:
            tensor = self.graph.tensors[access.tensor]
            if tensor.role is Role.WEIGHT:
                self.shapes[tensor.name] = (held, *tensor.shape[1:])
        for access in op.writes:
            self._inner(access.tensor, self._mine(routes))
        return with_loads(op, self.graph.tensors, mine.items(), held)

    def _inner(self, name: str, rows: int) -> None:
        self.inner[name] = rows
        self.shapes[name] = (rows, *self.graph.tensors[name].shape[1:])

    def _inside(self, op: Op) -> Op:
        """A vector op on what experts hold."""
        rows = self.inner[op.reads[0].tensor]
        for access in op.writes:
            self._inner(access.tensor, rows)
        return replace(op, ranks={**op.ranks, "M": rows})

    def _return(self, op: Op, routes: Routes) -> Op:
        """What experts yield, sent back to where the tokens came from."""
        name = op.writes[0].tensor
        tensor = self.graph.tensors[name]
        width = tensor.shape[-1]
        back = self._tensor(f"{name}.returned", name, self._own(tensor))
        token = tensor.dtype.bytes(width)
        sent = routes.returned(token)
        mine = self._mine(routes)
        return exchange(
            f"{op.name.rpartition('.')[0]}.return", "all_to_all", (name, back.name),
            (mine, width), "expert", self.ways, mine * token, sent=sent,
        )  # fmt: skip
