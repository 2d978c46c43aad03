"""Command traces by description: loops and instructions in one line of text.

Such as `for o in 0..63: WR_BIAS, MAC_ABK 64 rows 4o..4o+3, RD_MAC`. Instructions are apart by
commas, statements by semicolons; a loop holds all that follows it, up to a closing bracket or to a
loop over the same variable. `x256` or `256 times` repeats, `r=0..255` behind a statement loops over
it. How text becomes words and numbers is in `described_words`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from archsim.core.errors import InputError, nearest
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.described_words import Expression, Range, Words, value_of
from archsim.memory.pim.trace import IDLE, READ, REGISTER, WRITE, PimTrace, Step

MOST_STEPS = 2_000_000
"""Instructions of one description; more are a slip of a number."""

SILENT = (
    "in", "order", "each", "repeated", "alternating", "aim", "all", "same", "always", "with", "on",
    "over",
)  # fmt: skip
"""Words that say nothing more."""

ENDS = (",", ";", ")", "and", "then", "")
ACCESS = {"MEM": ("channel", "bank", "row"), "GPR": ("gpr",), "CFR": ("register", "data")}


@dataclass
class Node:
    """A loop over what it holds, or one instruction.

    Attributes:
        word: Instruction, or empty for a loop.
        values: Fields of an instruction.
        variable: Variable of a loop, or empty.
        over: Its range.
        body: What it holds.
    """

    word: str = ""
    values: dict[str, Expression] = field(default_factory=dict)
    variable: str = ""
    over: Range | None = None
    body: list[Node] = field(default_factory=list)


def described(text: str, mask: int, commands: CommandSet) -> PimTrace:
    """The trace that a description says.

    Args:
        text: The description.
        mask: Channels of instructions that name none.
        commands: The command set.

    Raises:
        InputError: E105 for text that is no description, E108 for an unknown word.
    """
    words = Words(text)
    nodes = _Parser(words, commands).statements(())
    if words.next:
        raise words.wrong(f'"{words.next}" ends nothing')
    steps: list[Step] = []
    for step in _steps(nodes, {}, mask, commands):
        steps.append(step)
        if len(steps) > MOST_STEPS:
            raise InputError(f"the trace has more than {MOST_STEPS} instructions", code="E107")
    if not steps:
        help_text = "a range goes up, as 0..9, and a count is 1 or more"
        raise InputError("the trace has no instructions", code="E102", help=help_text)
    return PimTrace.of(text, steps, commands)


class _Parser:
    """Reads statements; `bound` are the variables of the loops around them, outermost first."""

    def __init__(self, words: Words, commands: CommandSet) -> None:
        """Read some words with the instructions of a set."""
        self.words, self.commands = words, commands

    def statements(self, bound: tuple[str, ...]) -> list[Node]:
        """Statements up to the end, a bracket, or a loop over a variable that is bound."""
        found: list[Node] = []
        while self.words.next not in ("", ")"):
            if self.words.take(";"):
                continue
            if self.words.next == "for":
                if self.words.peek(1) in bound:
                    return found
                found.append(self.loop(bound))
            else:
                loops = self.loops()
                if loops and self.words.next in ("", ";", ")"):  # of all that came before
                    found = [_around(found, loops)]
                else:
                    items = self.statement()
                    found += [_around(items, loops)] if loops else items
        return found

    def loop(self, bound: tuple[str, ...]) -> Node:
        """`for v in a..b: statements`, or the statements in brackets."""
        self.words.expect("for")
        variable = self.words.name()
        over = self.words.over(variable)
        if self.words.take("("):
            body = self.statements(())
            self.words.expect(")")
        else:
            self.words.expect(":")
            body = self.statements((*bound, variable))
        return Node(variable=variable, over=over, body=body)

    def statement(self) -> list[Node]:
        """Instructions apart by commas, and what repeats all of them."""
        items: list[Node] = []
        repeats: list[tuple[Node, Node]] = []  # an instruction and what repeats it alone
        while self.words.next not in ("", ";", ")"):
            if any(self.words.take(word) for word in (",", "and", "then")):
                continue
            if not self.bracketed() and self.words.take("("):
                inner = Node(body=self.statements(()))
                self.words.expect(")")
                items.append(inner)
                loops = self.loops()
            elif loops := self.loops():
                items = [_around(items, loops)]
                repeats = []
                continue
            elif self.words.next == "for":
                break
            else:
                node, loops = self.instruction()
                items.append(node)
            if loops:
                repeats.append((items[-1], loops[0]))
                items[-1] = _around([items[-1]], loops)
        if len(items) > 1 and len(repeats) == 1 and not repeats[0][1].variable:
            alone, _ = repeats[0]
            last = items[-1]
            if alone.word and last.body == [alone]:  # a count behind the last one is of them all
                return [Node(over=last.over, body=[*items[:-1], alone])]
        return items

    def loops(self) -> list[Node]:
        """Loops and counts at this place, innermost first; `in order` and the like are passed."""
        found: list[Node] = []
        while True:
            if self.words.next.lower() in SILENT:
                self.words.pop()
            elif self.bracketed():
                self.words.expect("(")
                found += self.loops()
                self.words.expect(")")
            elif self.words.next == "for":
                start = self.words.at
                self.words.pop()
                variable = self.words.name()
                over = self.words.over(variable)
                if self.words.next in (":", "("):  # a loop over what follows, not what came
                    self.words.at = start
                    return found
                found.append(Node(variable=variable, over=over))
            elif self.words.peek(1) == "=" and not self.words.is_field:
                variable = self.words.name()
                found.append(Node(variable=variable, over=self.words.over(variable)))
            elif (count := self.words.times()) is not None:
                found.append(Node(over=Range(("number", 1), count, ("number", 1))))
            else:
                return found

    def bracketed(self) -> bool:
        """Whether a loop or a count stands here in brackets."""
        first, second = self.words.peek(1), self.words.peek(2)
        return self.words.next == "(" and (
            (first.isidentifier() and second in ("=", "in")) or second == "times"
        )

    def instruction(self) -> tuple[Node, list[Node]]:
        """One instruction, its words in any order, and the loops behind it."""
        words = self.words
        name, fields = "", tuple[str, ...]()
        values: dict[str, Expression] = {}
        plain: list[Expression] = []
        loops: list[Node] = []
        inner: list[Node] = []
        while words.next not in ENDS:
            found = self.loops()
            if found:
                loops += found
            elif words.next in (*ENDS, "for"):
                break
            elif key := words.field():
                if words.take("s"):
                    inner.insert(0, Node(variable=f"each {key}", over=words.span()))
                    values[key] = ("variable", f"each {key}")
                else:
                    values[key] = words.expression()
            elif words.next[0].isdigit() or words.next == "(" or (name and len(words.next) == 1):
                plain.append(words.expression())
            elif not name:
                name, fields = self.name()
            else:
                raise words.wrong(f'"{words.next}" is no field of {name}')
        if not name:
            raise words.wrong(f'no instruction before "{words.next or "the end"}"')
        self.placed(name, fields, values, plain)
        return Node(name, values), [*inner, *loops]

    def name(self) -> tuple[str, tuple[str, ...]]:
        """Name of an instruction or of an access, and its fields."""
        word = self.words.next
        upper = word.upper().removeprefix("ISR_")
        if upper in self.commands.instructions:
            self.words.pop()
            return upper, self.commands.instructions[upper].fields
        if upper in ("R", "W") and self.words.peek(1).upper() in ACCESS:
            self.words.pop()
            region = self.words.pop().upper()
            return f"{upper} {region}", ACCESS[region]
        close = nearest(upper, self.commands.instructions)
        raise InputError(
            f'instruction "{word}" is not one of {", ".join(self.commands.instructions)}',
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )

    def placed(
        self,
        name: str,
        fields: tuple[str, ...],
        values: dict[str, Expression],
        plain: list[Expression],
    ) -> None:
        """Give numbers without a name the fields that are left, and see that none is missing."""
        for key in values:
            if key not in (*fields, "mask", "channel"):
                raise self.words.wrong(f"{name} has no {key}")
        left = [key for key in fields if key not in values]
        needed = [key for key in left if key not in ("gpr", "mask", "opsize")]
        if len(plain) != len(left):  # numbers for all fields of a line, or for what matters here
            left = [key for key in left if key not in ("gpr", "mask")]
        values.update(zip(left, plain, strict=False))
        missing = [key for key in needed if key not in values]
        if missing or len(plain) > len(left):
            said = f"lacks its {' and '.join(missing)}" if missing else "has too many numbers"
            raise self.words.wrong(f"{name} {said}")


def _around(items: list[Node], loops: list[Node]) -> Node:
    """Loops, innermost first, around some nodes."""
    node = Node(variable=loops[0].variable, over=loops[0].over, body=items)
    for loop in loops[1:]:
        node = Node(variable=loop.variable, over=loop.over, body=[node])
    return node


def _steps(
    nodes: list[Node], bound: dict[str, int], mask: int, commands: CommandSet
) -> Iterator[Step]:
    """The instructions of some nodes, loops run."""
    for node in nodes:
        if node.word:
            yield from _step(node, bound, mask, commands)
        elif node.over is None:
            yield from _steps(node.body, bound, mask, commands)
        else:
            for value in node.over.numbers(bound):
                inner = {**bound, node.variable: value} if node.variable else bound
                yield from _steps(node.body, inner, mask, commands)


def _step(node: Node, bound: dict[str, int], mask: int, commands: CommandSet) -> Iterator[Step]:
    values = {key: value_of(expression, bound) for key, expression in node.values.items()}
    if "channel" in values:
        if not 0 <= values["channel"] < commands.channels:
            raise InputError(
                f"channel {values['channel']} is not one of {commands.channels}", code="E107"
            )
        values["mask"] = commands.mask_of(values["channel"])
    mask = values.get("mask", mask)
    bank, row = values.get("bank", -1), values.get("row", -1)
    if node.word == "W CFR":
        yield Step(REGISTER, bank=values["register"], row=values["data"])
    elif node.word in (READ, WRITE):
        yield Step(node.word, 1, mask, bank, row)
    elif node.word[1] == " ":
        yield Step(IDLE)
    elif "mask" not in commands.instructions[node.word].fields:
        yield Step(node.word, values.get("opsize", 1))
    elif commands.instructions[node.word].one_channel:
        for bit in range(mask.bit_length()):
            if mask >> bit & 1:
                yield Step(node.word, values.get("opsize", 1), 1 << bit, bank, row)
    else:
        yield Step(node.word, values.get("opsize", 1), mask, bank, row)
