"""A program flattened: a line of words for each unit, which engines walk, and columns for rows.

Words are `ROW row`, `BEGIN slot`, `END slot -> word` and `HALT`; a slot is the counter of one loop
of one unit. A loop without rows of a unit vanishes from that unit's words. The verbs of a row
address rings: ring 2c holds the tokens of channel c, ring 2c + 1 its free slots, so that taking and
reserving are one act, and so are putting and freeing. What the words do lives in the engines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from archsim.sim.program import Leaf, Loop, Program

ROW, BEGIN, END, HALT = range(4)


@dataclass(frozen=True, slots=True)
class LoopInfo:
    """One loop of the tree, by its place in preorder.

    Attributes:
        name: As the program gives it.
        n: Repetitions.
        outer: Ids of the loops that enclose it.
        steps: Steps of one whole run of the loop.
        fold: Whether it may be folded.
        block: Whether it is a block of the model.
        slot: Counter of the unit whose iterations are sampled: the last in canonical order.
        aligned: Whether all units stop where an iteration is sampled; then each has a slot here.
    """

    name: str
    n: int
    outer: frozenset[int]
    steps: int
    fold: bool
    block: bool
    slot: int
    aligned: tuple[int, ...] = ()


@dataclass
class Code:
    """Flat form of a program; word and ring indices are global, lists are indexed by them."""

    program: Program
    rank: tuple[int, ...]
    op: list[int] = field(default_factory=list)  # by word
    arg: list[int] = field(default_factory=list)  # row or slot, by word
    target: list[int] = field(default_factory=list)  # word to jump back to, by word
    around: list[tuple[int, ...]] = field(default_factory=list)  # slots, outermost first, by word
    start: list[int] = field(default_factory=list)  # first word, by unit
    slot_n: list[int] = field(default_factory=list)
    slot_unit: list[int] = field(default_factory=list)
    slot_loop: list[int] = field(default_factory=list)
    loops: list[LoopInfo] = field(default_factory=list)
    verb_at: list[int] = field(default_factory=lambda: [0])  # 4 row + verb -> first of `verb_ring`
    verb_ring: list[int] = field(default_factory=list)
    ring_at: list[int] = field(default_factory=lambda: [0])  # ring -> first of its stamps
    ring_depth: list[int] = field(default_factory=list)
    ring_reader: list[int] = field(default_factory=list)  # unit, by ring
    ring_writer: list[int] = field(default_factory=list)
    timeline: list[int] = field(default_factory=list)  # shared timeline of each unit, or -1
    timelines: list[str] = field(default_factory=list)


def flatten(program: Program) -> Code:
    """The flat form of a program whose form was checked."""
    code = Code(program, program.ranks())
    for channel in program.channels:
        for reader, writer in (
            (channel.consumer, channel.producer),
            (channel.producer, channel.consumer),
        ):
            code.ring_depth.append(channel.depth)
            code.ring_at.append(code.ring_at[-1] + channel.depth)
            code.ring_reader.append(reader)
            code.ring_writer.append(writer)
    rings, ends = code.verb_ring, code.verb_at
    for row in program.rows:
        for channels, side in ((row.take, 0), (row.reserve, 1), (row.put, 0), (row.free, 1)):
            for c in channels:
                rings.append(2 * c + side)
            ends.append(len(rings))
    code.timelines = sorted({u.timeline for u in program.units if u.timeline is not None})
    index = {name: i for i, name in enumerate(code.timelines)}
    code.timeline = [-1 if u.timeline is None else index[u.timeline] for u in program.units]
    _Words(code).write()
    return code


class _Words:
    """Writes the words of all units in one walk of the tree, then lays them end to end."""

    def __init__(self, code: Code) -> None:
        self.code = code
        units = len(code.program.units)
        self.words: list[list[tuple[int, int, int, tuple[int, ...]]]] = [[] for _ in range(units)]
        self.used: dict[int, frozenset[int]] = {}  # by id of a node of the tree, which stays alive

    def write(self) -> None:
        """Fill the code's words, slots and loops."""
        inside: list[tuple[int, ...]] = [()] * len(self.words)
        for node in self.code.program.tree:
            self._node(node, frozenset(), inside)
        for unit, words in enumerate(self.words):
            words.append((HALT, 0, 0, ()))
            base = len(self.code.op)
            self.code.start.append(base)
            for op, arg, target, around in words:
                self.code.op.append(op)
                self.code.arg.append(arg)
                self.code.target.append(base + target)
                self.code.around.append(around)
            self.words[unit] = []

    def _node(self, node: Loop | Leaf, outer: frozenset[int], inside: list[tuple[int, ...]]) -> int:
        """Write one node; returns the steps of one run of it."""
        if isinstance(node, Leaf):
            return self._leaf(node, inside)
        code, this = self.code, len(self.code.loops)
        users = sorted(self._users(node), key=code.rank.__getitem__)
        code.loops.append(LoopInfo(node.name, node.n, outer, 0, False, False, -1))
        within, first = list(inside), {}
        for unit in users:
            slot = len(code.slot_n)
            code.slot_n.append(node.n)
            code.slot_unit.append(unit)
            code.slot_loop.append(this)
            self.words[unit].append((BEGIN, slot, 0, inside[unit]))
            within[unit] = (*inside[unit], slot)
            first[unit] = (slot, len(self.words[unit]))
        steps = sum(self._node(child, outer | {this}, within) for child in node.body) * node.n
        for unit in users:
            slot, target = first[unit]
            self.words[unit].append((END, slot, target, within[unit]))
        sampled = first[users[-1]][0] if users else -1
        code.loops[this] = LoopInfo(
            *(node.name, node.n, outer, steps, node.fold and bool(users), node.block, sampled),
            tuple(slot for slot, _ in first.values()) if node.aligned else (),
        )
        return steps

    def _leaf(self, leaf: Leaf, inside: list[tuple[int, ...]]) -> int:
        rows = self.code.program.rows
        for row in leaf.rows:
            unit = rows[row].unit
            self.words[unit].append((ROW, row, 0, inside[unit]))
        return sum(rows[row].run for row in leaf.rows)

    def _users(self, node: Loop | Leaf) -> frozenset[int]:
        """The units that have rows in a node."""
        known = self.used.get(id(node))
        if known is None:
            if isinstance(node, Leaf):
                known = frozenset(self.code.program.rows[row].unit for row in node.rows)
            else:
                known = frozenset().union(*(self._users(child) for child in node.body))
            self.used[id(node)] = known
        return known
