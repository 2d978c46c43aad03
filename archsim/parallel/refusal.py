"""How a plan that does not divide a graph is refused, with the values that would."""

from __future__ import annotations

from collections.abc import Iterable

from archsim.core.errors import InputError
from archsim.ir.parallel import ParallelPlan


def refused(message: str, help_text: str, key: str = "") -> InputError:
    """The error of a plan that does not divide a graph.

    Args:
        message: what is wrong; it begins with the field at fault where there is one.
        help_text: values that are legal.
        key: the field at fault, where the message begins otherwise.
    """
    first = key or message.replace(":", " ").split(" ", maxsplit=1)[0]
    path = f"parallel.{first}" if first in ParallelPlan.model_fields else "parallel"
    return InputError(message, code="E203", help=help_text, details={"path": path})


def divisors(number: int) -> list[int]:
    """All divisors of a number, ascending."""
    return [n for n in range(1, number + 1) if number % n == 0]


def listed(values: Iterable[int]) -> str:
    """Values as a help line lists them."""
    return ", ".join(map(str, values))
