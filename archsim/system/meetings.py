"""Rows of devices that are not alike where they meet: in one collective, or by a message.

A collective starts on every device when the last of its group has come, and ends for all when the
last is through: two barriers, whose rows are written by the first class of the group. A message is
posted and leaves its sender to the link; who receives it waits for it.
"""

from __future__ import annotations

from archsim.ir.collective_mapping import CollectiveMapping
from archsim.system.classes import MESSAGES
from archsim.system.collective_rows import CollectiveWriter
from archsim.system.network_port import NetworkPort
from archsim.system.place import WINDOW
from archsim.system.rows import COMPUTE, LOAD, STORE, Book, Draft
from archsim.system.writer import Part

IN_FLIGHT = 256  # messages that may wait at a receiver: more than schedules keep on their way


class MeetingWriter(CollectiveWriter):
    """The rows of a device in a collective, and of its group where its class leads that."""

    def meet(self, arrive: Draft, done: Draft) -> list[Draft]:
        """The device's part of the exchange, between the two barriers of its group."""
        met = self.book.meetings
        members = met.members.get(self.mapping.collective.axis, ()) if met else ()
        if met is None or len(members) < 2:
            return super().meet(arrive, done)
        self.leader = members[0]
        leads = met.leads(self.mapping.collective.axis)
        own = self.draft(self._unit("group", met.name), self.exchange_ps())
        start, end = (Draft(self._unit(verb, self.leader), self.index) for verb in ("start", "end"))
        for member in members if leads else (met.name,):
            come, begin, through, leave = self._channels_of(member)
            _give(start, begin)
            _get(start, come)
            _give(end, leave)
            _get(end, through)
            if member == met.name:
                _give(arrive, come)
                _get(own, begin)
                _give(own, through)
                _get(done, leave)
        return [start, own, end] if leads else [own]

    def _counts(self) -> dict[str, int]:
        """The class's part of what all groups count together."""
        counts, met = super()._counts(), self.book.meetings
        return counts | met.portion(self.mapping.counts, self._sharers()) if met else counts

    def _sharers(self) -> int:
        """Devices that count a message together; 0 where all do."""
        port = self.stage.engine
        assert isinstance(port, NetworkPort)
        what = self.mapping.collective
        return len(port.senders) if what.pattern == "send" else 0

    def _unit(self, verb: str, of: str) -> int:
        lane = self.lane
        known = {"": (lane, LOAD, None), "done": (f"{lane}.done", STORE, None),
                 "group": (f"{lane}.group", COMPUTE, self.mapping.network)}  # fmt: skip
        name, role, line = known.get(verb, (f"{lane}.{verb}", COMPUTE, None))
        return self.book.unit(name, role, line, of=of)

    def _channels_of(self, member: str) -> tuple[int, ...]:
        """A member comes, begins, is through, and leaves: channels to and from who leads."""
        steps = (("", "start"), ("start", "group"), ("group", "end"), ("end", "done"))
        found = []
        for giver, taker in steps:
            ends = [self._unit(verb, self.leader if verb in ("start", "end") else member)
                    for verb in (giver, taker)]  # fmt: skip
            name = f"{self.lane}.{giver or 'come'}>{taker} {member}>{self.leader}"
            found.append(self.book.across(name, ends[0], ends[1], WINDOW))
        return tuple(found)


class MessageWriter(MeetingWriter):
    """The rows of a device that sends a message along an axis, or gets one."""

    def write(self) -> Part:
        """Write the stage."""
        mapping = self.stage.mapping
        assert isinstance(mapping, CollectiveMapping)
        self.mapping = mapping
        self.lane = f"{mapping.network}.{mapping.collective.axis}"
        rows = self._sent() if mapping.collective.pattern == "send" else [self._got()]
        for access in self.stage.ops[0].reads:
            self.need(rows[0].unit, access.tensor)
        self.part.tree = [self.book.leaf(rows)]
        self.part.finisher = rows[0].unit
        return self.part

    def _sent(self) -> list[Draft]:
        """The device posts its message; the link carries it as soon as it is free."""
        post = self.draft(self.book.unit(f"{self.lane}.post", LOAD))
        lag_ps = min(self.mapping.latency_ps, self.mapping.time_ps)
        dur_ps = max(1, self.exchange_ps() - lag_ps)
        link = Draft(self._link(""), self.index, dur_ps, lag_ps)
        posted = self.channel("posted", post.unit, link.unit, 1)
        _give(post, posted)
        _get(link, posted)
        _give(link, self._message(self.mapping.collective.peer, sends=True))
        link.counts = self._counts()
        return [post, link]

    def _got(self) -> Draft:
        """The device waits for its message."""
        row = self.draft(self._receiver(""))
        message = self._message(self.mapping.collective.peer, sends=False)
        self.part.staged.add(message)  # it comes from outside the stage, which issues the row
        _get(row, message)
        carried = self.mapping.counts
        row.counts = {key: n for key, n in self._counts().items() if key not in carried}
        return row

    def _message(self, steps: int, *, sends: bool) -> int:
        """The channel of messages so many steps along the axis, from either of its ends."""
        met, axis = self.book.meetings, self.mapping.collective.axis
        own = met.name if met else ""
        other = met.peers[axis, steps] if met else ""
        ends = (own, other) if sends else (other, own)
        ahead = steps if sends else -steps
        name = f"{self.lane}.messages {ends[0]}>{ends[1]} {ahead:+}"
        return self.book.across(name, self._link(ends[0]), self._receiver(ends[1]), IN_FLIGHT)

    def _link(self, of: str) -> int:
        return self.book.unit(f"{self.lane}.send", COMPUTE, self.mapping.network, of=of)

    def _receiver(self, of: str) -> int:
        return self.book.unit(f"{self.lane}.receive", LOAD, of=of)


def exchange_writer(book: Book, mapping: CollectiveMapping) -> type[CollectiveWriter]:
    """Who writes the rows of a collective."""
    if mapping.collective.pattern in MESSAGES and mapping.collective.devices > 1:
        return MessageWriter
    return MeetingWriter if book.meetings else CollectiveWriter


def _give(row: Draft, channel: int) -> None:
    row.reserve.append(channel)
    row.put.append(channel)


def _get(row: Draft, channel: int) -> None:
    row.take.append(channel)
    row.free.append(channel)
