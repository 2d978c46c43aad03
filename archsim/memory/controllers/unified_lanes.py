"""Addresses become requests of a channel, and bursts are served channel by channel.

A lane is what is fed from one list in order: all channels of a driven list, or one channel of a
served burst. How a lane runs is in `unified_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import unified_words as w
from archsim.memory.controllers.unified_kernel import advance

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def decode(digits: Ints, shift: int, address: Ints, write: Ints, n: int, asked: Ints) -> None:
    """Turn n addresses into requests.

    Every bit of a place is an XOR of address bits, so a place is the XOR of the places of the
    address's digits.

    Args:
        digits: Place of each value of each digit of DIGIT_BITS, lowest digit first.
        shift: Address bits below one access.
        address: Byte addresses.
        write: 1 for a write.
        n: How many.
        asked: Where the requests go, REQUEST_WORDS words each.
    """
    for i in range(n):
        x = w.REQUEST_WORDS * i
        rest = address[i] >> shift
        asked[x + 3] = rest
        asked[x + 4] = write[i]
        place = 0
        at = 0
        while rest > 0:
            place ^= digits[at + (rest & w.DIGITS - 1)]
            rest >>= w.DIGIT_BITS
            at += w.DIGITS
        asked[x] = place & w.FIELDS - 1
        asked[x + 1] = place >> w.FIELD_BITS & w.FIELDS - 1
        asked[x + 2] = place >> 2 * w.FIELD_BITS


def by_channel(asked: Ints, n: int, channels: int, sorted_: Ints, at: Ints) -> None:
    """Sort a burst by channel, each channel's part in order and ending at its word of `at`."""
    for c in range(channels + 1):
        at[c] = 0
    for i in range(n):
        at[asked[w.REQUEST_WORDS * i] + 1] += 1
    for c in range(channels):
        at[c + 1] += at[c]
    for i in range(n):
        c = asked[w.REQUEST_WORDS * i]
        to = w.REQUEST_WORDS * at[c]
        at[c] += 1
        sorted_[to] = 0
        for x in range(1, w.REQUEST_WORDS):
            sorted_[to + x] = asked[w.REQUEST_WORDS * i + x]


def count(st: Ints, origin: int, sign: int, out: Ints) -> None:
    """Add a channel's counters to those of a burst, or take them away."""
    for x in range(w.SCALARS):
        out[2 + x] += sign * st[origin + x]


def run(
    st: Ints, cfg: Ints, rules: Ints, digits: Ints, shift: int, address: Ints, write: Ints, n: int,
    when: Ints, burst: bool, final: bool, asked: Ints, unsorted: Ints, at: Ints, latency: Ints,
    log: Ints, out: Ints,
) -> int:  # fmt: skip
    """Drive part of a list through all channels, or serve a burst channel by channel.

    Args:
        st: State of all channels; behind it room for one more, on which a burst is run to its end.
        cfg: Options.
        rules: Timing rules.
        digits: See `decode`; the next four are too.
        shift: Address bits below one access.
        address: Byte addresses.
        write: 1 for a write.
        n: Requests.
        when: Tick of each request, or empty.
        burst: Whether it is a burst.
        final: Whether a driven list ends here.
        asked: Room for the requests.
        unsorted: Room for as many again, for a burst.
        at: Room for one word more than lanes: one of a list, one a channel of a burst.
        latency: Latency by request, or empty.
        log: Room for commands, or empty.
        out: Of a burst: last acceptance, last completion, then what was counted to the acceptance.

    Returns:
        ACCEPTED, ALL_DONE, or STUCK.
    """
    words = cfg[w.WORDS]
    lanes = len(at) - 1
    if burst:  # below, one call in one place keeps the machine code small
        decode(digits, shift, address, write, n, unsorted)
        by_channel(unsorted, n, lanes, asked, at)
        for x in range(w.SCALARS):
            out[2 + x] = 0
    else:
        decode(digits, shift, address, write, n, asked)
        at[0] = n
    first = 0
    for lane in range(lanes):
        end = at[lane]
        if burst and end == first:
            continue
        origin = lane * words
        if burst:
            st[origin + w.FROM] = st[origin + w.TAKEN]
            st[origin + w.PENDING] = 0
            st[origin + w.LAST_DONE] = 0
            count(st, origin, -1, out)
        for ending in range(2 if burst else 1):
            if ending:  # once more on a copy, with nothing more coming
                count(st, origin, 1, out)
                out[0] = max(out[0], st[origin + w.CLOCK])
                for x in range(words):
                    st[lanes * words + x] = st[origin + x]
                origin = lanes * words
                first = end
            stop = advance(
                st, cfg, rules, when, asked, first, end, origin, final or ending > 0, latency, log
            )
            if stop == w.STUCK or not burst:
                return stop
        out[1] = max(out[1], st[origin + w.LAST_DONE])
    return w.ALL_DONE
