"""One request comes to a unified controller: refused, merged, answered from a write, or queued.

What it needs next is its key (see `unified_words`). When requests come is decided in
`unified_kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.controllers import unified_words as w

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def returns(st: Ints, cfg: Ints, origin: int, base: int, number: int, tick: int) -> None:
    """Note that a read's data is back at a tick; data comes back in order."""
    back = max(st[base + w.RETIRED_BY], tick)
    st[base + w.RETIRED_BY] = back
    if number >= st[origin + w.FROM]:
        st[origin + w.LAST_DONE] = max(st[origin + w.LAST_DONE], back)
    if cfg[w.OUTSTANDING] > 0:
        k = (st[base + w.RING_HEAD] + st[base + w.N_RING]) % cfg[w.RING_SIZE]
        st[base + cfg[w.RING] + k] = back
        st[base + w.N_RING] += 1


def retire(st: Ints, cfg: Ints, base: int, tick: int) -> int:
    """Forget the reads whose data is back by a tick, and say how many they are."""
    done = 0
    while st[base + w.N_RING] > 0 and st[base + cfg[w.RING] + st[base + w.RING_HEAD]] <= tick:
        st[base + w.RING_HEAD] = (st[base + w.RING_HEAD] + 1) % cfg[w.RING_SIZE]
        st[base + w.N_RING] -= 1
        done += 1
    return done


def accept(  # noqa: PLR0912, PLR0915 - every call costs compiled code its arrays
    st: Ints, cfg: Ints, origin: int, base: int, cyc: int, asked: Ints, x: int, latency: Ints
) -> bool:
    """Take the request at word x after tick `cyc`; False when its queue is full."""
    write = asked[x + 4]
    size = st[base + w.N_WRITE] if write else st[base + w.N_READ]
    full = size >= (cfg[w.WRITE_SIZE] if write else cfg[w.READ_SIZE])
    if full and st[base + w.N_WRITE] == 0:
        return False
    b, row, address = asked[x + 1], asked[x + 2], asked[x + 3]
    reads = cfg[w.READ_SIZE]
    order = base + cfg[w.SLOT]
    found = False
    for k in range(st[base + w.N_WRITE]):  # a write that is being served no longer answers
        if st[base + cfg[w.ADDRESS] + st[order + reads + k]] == address:
            found = True
            break
    if full and not found:
        return False
    number = st[origin + w.TAKEN]
    st[origin + w.TAKEN] += 1
    st[origin + (w.WRITES if write else w.READS)] += 1
    if found and write:
        st[base + w.MERGED] += 1
        st[origin + w.DONE] += 1
        st[origin + w.LAST_DONE] = max(st[origin + w.LAST_DONE], cyc + 1)
        return True
    if found:
        st[base + w.FORWARDED] += 1
        st[base + w.LATENCY_SUM] += 1
        st[base + w.LATENCY_MAX] = max(st[base + w.LATENCY_MAX], 1)
        if len(latency) > 0:
            latency[number] = 1
        returns(st, cfg, origin, base, number, cyc + 1)
        return True

    st[origin + w.PENDING] += 1
    st[base + w.N_FREE] -= 1
    s = st[base + cfg[w.FREE] + st[base + w.N_FREE]]
    st[base + cfg[w.ROW] + s] = row
    st[base + cfg[w.ADDRESS] + s] = address
    st[base + cfg[w.ARRIVAL] + s] = cyc
    st[base + cfg[w.TOUCHED] + s] = 0
    st[base + cfg[w.IS_WRITE] + s] = write
    st[base + cfg[w.NUMBER] + s] = number
    st[order + (reads + size if write else size)] = s
    st[base + (w.N_WRITE if write else w.N_READ)] += 1
    st[base + w.WAKE] = min(st[base + w.WAKE], cyc + 1)

    nb = cfg[w.BANKS]
    open_row = st[base + cfg[w.OPEN] + b]
    if open_row < 0:
        key = w.ACT * nb + b
    elif open_row == row:
        key = write * nb + b
    else:
        key = (w.BLOCKED if st[base + cfg[w.USED] + b] > 0 else w.PRE) * nb + b
    st[base + cfg[w.KEY] + s] = key
    last = -1  # behind the bank's other requests
    other = st[base + cfg[w.FIRST] + b]
    while other >= 0:
        if cfg[w.ROW_HIT_FIRST] and st[base + cfg[w.IS_WRITE] + other] == write:
            if key == w.PRE * nb + b and st[base + cfg[w.KEY] + other] == write * nb + b:
                key = w.BLOCKED * nb + b
                st[base + cfg[w.KEY] + s] = key
            # a hit of the same tick holds an equally old precharge back as well
            if (
                key == write * nb + b
                and st[base + cfg[w.KEY] + other] == w.PRE * nb + b
                and st[base + cfg[w.ARRIVAL] + other] == cyc
            ):
                st[base + cfg[w.KEY] + other] = w.BLOCKED * nb + b
        last = other
        other = st[base + cfg[w.NEXT_SLOT] + other]
    st[base + cfg[w.NEXT_SLOT] + s] = -1
    if last < 0:
        st[base + cfg[w.FIRST] + b] = s
    else:
        st[base + cfg[w.NEXT_SLOT] + last] = s
    return True
