"""Words, numbers and ranges of a described trace: `4o+3`, `r mod 16`, `0..255`, `x256`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archsim.core.errors import InputError, nearest

Expression = tuple[Any, ...]
"""("number", n), ("variable", name), or (operator, left, right)."""

_WORD = re.compile(r"0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|\.\.+|//|[^\s]")
_TIMES = re.compile(r"[xX](\d+)")
_FIELDS = {
    "opsize": "opsize", "size": "opsize", "gpr": "gpr", "mask": "mask", "channel": "channel",
    "ch": "channel", "bank": "bank", "row": "row", "register": "register", "data": "data",
}  # fmt: skip
SPELLINGS = (
    (r"\u00d7", " x"),  # a sign of multiplication
    (r"\u2026", ".."),  # dots in one character
    (r"\u2013", "-"),  # an en dash
    (r"[\[{]", "("),
    (r"[\]}]", ")"),
    (r"\b(rows|banks|channels) +(\d+) *- *(\d+)\b", r"\1 \2..\3"),
    (r"\bop(?:size)?(\d+)\b", r"opsize \1"),
    (r"\brange\((\d+)\)", r"0..\1-1"),
)
"""Ways to write the same, and the way that is read."""

_SUMS = {"+": "+", "-": "-"}
_PRODUCTS = {"*": "*", "/": "div", "//": "div", "div": "div", "%": "mod", "mod": "mod"}


@dataclass(frozen=True)
class Range:
    """From first to last, both included."""

    first: Expression
    last: Expression
    step: Expression

    def numbers(self, bound: Mapping[str, int]) -> range:
        """The numbers, with the variables that are bound."""
        step = value_of(self.step, bound)
        if step < 1:
            raise InputError(f"a range goes up in steps of 1 or more, got {step}", code="E107")
        return range(value_of(self.first, bound), value_of(self.last, bound) + 1, step)


def value_of(expression: Expression, bound: Mapping[str, int]) -> int:
    """The value of an expression.

    Raises:
        InputError: E108 for a variable that no loop has; E107 for a division by zero.
    """
    kind = expression[0]
    if kind == "number":
        return int(expression[1])
    if kind == "variable":
        name = expression[1]
        if name not in bound:
            close = nearest(name, bound)
            raise InputError(
                f'variable "{name}" is of no loop around it',
                code="E108",
                help=f'did you mean "{close}"?' if close else f"loop over it: {name}=0..255",
            )
        return bound[name]
    left, right = value_of(expression[1], bound), value_of(expression[2], bound)
    if kind in ("div", "mod") and right == 0:
        raise InputError("a division by zero", code="E107")
    if kind == "+":
        return left + right
    if kind == "-":
        return left - right
    if kind == "*":
        return left * right
    return left // right if kind == "div" else left % right


class Words:
    """The words of a description, taken one after the other."""

    def __init__(self, text: str) -> None:
        """Split a description into words."""
        clean = text
        for said, meant in SPELLINGS:
            clean = re.sub(said, meant, clean)
        self.text = text
        self.found = list(_WORD.finditer(re.sub(r"[ \t]*[\r\n]+", "; ", clean.strip())))
        self.at = 0

    def peek(self, ahead: int) -> str:
        """A later word, or nothing."""
        place = self.at + ahead
        return self.found[place][0] if place < len(self.found) else ""

    @property
    def next(self) -> str:
        """The next word, or nothing."""
        return self.peek(0)

    def pop(self) -> str:
        """Take the next word."""
        word = self.next
        self.at += 1
        return word

    def take(self, word: str) -> bool:
        """Take the next word if it is this one; `s` is the plural of the field just taken."""
        if word == "s":
            before = self.found[self.at - 1][0].lower()
            return before not in _FIELDS and before.removesuffix("s") in _FIELDS
        if self.next != word:
            return False
        self.at += 1
        return True

    def expect(self, word: str) -> None:
        """Take a word that must come.

        Raises:
            InputError: E105 for another.
        """
        if not self.take(word):
            raise self.wrong(f'expected "{word}" before "{self.next or "the end"}"')

    def wrong(self, text: str) -> InputError:
        """The error of this place."""
        before = " ".join(found[0] for found in self.found[max(0, self.at - 4) : self.at])
        return InputError(
            f"in the trace: {text}" + (f', behind "{before}"' if before else ""),
            code="E105",
            help="such as `for o in 0..63: WR_BIAS, MAC_ABK 64 row o, RD_MAC`",
        )

    def name(self) -> str:
        """Take the name of a variable."""
        if not self.next.isidentifier():
            raise self.wrong(f'"{self.next}" is no variable')
        return self.pop()

    @property
    def is_field(self) -> bool:
        """Whether the next word is a field, also in the plural."""
        word = self.next.lower()
        return word in _FIELDS or (word.endswith("s") and word[:-1] in _FIELDS)

    def field(self) -> str:
        """Take the name of a field, also in the plural; nothing where there is none."""
        word = self.next.lower()
        if self.is_field:
            self.pop()
            if self.next == "=":  # left out, so that the field stays the word before
                del self.found[self.at]
            return _FIELDS.get(word) or _FIELDS[word[:-1]]
        return ""

    def times(self) -> Expression | None:
        """Take a count: `x256`, `x 256`, `256 times`, `256x`; None where there is none."""
        word = self.next
        if found := _TIMES.fullmatch(word):
            self.pop()
            self.take("times")
            return ("number", int(found[1]))
        if word in ("x", "X") and self.peek(1).isdecimal():
            self.pop()
            return ("number", int(self.pop()))
        if word.isdecimal() and self.peek(1) in ("times", "x"):
            self.pop()
            self.pop()
            return ("number", int(word))
        return None

    def over(self, variable: str) -> Range:
        """The range of a loop, behind its variable."""
        if not (self.take("in") or self.take("=")):
            raise self.wrong(f"a loop over {variable} needs a range such as 0..255")
        return self.span()

    def span(self) -> Range:
        """`a..b`, `a to b`, one number, or either with `step n`."""
        first = self.expression()
        last = first
        if self.next.startswith("..") or self.next == "to":
            self.pop()
            last = self.expression()
        step: Expression = ("number", 1)
        if self.next in ("step", "by"):
            self.pop()
            step = self.expression()
        return Range(first, last, step)

    def expression(self) -> Expression:
        """A sum of products."""
        found = self._product()
        while self.next in _SUMS:
            operator = _SUMS[self.pop()]
            found = (operator, found, self._product())
        return found

    def _product(self) -> Expression:
        found = self._factor()
        while True:
            if self.next in _PRODUCTS:
                operator = _PRODUCTS[self.pop()]
                found = (operator, found, self._factor())
            elif self._joined():
                found = ("*", found, self._factor())
            else:
                return found

    def _joined(self) -> bool:
        """Whether the next word stands right behind a number, as in `4o` and `4(o+1)`."""
        if not 0 < self.at < len(self.found):
            return False
        before, here = self.found[self.at - 1], self.found[self.at]
        touches = before.end() == here.start() and before[0].isdecimal()
        return touches and (here[0].isidentifier() or here[0] == "(") and here[0] != "x"

    def _factor(self) -> Expression:
        if self.take("("):
            found = self.expression()
            self.expect(")")
            return found
        word = self.next
        if word[:1].isdigit():
            self.pop()
            return ("number", int(word, 0) if word[1:2] in ("x", "X") else int(word))
        if word.isidentifier() and word.upper() != word.lower():
            return ("variable", self.pop())
        raise self.wrong(f'expected a number before "{word or "the end"}"')
