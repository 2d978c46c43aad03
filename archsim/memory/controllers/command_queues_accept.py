"""How a request comes to a controller with command queues, and moves on to one of them.

Here a request is refused, merged, answered from a write or queued, and one waiting transaction is
moved on a tick. What becomes of a queued command is in `command_queues_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import command_queues_words as w

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def bucket_of(cfg: Ints, base: int, address: int) -> int:
    """Word that begins the chain of waiting requests among which an address is."""
    return base + cfg[w.BUCKET] + ((address ^ (address >> 7) ^ (address >> 14)) & cfg[w.BUCKETS])


def pending(st: Ints, cfg: Ints, base: int, address: int, write: int) -> int:
    """Slot of the waiting read, or write, of an address; -1 where there is none."""
    s = st[bucket_of(cfg, base, address)]
    while s >= 0:
        same = st[base + cfg[w.ADDRESS] + s] == address
        if same and (st[base + cfg[w.READERS] + s] == 0) == (write != 0):
            return s
        s = st[base + cfg[w.CHAIN] + s]
    return -1


def retire(st: Ints, cfg: Ints, now: int) -> int:
    """Count the requests that were done before a tick; the tick after the next one is done."""
    soonest = w.NEVER
    while st[w.N_READ_RING] > 0:
        t = st[cfg[w.READ_RING] + st[w.READ_HEAD]]
        if t >= now:
            soonest = t + 1
            break
        st[w.READ_HEAD] = (st[w.READ_HEAD] + 1) % cfg[w.RING_SIZE]
        st[w.N_READ_RING] -= 1
        st[w.DONE] += 1
    while st[w.N_WRITE_RING] > 0:
        t = st[cfg[w.WRITE_RING] + st[w.WRITE_HEAD]]
        if t >= now:
            return min(soonest, t + 1)
        st[w.WRITE_HEAD] = (st[w.WRITE_HEAD] + 1) % cfg[w.RING_SIZE]
        st[w.N_WRITE_RING] -= 1
        st[w.DONE] += 1
    return soonest


def accept(st: Ints, cfg: Ints, now: int, asked: Ints, x: int, latency: Ints, link: Ints) -> bool:
    """Take the request at word x before a tick; False when its transaction queue is full."""
    base = asked[x] * cfg[w.WORDS]
    address = asked[x + 3]
    write = asked[x + 4]
    full = st[base + w.N_WRITE] >= cfg[w.WRITE_SIZE]
    if not write:
        full = st[base + w.N_READ] >= cfg[w.READ_SIZE]
    if full:
        return False
    st[w.TAKEN] += 1
    number = -1
    if not write:
        number = st[w.READS]
        st[w.READS] += 1
    waiting_write = pending(st, cfg, base, address, 1)
    if write or waiting_write >= 0:  # done at once, or answered from the write that waits
        st[w.LAST_DONE] = max(st[w.LAST_DONE], now + 1)
        if cfg[w.OUTSTANDING] > 0:
            k = (st[w.WRITE_HEAD] + st[w.N_WRITE_RING]) % cfg[w.RING_SIZE]
            st[cfg[w.WRITE_RING] + k] = now + 1
            st[w.N_WRITE_RING] += 1
        if write:
            st[base + w.WRITES] += 1
            st[base + w.MERGED] += 1 if waiting_write >= 0 else 0
        else:
            st[base + w.FORWARDED] += 1
            st[base + w.LATENCY_SUM] += 1
            st[base + w.LATENCY_MAX] = max(st[base + w.LATENCY_MAX], 1)
            if len(latency) > 0:
                latency[number] = 1
        if waiting_write < 0:
            enqueue(st, cfg, base, now, asked, x, number)
        return True
    st[w.PENDING] += 1
    if len(latency) > 0:
        latency[number] = now
        link[number] = -1
    waiting_read = pending(st, cfg, base, address, 0)
    if waiting_read < 0:
        enqueue(st, cfg, base, now, asked, x, number)
        return True
    st[base + w.MERGED] += 1
    s = base + waiting_read
    st[s + cfg[w.READERS]] += 1
    st[s + cfg[w.SUM_AT]] += now
    if len(latency) > 0:
        link[number] = st[s + cfg[w.LAST_NUMBER]]
    st[s + cfg[w.LAST_NUMBER]] = number
    return True


def enqueue(st: Ints, cfg: Ints, base: int, now: int, asked: Ints, x: int, number: int) -> None:
    """Give a request a slot, at the end of its transaction queue."""
    st[base + w.N_FREE] -= 1
    s = st[base + cfg[w.FREE] + st[base + w.N_FREE]]
    bucket = bucket_of(cfg, base, asked[x + 3])
    st[base + cfg[w.CHAIN] + s] = st[bucket]
    st[bucket] = s
    write = asked[x + 4]
    if write:
        st[base + cfg[w.WRITE_QUEUE] + st[base + w.N_WRITE]] = s
        st[base + w.N_WRITE] += 1
    else:
        st[base + cfg[w.READ_QUEUE] + st[base + w.N_READ]] = s
        st[base + w.N_READ] += 1
    s += base
    st[s + cfg[w.ROW]] = asked[x + 2]
    st[s + cfg[w.BANK]] = asked[x + 1]
    st[s + cfg[w.ADDRESS]] = asked[x + 3]
    st[s + cfg[w.READERS]] = 0 if write else 1
    st[s + cfg[w.FIRST_AT]] = now
    st[s + cfg[w.SUM_AT]] = now
    st[s + cfg[w.LAST_NUMBER]] = number
    st[base + w.TRY_MOVE] = 1
    st[base + w.WAKE] = min(st[base + w.WAKE], now)


def move_on(st: Ints, cfg: Ints, base: int) -> None:
    """Move the oldest transaction that has room to its command queue: a write, or a read.

    Writes are drained when their queue is full, or when more than a few wait and nothing else does.
    A write waits for an older read of its address. Where that read waits as well, because only
    writes are looked at, DRAMsim3 stands still for good; here a read moves on.
    """
    st[base + w.TRY_MOVE] = 0
    drain = st[base + w.DRAIN]
    writes = st[base + w.N_WRITE]
    alone = writes > w.DRAIN_ABOVE and st[base + w.N_QUEUED] == 0
    if drain == 0 and (writes >= cfg[w.WRITE_SIZE] or alone):
        drain = writes
    if drain > 0 and st[base + w.N_QUEUED] == 0 and (writes >= cfg[w.WRITE_SIZE] or alone):
        first = st[base + cfg[w.WRITE_QUEUE]]
        if pending(st, cfg, base, st[base + first + cfg[w.ADDRESS]], 0) >= 0:
            drain = 0
    counter, entry = w.N_READ, base + cfg[w.READ_QUEUE]
    if drain > 0:
        counter, entry = w.N_WRITE, base + cfg[w.WRITE_QUEUE]
    last = entry + st[base + counter]
    for x in range(entry, last):
        s = st[x]
        q = st[base + s + cfg[w.BANK]] // cfg[w.QUEUE_BANKS]
        n = st[base + cfg[w.QUEUED] + q]
        if n >= cfg[w.DEPTH]:
            continue
        st[base + w.TRY_MOVE] = 1
        if drain > 0:
            drain -= 1
            if pending(st, cfg, base, st[base + s + cfg[w.ADDRESS]], 0) >= 0:
                drain = 0  # an older read goes first
                break
        for y in range(x, last - 1):
            st[y] = st[y + 1]
        st[base + counter] -= 1
        st[base + cfg[w.QUEUE] + q * cfg[w.DEPTH] + n] = s
        st[base + cfg[w.QUEUED] + q] += 1
        st[base + cfg[w.QUEUE_WAKE] + q] = 0
        st[base + w.N_QUEUED] += 1
        break
    st[base + w.DRAIN] = drain
