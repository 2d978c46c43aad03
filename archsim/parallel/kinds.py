"""Devices of unlike kinds in place of one: each runs its part of the ops, and messages join them.

What each device of a plan runs is cut by kind of device, as an answer from outside says for every
op; which kind that is follows from the engines that kinds have, and is no business of this pass.
What one kind writes and another reads is sent as far as that reads it, together with all else that
is under way to it, right before it is needed. Keys and values stay where they are appended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from archsim.core.errors import InputError
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.parallel import KIND, PlanOfKinds
from archsim.ir.partition import Partition, Share
from archsim.ir.tensor import Role, Tensor
from archsim.parallel.held import exchange, with_facts

Homes = Mapping[str, int]  # kind of each op but exchanges, by `block/op`
LETTER = "letter"  # ends the name of what stands for a message at its far end


def over_kinds(
    divided: Partition, kinds: Sequence[str], homes: Callable[[OpGraph], Homes]
) -> Partition:
    """A partition over devices of each kind, where it was over as many of one kind.

    Args:
        divided: among devices that are alike.
        kinds: names, in order of the numbers of their devices.
        homes: says which kind runs each op of a device's graph.

    Raises:
        InputError: E203 for a kind without work, and for cached keys and values that one kind
            keeps and another reads.
    """
    cut = [(share, Cut(share.graph, kinds, homes(share.graph)).run()) for share in divided.shares]
    alike = divided.plan.devices
    shares = [
        Share(
            f"{name}.{share.name}" if share.name else name,
            tuple(d + k * alike for d in share.devices),
            graphs[k],
        )
        for k, name in enumerate(kinds)
        for share, graphs in cut
    ]
    for share in shares:
        share.graph.check()
    plan = PlanOfKinds(**dict(divided.plan), kinds=len(kinds))
    return Partition(plan, tuple(shares), divided.whole, divided.notes)


@dataclass
class _Way:
    """What waits to be sent from one kind to another: elements by tensor, and who wrote last."""

    elements: dict[str, int]
    maker: str = ""


class Cut:
    """The pass at work, for one device's graph."""

    def __init__(self, graph: OpGraph, kinds: Sequence[str], homes: Homes) -> None:
        self.graph, self.kinds, self.homes = graph, kinds, self._with_exchanges(graph, homes)
        self.tensors: list[dict[str, Tensor]] = [{} for _ in kinds]
        self.lists: list[list[Op]] = [[] for _ in kinds]
        self.ways: dict[tuple[int, int], _Way] = {}
        self.read = self._readers()
        self.owners = self._owners()

    def run(self) -> list[OpGraph]:
        """The graph of each kind."""
        made: list[list[Block]] = [[] for _ in self.kinds]
        for block in self.graph.blocks:
            self._enter(block)
            for op in block.ops:
                self._op(block, op)
            if block.count == 1:
                self._send_all()
            for k, ops in enumerate(self._taken()):
                if ops:
                    names = {a.tensor for op in ops for a in op.writes}
                    known = self.tensors[k]
                    carry = tuple(p for p in block.carry if p[0] in known and p[1] in names)
                    made[k].append(replace(block, ops=ops, carry=carry))
            self._send_all()  # what loops leave is sent once, behind them
            for k, ops in enumerate(self._taken()):
                if ops:
                    made[k].append(Block(f"{block.name}.sent", 1, ops))
        return [self._graph(k, blocks) for k, blocks in enumerate(made)]

    def _graph(self, kind: int, blocks: list[Block]) -> OpGraph:
        if not blocks:
            raise InputError(
                f"nothing of {self.graph.name} runs on devices of kind {self.kinds[kind]}",
                code="E203",
                help="a dispatch rule that sends ops to an engine that only they have",
                details={"path": "devices"},
            )
        return with_facts(
            replace(self.graph, blocks=tuple(blocks), tensors=self.tensors[kind])
        )  # fmt: skip

    def _with_exchanges(self, graph: OpGraph, homes: Homes) -> dict[str, int]:
        """Kinds of all ops: exchanges among alike devices go on where their operand was made."""
        found, made = dict(homes), dict[str, int]()
        for block, op in graph.ops():
            path = f"{block.name}/{op.name}"
            if op.collective is not None:
                found[path] = made.get(op.reads[0].tensor, 0)
            made |= {a.tensor: found[path] for a in op.writes}
        return found

    def _readers(self) -> dict[str, dict[int, int]]:
        """Elements of each tensor that each kind reads, all its ops together."""
        found: dict[str, dict[int, int]] = {}

        def read(kind: int, accesses: tuple[Access, ...]) -> None:
            for access in accesses:
                whole = self.graph.tensors[access.tensor].elements
                by = found.setdefault(access.tensor, {})
                by[kind] = min(whole, by.get(kind, 0) + (access.touched or whole))

        for path, op in self._paths():
            read(self.homes[path], op.reads)
        for path, op in self._paths():
            for kind, writes in self._cached(op, self.homes[path], found).items():
                read(kind, self._copied(op, writes, (self.homes[path], kind)).reads)
        return found

    def _paths(self) -> list[tuple[str, Op]]:
        return [(f"{block.name}/{op.name}", op) for block, op in self.graph.ops()]

    def _cached(
        self, op: Op, keeper: int, read: Mapping[str, Mapping[int, int]]
    ) -> dict[int, tuple[Access, ...]]:
        """Of the keys and values that an op appends, those that each other kind reads."""
        found: dict[int, tuple[Access, ...]] = {}
        for access in op.writes:
            if self.graph.tensors[access.tensor].role is Role.KV_CACHE:
                for kind in sorted({*read.get(access.tensor, {})} - {keeper}):
                    found[kind] = (*found.get(kind, ()), access)
        return found

    def _owners(self) -> dict[str, int]:
        """Kinds that write what an iteration hands to the next, by the name that this reads."""
        found = {}
        for block in self.graph.blocks:
            writer = {a.tensor: op.name for op in block.ops for a in op.writes}
            for before, after in block.carry:
                found[before] = self.homes[f"{block.name}/{writer[after]}"]
        return found

    def _enter(self, block: Block) -> None:
        """What an iteration hands to the next may be read by other kinds, every time."""
        for before, _ in block.carry:
            whole = self.graph.tensors[before].elements
            for kind in self.read.get(before, {}):
                self._wait(self.owners[before], kind, before, whole, block.name)

    def _op(self, block: Block, op: Op) -> None:
        kind = self.homes[f"{block.name}/{op.name}"]
        self._put(kind, op)
        for access in op.writes:
            tensor = self.graph.tensors[access.tensor]
            if tensor.role is Role.KV_CACHE:
                continue
            owner = self.owners.get(tensor.name)
            for reader in self.read.get(tensor.name, {}) if owner is None else (owner,):
                self._wait(kind, reader, tensor.name, access.touched or tensor.elements, op.name)
        for reader, writes in self._cached(op, kind, self.read).items():
            self._put(reader, self._copied(op, writes, (kind, reader)))

    def _copied(self, op: Op, writes: tuple[Access, ...], between: tuple[int, int]) -> Op:
        """New keys and values as another kind than that which keeps them has them for this step.

        Raises:
            InputError: E203 where there are older ones too, which only that kind has.
        """
        keeper, reader = (self.kinds[k] for k in between)
        sizes = [self.graph.tensors[a.tensor].elements for a in writes]
        if any((a.touched or size) < size for a, size in zip(writes, sizes, strict=True)):
            raise InputError(
                f"{op.name} keeps keys and values on devices of kind {keeper}, and attention on "
                f"those of kind {reader} reads the ones of earlier tokens",
                code="E203",
                help="dispatch rules that send kv_append and attention over cached tokens to "
                "engines of one kind of device",
                details={"path": "dispatch"},
            )
        rows = sum(sizes) // op.ranks["N"]
        reads = []
        for access in op.reads:
            tensor = self.graph.tensors[access.tensor]
            few = rows * tensor.shape[-1]
            reads.append(replace(access, touched=None if few >= tensor.elements else few))
        return replace(op, ranks={**op.ranks, "M": rows}, reads=tuple(reads), writes=writes)

    def _put(self, kind: int, op: Op) -> None:
        """An op of a kind, behind the messages that it waits for."""
        for (source, target), way in list(self.ways.items()):
            if target == kind and any(a.tensor in way.elements for a in op.reads):
                self._message(source, target)
        self.lists[kind].append(op)
        for access in (*op.reads, *op.writes):
            self._know(kind, access.tensor)

    def _know(self, kind: int, name: str) -> None:
        """A tensor of a kind's graph: cached keys and values are such where they are kept."""
        tensor = self.graph.tensors[name]
        if tensor.role is Role.KV_CACHE and self._keeper(name) not in (None, kind):
            tensor = replace(tensor, role=Role.ACTIVATION)
        self.tensors[kind][name] = tensor

    def _keeper(self, name: str) -> int | None:
        """The kind that appends to a tensor of the cache; None where none does."""
        for path, op in self._paths():
            if any(a.tensor == name for a in op.writes):
                return self.homes[path]
        return None

    def _wait(self, source: int, target: int, name: str, elements: int, maker: str) -> None:
        """What was written goes with the next message, as far as it is read."""
        if source != target:
            way = self.ways.setdefault((source, target), _Way({}))
            way.elements[name] = min(elements, self.read[name].get(target, elements))
            way.maker = maker

    def _send_all(self) -> None:
        for source, target in list(self.ways):
            self._message(source, target)

    def _message(self, source: int, target: int) -> None:
        """Everything that is under way from one kind to another, as one message."""
        way = self.ways.pop((source, target))
        accesses, size = [], 0
        for name, elements in way.elements.items():
            tensor = self.graph.tensors[name]
            size += tensor.dtype.bytes(elements)
            accesses.append(
                Access(name, (), None if elements >= tensor.elements else elements)
            )  # fmt: skip
            self._know(source, name)
            self._know(target, name)
        count = sum(way.elements.values())
        first = self.graph.tensors[accesses[0].tensor]
        for kind, other, pattern in ((source, target, "send"), (target, source, "receive")):
            word = "to" if pattern == "send" else "from"
            name = f"{way.maker}.{word}_{self.kinds[other]}"
            letter = Tensor(f"{name}.{LETTER}", (1, 1), first.dtype, Role.ACTIVATION)
            self.tensors[kind][letter.name] = letter
            op = exchange(
                name, "send" if pattern == "send" else "receive",
                (letter.name, letter.name), (1, count), KIND, 2, size, peer=other - kind,
            )  # fmt: skip
            side = {"reads" if pattern == "send" else "writes": tuple(accesses)}
            self.lists[kind].append(replace(op, **side))  # type: ignore[arg-type]

    def _taken(self) -> list[tuple[Op, ...]]:
        """What each kind's list has, which begins anew."""
        found = [tuple(ops) for ops in self.lists]
        self.lists = [[] for _ in self.kinds]
        return found
