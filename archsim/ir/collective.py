"""A collective: what a group of devices exchanges in one op, as plain data.

How it is carried out, on which links and in what time, is said in `interconnect.collectives`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Pattern = Literal[
    "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "gather", "send",
    "receive",
]  # fmt: skip
PATTERNS: tuple[str, ...] = get_args(Pattern)


@dataclass(frozen=True, slots=True)
class Collective:
    """What one device of a group takes part in; all others of the group do the same.

    Attributes:
        pattern: what is exchanged.
        axis: axis of the parallel plan whose groups exchange, such as `tensor`.
        devices: in the group; 2 for `send` and `receive`.
        size_bytes: the whole buffer, as NCCL counts it: all_reduce and reduce_scatter: what each
            device gives; all_gather and gather: what a device has in the end; all_to_all: what each
            device holds for all of the group, itself included; broadcast, send, receive: the
            message.
        sent_bytes: all_to_all with uneven counts: bytes that device i of the group holds for device
            j, flat, row by row; empty where all are alike.
        peer: send and receive: steps along the axis to the other device, 1 to the next, -1 to the
            one before.
        algorithm: how; None leaves it to the network.
    """

    pattern: Pattern
    axis: str
    devices: int
    size_bytes: int
    sent_bytes: tuple[int, ...] = ()
    peer: int = 0
    algorithm: str | None = None

    def lower_bound_bytes(self) -> int:
        """Least bytes that the busiest device of the group has to send, rounded down."""
        n, size = self.devices, self.size_bytes
        if self.sent_bytes:
            rows = range(n)
            sent = (sum(self.sent_bytes[i * n : i * n + n]) - self.sent_bytes[i * n + i]
                    for i in rows)  # fmt: skip
            return max(sent, default=0)
        if self.pattern == "all_reduce":
            return 2 * (n - 1) * size // n
        if self.pattern in ("all_gather", "reduce_scatter", "all_to_all"):
            return (n - 1) * size // n
        if self.pattern == "gather":
            return size // n
        return 0 if self.pattern == "receive" else size
