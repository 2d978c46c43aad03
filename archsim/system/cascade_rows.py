"""Rows of a cascade: array and lanes step by step, operands and spilled scores beside them.

Steps are alike: what stays over several of them arrives in equal shares, and the last step carries
what does not divide. Scores that pass through memory in the same sweep that makes them are not
tied to the step that wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

from archsim.ir.cascade_mapping import CascadeMapping, Passing, Sweep, Unit, Work
from archsim.sim.program import Leaf, Loop
from archsim.system.flash import operands
from archsim.system.rows import Draft
from archsim.system.writer import Part, Writer, duration_ps

DEPTH = 2  # shares of a tensor on chip at once: one in use, one on the way
OTHER: dict[Unit, Unit] = {"array": "lanes", "lanes": "array"}


class CascadeWriter(Writer):
    """Rows of an attention on an array with lanes beside it."""

    def write(self) -> Part:
        """Write the stage."""
        mapping, stage = self.stage.mapping, self.stage
        assert isinstance(mapping, CascadeMapping)
        assert stage.vector is not None
        self.mapping, self.names = mapping, operands(stage)
        self.owner: dict[Unit, str] = {"array": stage.engine.name, "lanes": stage.vector.name}
        self.units = {unit: self.unit(name, "compute") for unit, name in self.owner.items()}
        latency = self.machine.sram.latency_ps
        lanes = duration_ps(stage.vector.lag_cycles, stage.vector.clock_hz)
        self.lag: dict[Unit, int] = {"array": latency, "lanes": latency + lanes}
        written: set[str] = set()
        for word, at in (("q", "QK"), ("k", "QK"), ("v", _values(mapping))):
            if not self.spilled(self.names[word]):
                self.need(self.units[mapping.where[at].unit], self.names[word])
        for i, sweep in enumerate(mapping.sweeps):
            self.part.tree += _Rows(self, i, sweep, written).tree()
            written |= {p.word for p in sweep.passing if p.way == "write"}
        last = mapping.where[mapping.cascade.result].unit
        verb = "store" if self.spilled(self.names["out"]) else "compute"
        self.part.finisher = self.unit(self.owner[last], verb)
        return self.part


def _values(mapping: CascadeMapping) -> str:
    """The Einsum that reads values."""
    return next(e.name for e in mapping.cascade.einsums if any(o.tensor == "V" for o in e.inputs))


class _Rows:
    """One sweep: its steps as leaves and a loop."""

    def __init__(self, writer: CascadeWriter, number: int, sweep: Sweep, written: set[str]) -> None:
        self.w, self.number, self.sweep = writer, number, sweep
        self.before = written  # what earlier sweeps have put into memory
        self.waited: set[str] = set()
        self.counted: set[Unit] = set()
        works = list(sweep.works())
        first_lanes = next((i for i, w in enumerate(works) if w.unit == "lanes"), len(works))
        ahead = sweep.overlap and first_lanes < len(works)
        self.front: Sequence[Work] = works[:first_lanes] if ahead else ()
        self.back: Sequence[Work] = works[first_lanes:] if ahead else works

    def tree(self) -> list[Loop | Leaf]:
        """The first step by itself, alike ones in a loop, the last one with the remainders.

        Where steps overlap, the array is one step ahead with what comes before the lanes.
        """
        n, name = self.sweep.steps, self.w.stage.path
        ahead = bool(self.front)
        out: list[Loop | Leaf] = []
        if ahead:
            out.append(self._leaf(self._chain(self.front, last=n == 1)))
            n -= 1  # steps that have a follower
        alone = 0 if ahead else 1  # the last step is apart, and has no follower
        if n > alone:
            out.append(self._step(last=False, follows=ahead, ends=ahead and n == 1))
        if (many := n - 1 - (1 if n > 1 else 0)) > 0:
            body = self._step(last=False, follows=ahead, ends=False)
            out.append(Loop(many, (body,), name=name, block=True))
        if ahead and n > 1:
            out.append(self._step(last=False, follows=True, ends=True))
        out.append(self._step(last=True, follows=False, ends=False))
        return out

    def _leaf(self, rows: list[Draft]) -> Leaf:
        return self.w.book.leaf(rows)

    def _step(self, *, last: bool, follows: bool, ends: bool) -> Leaf:
        """One step; with `follows` also what is ahead of it, of the last step where it `ends`."""
        rows = self._chain(self.front, last=ends) if follows else []
        if self.sweep.overlap:
            rows += self._chain(self.back, last=last)
        else:
            rows += self._phased(last=last)
        return self._leaf(rows)

    def _share(self, total: int, last: bool) -> int:
        each = total // self.sweep.steps
        return total - each * (self.sweep.steps - 1) if last else each

    def _row(self, work: Work, last: bool, counts: bool) -> Draft:
        w = self.w
        drain = self._share(work.drain_ps, last)
        row = w.draft(
            w.units[work.unit], self._share(work.total_ps, last), w.lag[work.unit] + drain
        )
        if counts:
            own = self.sweep.counts.get(work.unit, {})
            row.counts = {k: s for k, n in own.items() if (s := self._share(n, last))}
            if work.unit == self._softmax_unit():
                self._law(row, last)
        return row

    def _softmax_unit(self) -> Unit:
        """The unit that counts the points of the graph's own softmax: where exponents are taken."""
        mapping = self.w.mapping
        return next(
            mapping.where[e.name].unit for e in mapping.cascade.einsums if e.operation == "exp"
        )

    def _law(self, row: Draft, last: bool) -> None:
        """Every point of the graph's vector ops is counted once, by the sweep that has them."""
        names = {name for work in self.sweep.works() for name in work.einsums}
        if not names & {"SN", "SLN"}:
            return
        case = self._case()
        points = case * len(self.w.stage.ops[1:-1])
        row.counts["vector.points"] = self._share(points, last)

    def _case(self) -> int:
        """Scores of the ragged case that this sweep works on."""
        cases = self.w.mapping.problem.cases
        each = len(self.w.mapping.sweeps) // len(cases)
        case = cases[self.number // each]
        return case.b * case.m * case.keys

    def _channel(self, name: str, source: int, target: int, depth: int = DEPTH) -> int:
        return self.w.channel(f"{self.number}:{name}", source, target, depth)

    def _hand(self, name: str, giver: Draft, taker: Draft) -> None:
        """One row waits for another."""
        channel = self._channel(name, giver.unit, taker.unit)
        giver.reserve.append(channel)
        giver.put.append(channel)
        taker.take.append(channel)
        taker.free.append(channel)

    def _chain(self, works: Sequence[Work], *, last: bool) -> list[Draft]:
        """Rows that take from each other, each from the one before it."""
        rows: list[Draft] = []
        every = list(self.sweep.works())
        for work in works:
            at = every.index(work)
            counts = work.unit not in {w.unit for w in every[:at]}
            row = self._row(work, last, counts)
            for i, other in ((at - 1, "take"), (at, "give")):
                if not 0 <= i < len(every) - 1:
                    continue
                source, target = (self.w.units[every[j].unit] for j in (i, i + 1))
                channel = self._channel(f"step {i}", source, target)
                if other == "take":
                    row.take.append(channel)
                    row.free.append(channel)
                else:
                    row.reserve.append(channel)
                    row.put.append(channel)
            rows += self._with_memory(row, work, last)
        return rows

    def _phased(self, *, last: bool) -> list[Draft]:
        """Phases in turn: a row waits for what the other unit did before its phase."""
        rows: list[Draft] = []
        seen: dict[Unit, Draft | None] = {"array": None, "lanes": None}
        known: dict[Unit, Draft | None] = {"array": None, "lanes": None}  # of the other unit
        counted: set[Unit] = set()
        phases = [*self.sweep.phases, *([(self.sweep.tail,)] if self.sweep.tail else [])]
        for number, phase in enumerate(phases):
            made: dict[Unit, Draft] = {}
            for work in phase:
                unit = work.unit
                row = self._row(work, last, unit not in counted)
                counted.add(unit)
                other = seen[OTHER[unit]]
                if other is not None and known[unit] is not other:
                    self._hand(f"phase {number} {unit}", other, row)
                    known[unit] = other
                made[unit] = row
                rows += self._with_memory(row, work, last)
            seen.update(made)
            if number == len(self.sweep.phases) - 1:
                rows += self._turn(seen, known)
        return rows

    def _turn(self, seen: dict[Unit, Draft | None], known: dict[Unit, Draft | None]) -> list[Draft]:
        """At the end of the phases the array waits for the lanes: the next step is another's."""
        lanes = seen["lanes"]
        if lanes is None or known["array"] is lanes:
            return []
        row = self.w.draft(self.w.units["array"])
        self._hand("turn", lanes, row)
        known["array"] = lanes
        return [row]

    def _with_memory(self, row: Draft, work: Work, last: bool) -> list[Draft]:
        """A row with the loads before it and the stores behind it."""
        loads, stores = [], []
        for p in self.sweep.passing:
            if p.at not in work.einsums:
                continue
            name = self.w.names.get(p.word)
            if name is not None and not self.w.spilled(name):
                continue
            if p.way == "read":
                loads.append(self._load(p, row, last))
            else:
                stores.append(self._store(p, row, last))
        return [*loads, row, *stores]

    def _tensor(self, p: Passing) -> str:
        """The graph's tensor: an operand, or the scores or shares that an Einsum makes."""
        if p.word in self.w.names:
            return self.w.names[p.word]
        ops = self.w.stage.ops
        return ops[0].writes[0].tensor if "QK" in (p.word, p.at) else ops[-1].reads[0].tensor

    def _size(self, p: Passing, last: bool) -> int:
        return self._share(floor(p.size_bytes + Fraction(1, 2)), last)

    def _load(self, p: Passing, step: Draft, last: bool) -> Draft:
        w, loader = self.w, self._loader(p)
        channel = self._channel(f"load {p.word}", loader, step.unit)
        step.take.append(channel)
        step.free.append(channel)
        operand = "weight" if p.word in "kv" else "in"
        row = w.load(loader, channel, self._tensor(p), operand, self._size(p, last))
        if not p.buffered:
            row.counts.pop("sram.write", None)
        if p.word not in w.names:
            row.transfer = None  # scores have no place in memory of their own
        if self._from_before(p.word) and p.word not in self.waited:
            self.waited.add(p.word)  # a kernel begins when the one before has ended
            done = self._done(p.word, loader)
            row.take.append(done)
            row.free.append(done)
        return row

    def _loader(self, p: Passing) -> int:
        """One unit for each tensor and user: a small one must not wait behind a large one."""
        name = p.word if p.word in self.w.names else p.at
        return self.w.unit(self.w.owner[self.w.mapping.where[p.at].unit], f"load_{name}")

    def _store(self, p: Passing, step: Draft, last: bool) -> Draft:
        w, unit = self.w, self.w.mapping.where[p.at].unit
        storer = w.unit(w.owner[unit], "store")
        channel = self._channel(f"store {p.word}", step.unit, storer)
        step.reserve.append(channel)
        step.put.append(channel)
        row = w.store(storer, channel, self._tensor(p), "out", self._size(p, last))
        row.counts.pop("sram.read", None)  # results leave from the units that make them
        if p.word not in w.names:
            row.transfer = None
        later = w.mapping.sweeps[self.number + 1 :]
        taker = next((q for s in later for q in s.passing if q.word == p.word), None)
        if last and taker is not None and taker.way == "read":
            done = self._done(p.word, self._loader(taker), storer)
            row.reserve.append(done)
            row.put.append(done)
        return row

    def _from_before(self, word: str) -> bool:
        """True for what an earlier sweep has put into memory, and this one does not."""
        own = {p.word for p in self.sweep.passing if p.way == "write"}
        return word in self.before - own

    def _done(self, word: str, loader: int, storer: int = -1) -> int:
        return self.w.channel(f"all of {word}", storer, loader, 1)
