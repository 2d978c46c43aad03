"""From an op graph to what a scratchpad allocator sees: every repeat written out, sizes in bytes.

Activations are allocated. Weights, and a KV cache that was there before, stream past the scratchpad
and are compulsory; such a cache has no bytes here and only keeps its readers behind its writer. A
KV cache that is written whole is allocated and kept. Not here: any policy.
"""

from __future__ import annotations

from archsim.core.errors import Unsupported
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.ir.tensor import Role
from archsim.memory.allocation.lifetimes import Flow, Sized, Step


def flow_of(graph: OpGraph) -> Flow:
    """The ops and tensors of a graph in the order it lists them.

    A tensor that nobody reads after it is written must end up off chip: it is a result. One that
    an op reaches in part is still held whole.

    Raises:
        Unsupported: for a tensor that several ops write parts of.
    """
    return _Walk(graph).flow()


class _Walk:
    """Writes a graph's repeats out and gives every written tensor a number of its own."""

    def __init__(self, graph: OpGraph) -> None:
        self.graph = graph
        self.tensors: list[Sized] = []
        self.steps: list[Step] = []
        self.now: dict[str, int] = {}  # what a name stands for at this point
        self.caches: set[int] = set()
        self.saved: dict[str, list[int]] = {}  # by name: a number for each iteration that wrote it

    def flow(self) -> Flow:
        for block in self.graph.blocks:
            for i in range(block.count):
                if i:
                    self.now |= {read: self.now[carried] for read, carried in block.carry}
                self._iteration(block, f"{block.name}.{i}" if block.count > 1 else block.name)
        read = {x for step in self.steps for x in step.reads}
        kept = {x for step in self.steps for x in step.writes if x not in read} | self.caches
        return Flow(
            self.graph.name,
            tuple(self.tensors),
            tuple(self.steps),
            frozenset(kept),
            self.streamed(),
        )

    def streamed(self) -> int:
        """Bytes of weights and of a KV cache from before, once an iteration."""
        old = [t for t in self.graph.tensors.values() if t.role is Role.KV_CACHE]
        total = self.graph.read_bytes(Role.WEIGHT)
        if not all(self._is_whole(t.name) for t in old):
            total += self.graph.read_bytes(Role.KV_CACHE) + self.graph.write_bytes(Role.KV_CACHE)
        return total

    def _is_whole(self, name: str) -> bool:
        """True for a KV tensor that one op writes from end to end."""
        writes = [a for _, op in self.graph.ops() for a in op.writes if a.tensor == name]
        size = self.graph.tensors[name].bytes
        return len(writes) == 1 and self.graph.touched_bytes(writes[0]) == size

    def _is_seen(self, name: str) -> bool:
        return self.graph.tensors[name].role is not Role.WEIGHT

    def _iteration(self, block: Block, path: str) -> None:
        fresh: set[str] = set()
        saved = self._saved(block)
        backward = any(self._role(a.tensor) is Role.GRADIENT for op in block.ops for a in op.writes)
        if backward:  # reads what the latest iteration that is left has saved
            self.now |= {name: self.saved[name].pop() for name in saved}
        for op in block.ops:
            reads = [self._read(a.tensor, path) for a in op.reads if self._is_seen(a.tensor)]
            writes = [
                self._write(a.tensor, path, op, fresh) for a in op.writes if self._is_seen(a.tensor)
            ]
            self.steps.append(Step(f"{path}/{op.name}", tuple(reads), tuple(writes)))
        if not backward:
            for name in saved:
                self.saved.setdefault(name, []).append(self.now[name])

    def _role(self, name: str) -> Role:
        return self.graph.tensors[name].role

    def _saved(self, block: Block) -> set[str]:
        """Saved activations that a block reads or writes."""
        names = {a.tensor for op in block.ops for a in (*op.reads, *op.writes)}
        return {name for name in names if self._role(name) is Role.SAVED}

    def _read(self, name: str, path: str) -> int:
        if name not in self.now:
            self._add(name, path)
        return self.now[name]

    def _write(self, name: str, path: str, op: Op, fresh: set[str]) -> int:
        if name in fresh:
            raise Unsupported(
                f"{path}/{op.name} writes a part of {name}, which another op writes a part of",
                help="a scratchpad is allocated for tensors that one op writes",
            )
        fresh.add(name)
        self._add(name, path)
        if self.graph.tensors[name].role is Role.KV_CACHE:
            self.caches.add(self.now[name])
        return self.now[name]

    def _add(self, name: str, path: str) -> None:
        self.now[name] = len(self.tensors)
        tensor = self.graph.tensors[name]
        streams = tensor.role is Role.KV_CACHE and not self._is_whole(name)
        self.tensors.append(Sized(f"{path}/{name}", 0 if streams else tensor.bytes))
