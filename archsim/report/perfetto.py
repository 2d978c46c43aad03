"""A timeline in Perfetto's own format: nested tracks, arrows, counters with units.

The format counts whole nanoseconds and a run picoseconds. Each moment is rounded down by itself,
so slices that touch still touch, none overlap, and those of a track last as long together as the
track does. Arguments hold the exact picoseconds, which add up to the counters of the run.
Source of the format: protos/perfetto/trace of google/perfetto, as the library brings it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from archsim.core.errors import MissingExtra
from archsim.report.account import account, is_mac
from archsim.report.energy import spend
from archsim.report.flows import PS_PER_NS, flows
from archsim.report.power import power_w
from archsim.report.result import op_rows
from archsim.report.timeline import STATES, Piece, Timeline
from archsim.report.tracks import Group, devices

SEQUENCE = 1  # all packets are of one writer
CLEARED, NEEDED = 1, 2  # TracePacket.SequenceFlags: names begin anew; names are needed
BEGIN, END, COUNTER = 1, 2, 4  # TrackEvent.Type
EXPLICIT = 3  # TrackDescriptor.ChildTracksOrdering: by the rank that each child gives
SIZE_BYTES = 3  # CounterDescriptor.Unit
COUNTERS = {"held_bytes": ("held", "B"), "bytes_per_s": ("bandwidth", "B/s")}
OFF_CHIP = ("dram.", "tier.")  # begin counts of bytes that leave the chip or come to it


def to_perfetto(timeline: Timeline) -> bytes:
    """The content of `timeline.pftrace`.

    Raises:
        MissingExtra: when the library perfetto is not installed.
    """
    writer = _Writer()
    arrows = flows(timeline)
    tracks = _tracks(writer, timeline, arrows.left_out)
    leave, arrive = defaultdict(list), defaultdict(list)
    for number, (source, target) in enumerate(arrows.arrows, start=1):
        leave[source].append(number)
        arrive[target].append(number)
    ops = _ops(timeline)
    about = [_about_step(writer, timeline, row, ops) for row in range(len(timeline.run.rows))]
    for piece in timeline.pieces():
        event = writer.event(tracks[piece.unit], BEGIN, piece.start_ps)
        event.name_iid = writer.named("event_names", piece.name)
        event.category_iids.append(writer.named("event_categories", piece.state))
        if piece.state == "busy":
            event.MergeFrom(about[piece.row])
            event.flow_ids.extend(leave.get(piece.group, ()))
            event.terminating_flow_ids.extend(arrive.get(piece.group, ()))
        for name, value in _exact(timeline, piece).items():
            writer.annotate(event.debug_annotations.add(), name, value)
        writer.event(tracks[piece.unit], END, piece.start_ps + piece.ps)
    return writer.content()


def _exact(timeline: Timeline, piece: Piece) -> dict[str, Any]:
    """What the viewer says of one stretch of time alone."""
    exact: dict[str, Any] = {"start_ps": piece.start_ps, "ps": piece.ps}
    if piece.state == "busy":
        exact["steps"] = piece.times
    elif piece.state == "repeated":
        exact |= {f"{s}_ps": ps for s, ps in zip(STATES, piece.spent, strict=True)}
    else:
        exact["for"] = timeline.run.stages[timeline.run.rows[piece.row].stage].path
    return exact


def _ops(timeline: Timeline) -> list[dict[str, Any]]:
    """What the viewer says of each op as a whole: work, bytes, intensity, what it waits for."""
    totals = account(timeline.run)
    found = []
    for i, op in enumerate(op_rows(timeline.run, totals, spend(timeline.run, totals))):
        moved = sum(totals.matching(prefix, i) for prefix in OFF_CHIP)
        about = {
            "op_class": op["op_class"], "engine": op["engine"], "dataflow": op["dataflow"],
            "repeats": op["repeats"], "flop": 2 * op["macs"], "off_chip_bytes": moved,
            "flop_per_byte": 2 * op["macs"] / moved if moved else None,
            "bound_by": op["bound_by"], "time_share": op["share"], "energy_j": op["energy_j"],
            "fused": op["fused"] or None,
        }  # fmt: skip
        found.append({key: value for key, value in about.items() if value is not None})
    return found


def _about_step(writer: _Writer, timeline: Timeline, row: int, ops: list[dict[str, Any]]) -> Any:
    """What the viewer says of every step of a row: its own work and bytes, and its op's."""
    record = timeline.run.rows[row]
    counts = record.counts.items()
    step = {
        "flop": 2 * sum(n for key, n in counts if is_mac(key)),
        "off_chip_bytes": sum(n for key, n in counts if key.startswith(OFF_CHIP)),
    }
    event = writer.blank()
    for name, about in (("step", step), ("op", ops[record.stage])):
        told = event.debug_annotations.add(name_iid=writer.named("debug_annotation_names", name))
        for key, value in about.items():
            writer.annotate(told.dict_entries.add(), key, value)
    return event


def _tracks(writer: _Writer, timeline: Timeline, left_out: int) -> dict[int, int]:
    """Describe all tracks and fill those of counters; returns the track of each unit."""
    notes = ["Times are rounded down to nanoseconds; start_ps and ps are exact."]
    if left_out:
        notes.append(f"{left_out} arrows from producers to consumers are left out.")
    if timeline.shortened:
        notes.append("Some slices stand for many steps each.")
    moments = timeline.moments()
    tracks: dict[int, int] = {}
    for pid, device in enumerate(devices(timeline), start=1):
        top = writer.track(device.name, description=" ".join(notes))
        top.process.pid, top.process.process_name = pid, device.name
        for place, group in enumerate(device.groups):
            head = writer.track(group.name, parent=top.uuid, place=place)
            for unit in group.units:
                name = timeline.units[unit].name
                tracks[unit] = writer.track(name, parent=head.uuid, place=len(tracks) + 9).uuid
            _counters(writer, group, head.uuid, moments, timeline.run.time_ps)
    _power(writer, timeline)
    return tracks


def _power(writer: _Writer, timeline: Timeline) -> None:
    """The power of all devices, in a track of its own above them."""
    track = writer.track("power")
    track.counter.unit_name = "W"
    watts, time_ps = power_w(timeline).tolist(), timeline.run.time_ps
    for i, value in enumerate(watts):
        event = writer.event(track.uuid, COUNTER, i * time_ps // len(watts))
        event.double_counter_value = value
    writer.event(track.uuid, COUNTER, time_ps).double_counter_value = 0


def _counters(
    writer: _Writer, group: Group, parent: int, moments: list[dict[str, Any]], time_ps: int
) -> None:
    """What the memory of a group held and moved, each in a track with its unit."""
    for place, (key, (what, unit)) in enumerate(COUNTERS.items()):
        column = f"{group.memory}.{key}"
        if group.memory is None or not moments or column not in moments[0]:
            continue
        track = writer.track(f"{group.memory} {what}", parent=parent, place=place)
        if unit == "B":
            track.counter.unit = SIZE_BYTES
        else:
            track.counter.unit_name = unit
        for moment in moments:
            event = writer.event(track.uuid, COUNTER, moment["time_ps"])
            event.double_counter_value = moment[column]
        writer.event(track.uuid, COUNTER, time_ps).double_counter_value = 0


class _Writer:
    """Packets one after the other; a text that recurs is written once and named by a number."""

    def __init__(self) -> None:
        try:
            from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent  # type: ignore[import-untyped]
            from perfetto.trace_builder.proto_builder import TraceProtoBuilder  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtra(
                "a trace in Perfetto's format needs the library perfetto", extra="trace"
            ) from None
        self._builder, self.blank = TraceProtoBuilder(), TrackEvent
        self._numbers: dict[tuple[str, str], int] = {}
        self._names = self._packet(CLEARED | NEEDED).interned_data
        self._uuid = 0

    def content(self) -> bytes:
        """All packets."""
        found: bytes = self._builder.serialize()
        return found

    def named(self, kind: str, text: str) -> int:
        """The number of a text among those of a kind (a field of InternedData)."""
        number = self._numbers.get((kind, text))
        if number is None:
            number = self._numbers[kind, text] = len(self._numbers) + 1
            value = {"str": text.encode()} if kind.endswith("values") else {"name": text}
            getattr(self._names, kind).add(iid=number, **value)
        return number

    def annotate(self, annotation: Any, name: str, value: str | int | float) -> None:
        """Fill an argument of an event."""
        annotation.name_iid = self.named("debug_annotation_names", name)
        if isinstance(value, str):
            kind = "debug_annotation_string_values"
            annotation.string_value_iid = self.named(kind, value)
        elif isinstance(value, int):
            annotation.int_value = value
        else:
            annotation.double_value = value

    def event(self, track: int, kind: int, at_ps: int) -> Any:
        """A new event of a track, in whole nanoseconds."""
        packet = self._packet(NEEDED)
        packet.timestamp = at_ps // PS_PER_NS
        packet.track_event.type, packet.track_event.track_uuid = kind, track
        return packet.track_event

    def track(self, name: str, *, parent: int = 0, place: int = 0, description: str = "") -> Any:
        """A new track, below another unless it is a process."""
        found = self._packet(0).track_descriptor
        self._uuid += 1
        found.uuid, found.name, found.child_ordering = self._uuid, name, EXPLICIT
        found.sibling_order_rank = place
        if parent:
            found.parent_uuid = parent
        if description:
            found.description = description
        return found

    def _packet(self, flags: int) -> Any:
        packet = self._builder.add_packet()
        packet.trusted_packet_sequence_id = SEQUENCE
        if flags:
            packet.sequence_flags = flags
        return packet
