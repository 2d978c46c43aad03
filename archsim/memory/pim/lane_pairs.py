"""Commands with the banks that they go to, as words for the inner loop of a lane.

A pair knows the words that say when it is legal, those that it sets for others, and the pieces by
which its rows are opened and closed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from archsim.memory.pim import lane_words as w
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.lane_rules import LaneRules, kind_of
from archsim.memory.standard import Standard


@dataclass
class Pairs:
    """Commands with the banks that they go to, made when first asked for.

    Attributes:
        rules: Of the lane.
        standard: Whose timings amounts are.
        chosen: Command set.
        dual: Whether commands of the set have a row buffer of their own.
        reasons: Names of reasons by number.
        names: Commands by number.
        found: Number of a pair by command and banks.
        words: Number of a ready word by level, node and command.
        needs: How rows of a pair are opened and closed, two pairs a piece.
    """

    rules: LaneRules
    standard: Standard
    chosen: CommandSet
    dual: bool
    reasons: tuple[str, ...]
    names: tuple[str, ...]
    found: dict[tuple[str, tuple[int, ...]], int] = field(default_factory=dict)
    words: dict[tuple[int, int, str], int] = field(default_factory=dict)
    needs: dict[int, list[int]] = field(default_factory=dict)

    def pair(self, command: str, banks: tuple[int, ...]) -> int:
        """Number of a command with its banks."""
        key = (command, banks)
        if key not in self.found:
            number = self.found[key] = len(self.found)
            form = self.rules.commands[command]
            if form.row:
                self.needs[number] = self._pieces(command, banks)
        return self.found[key]

    def _pieces(self, command: str, banks: tuple[int, ...]) -> list[int]:
        """How its rows are opened and closed, piece by piece."""
        form, roles, found = self.rules.commands[command], self.rules.roles, []
        single = form.scope == "bank"
        opened = form.opened_by or (roles.open_bank if single else roles.open_all)
        closed = form.closed_by or (roles.close_bank if single else roles.close_all)
        pieces = dict.fromkeys(self.rules.banks_of(opened, b) for b in banks)
        for piece in pieces:
            found.append(self.pair(opened, piece))
            found.append(self.pair(closed, self.rules.banks_of(closed, piece[0])))
        return found

    def _nodes(self, level: int, banks: tuple[int, ...]) -> list[tuple[int, int]]:
        """Nodes of a level that banks lie in; all banks of a lane are its one node."""
        if level == 0 or len(banks) == self.rules.banks:
            return [(0, 0)]
        size = self.rules.groups[level]
        return [(level, n) for n in dict.fromkeys(b // size for b in banks)]

    def sets(self, command: str, banks: tuple[int, ...], used: set[str]) -> list[int]:
        """Words that it sets, with ticks and reasons."""
        best: dict[int, tuple[int, int]] = {}
        for rule in self.rules.rules:
            if rule.before != command or rule.after not in used:
                continue
            nodes = self._nodes(rule.level, banks)
            if rule.sibling:
                nodes = self._siblings(rule.level, nodes)
            for level, node in nodes:
                word = self.words.setdefault((level, node, rule.after), len(self.words))
                if rule.ticks > best.get(word, (0, 0))[0]:
                    best[word] = (rule.ticks, self.reasons.index(rule.reason))
        return [x for word, (ticks, why) in best.items() for x in (word, ticks, why)]

    def _siblings(self, level: int, nodes: list[tuple[int, int]]) -> list[tuple[int, int]]:
        own = {node for _, node in nodes}
        fan = self.rules.groups[level - 1] // self.rules.groups[level]
        around = {node // fan for node in own}
        return [(level, p * fan + i) for p in around for i in range(fan) if p * fan + i not in own]

    def checks(self, command: str, banks: tuple[int, ...]) -> list[int]:
        """Words that say when it is legal."""
        nodes = [(0, 0), *(n for lv in range(1, len(self.rules.groups))
                           for n in self._every(lv, banks))]  # fmt: skip
        return [self.words[(*n, command)] for n in nodes if (*n, command) in self.words]

    def _every(self, level: int, banks: tuple[int, ...]) -> list[tuple[int, int]]:
        size = self.rules.groups[level]
        return [(level, n) for n in dict.fromkeys(b // size for b in banks)]

    def tables(self) -> tuple[list[int], list[int]]:
        """Pairs and what their spans point to."""
        used = {command for command, _ in self.found}
        after = {key: self.sets(*key, used) for key in self.found}
        table: list[int] = []
        spans: list[int] = []
        for (command, banks), number in self.found.items():
            form, kind = self.rules.commands[command], kind_of(command, self.rules.commands)
            row_like = kind in ("ACT", "PRE", "refresh") or command == self.rules.roles.change_mode
            touched = form.row or row_like
            weight = 1 if command == self.rules.roles.open_bank else form.activates
            entry = [0] * w.PAIR_WORDS
            entry[w.COMMAND] = self.names.index(command)
            entry[w.MASK] = sum(1 << b for b in banks) if touched else 0
            entry[w.EFFECT] = {"ACT": w.OPENS, "PRE": w.CLOSES}.get(kind, w.NEITHER)
            if form.closes:
                entry[w.EFFECT] = w.CLOSES
            entry[w.BUFFER] = int(self.dual and command in self.rules.own)
            entry[w.COLUMN] = int(not row_like)
            entry[w.REGISTER] = int(form.mode == "register")
            entry[w.WEIGHT] = weight if self.rules.window else 0
            entry[w.FLIGHT] = self.chosen.ticks_of(form.in_flight, self.standard)
            for key, values in (
                (w.BANK_START, list(banks)), (w.CHECK_START, self.checks(command, banks)),
                (w.AFTER_START, after[command, banks]), (w.NEED_START, self.needs.get(number, [])),
            ):  # fmt: skip
                entry[key] = len(spans)
                spans += values
                entry[key + 1] = len(spans)
            table += entry
        return table, spans
