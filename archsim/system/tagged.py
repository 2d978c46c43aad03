"""A class's pages of a common book: units, timelines and channels of the class are its own.

What a writer calls `hbm` or `issue` becomes `hbm@stage1`; rows go to the one book.
"""

from __future__ import annotations

from archsim.system.classes import Meetings
from archsim.system.rows import Book

AT = "@"


class Tagged(Book):
    """A view of a book that adds the name of a class to every name."""

    def __init__(self, book: Book, meetings: Meetings) -> None:
        vars(self).update(vars(book))  # the same lists: what is written here is written there
        self.meetings = meetings
        self.suffix = f"{AT}{meetings.name}"

    def unit(
        self, name: str, role: int, timeline: str | None = None, *, tie: str = "", of: str = ""
    ) -> int:
        """Id of a unit of the class; ties at its timelines go as if the class were alone."""
        suffix = f"{AT}{of}" if of else self.suffix
        line = None if timeline is None else timeline + suffix
        return super().unit(name + suffix, role, line, tie=tie or name)

    def name(self, unit: int) -> str:
        """Name of a unit, as the class says it."""
        return self._unit_list[unit].tie

    def channel(self, name: str, producer: int, consumer: int, depth: int) -> int:
        """A new channel."""
        return super().channel(name + self.suffix, producer, consumer, depth)

    def shared(self, name: str, producer: int, consumer: int, depth: int) -> int:
        """The channel of a name, made at first mention; its depth is the largest asked for."""
        return super().shared(name + self.suffix, producer, consumer, depth)
