"""What a command does to a channel: rows, first legal ticks of others, counts, waiting.

Plain functions over flat integer arrays, which numba compiles. Which command is issued when is in
`pim_channel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.memory.pim import pim_words as w

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    Ints = MutableSequence[int]


def ready_word(st: Ints, cfg: Ints, base: int, command: int, bank: int) -> int:
    """Word of the latest first legal tick of a command, of those of its nodes."""
    word = base + cfg[w.READY] + command
    if cfg[cfg[w.SCOPE] + command] > 0:
        group = base + cfg[w.READY_GROUP] + bank // cfg[w.GROUP_BANKS] * cfg[w.COMMANDS] + command
        if st[group] > st[word]:
            word = group
        own = base + cfg[w.READY_BANK] + bank * cfg[w.COMMANDS] + command
        if st[own] > st[word]:
            word = own
    return word


def next_command(st: Ints, cfg: Ints, base: int, final: int, bank: int, row: int) -> int:
    """Command that a request needs next: its own, or one that opens or closes rows."""
    needs = cfg[cfg[w.NEEDS] + final]
    if needs == w.NO_ROW:
        return final
    if needs == w.ONE_BANK:
        found = st[base + cfg[w.OPEN] + bank]
        if found == row:
            return final
        return cfg[w.OPEN_BANK] if found == w.CLOSED else cfg[w.CLOSE_BANK]
    uniform = st[base + w.UNIFORM]
    if uniform == row:
        return final
    close = uniform >= 0
    if uniform == w.MIXED:
        for b in range(cfg[w.BANKS]):
            found = st[base + cfg[w.OPEN] + b]
            close = close or found not in (row, w.CLOSED)
    return cfg[w.CLOSE_ALL] if close else cfg[w.OPEN_ALL]


def set_rows(st: Ints, cfg: Ints, base: int, now: int, first: int, end: int, row: int) -> None:
    """Banks from first to before end get a row, or are closed."""
    count = st[base + w.N_OPEN]
    st[base + w.OPEN_BANK_TICKS] += count * (now - st[base + w.CHANGED])
    if count > 0:
        st[base + w.ROW_TICKS] += now - st[base + w.CHANGED]
    st[base + w.CHANGED] = now
    for b in range(first, end):
        count += (row >= 0) - (st[base + cfg[w.OPEN] + b] >= 0)
        st[base + cfg[w.OPEN] + b] = row
    st[base + w.N_OPEN] = count
    if end - first == cfg[w.BANKS]:
        st[base + w.UNIFORM] = row
        return
    same = st[base + cfg[w.OPEN]]
    for b in range(cfg[w.BANKS]):
        if st[base + cfg[w.OPEN] + b] != same:
            same = w.MIXED
    st[base + w.UNIFORM] = same


def issue(
    st: Ints, cfg: Ints, rules: Ints, base: int, now: int, command: int, bank: int, row: int,
    arrived: int, word: int, channel: int, log: Ints,
) -> None:  # fmt: skip
    """Issue one command.

    Args:
        st: State.
        cfg: Options.
        rules: Word of the first rule after each command, then the rules: section of the level,
            next command, ticks, reason.
        base: First word of the channel.
        now: Tick.
        command: What is issued.
        bank: Bank, or -1.
        row: Row of the request.
        arrived: Tick from which the request waited.
        word: Word of the first legal tick of what was to be issued.
        channel: Number of the channel group, for the log.
        log: Commands as tick, channel group, command, bank, row; or empty.
    """
    waited = base + cfg[w.WAITED]
    begin = st[base + w.LAST_ISSUE] + 1
    came = min(max(arrived, begin), now)
    legal = min(max(st[word], came), now)
    st[waited + w.NOBODY] += came - begin
    st[waited + w.TURN] += now - legal
    if legal > came:
        because = word - cfg[w.READY] + cfg[w.BECAUSE]
        st[waited + st[because]] += legal - came
    st[base + w.LAST_ISSUE] = now
    st[base + cfg[w.COUNT] + command] += 1
    if len(log) > 0:
        at = st[w.LOGGED]
        st[w.LOGGED] = at + 5
        if at + 5 <= len(log):
            log[at] = now
            log[at + 1] = channel
            log[at + 2] = command
            log[at + 3] = bank if cfg[cfg[w.SCOPE] + command] > 0 else -1
            log[at + 4] = row
    for x in range(rules[command], rules[command + 1], 4):
        section = rules[x]
        to = base + cfg[section] + rules[x + 1]
        if section == w.READY_GROUP:
            to += bank // cfg[w.GROUP_BANKS] * cfg[w.COMMANDS]
        elif section == w.READY_BANK:
            to += bank * cfg[w.COMMANDS]
        if now + rules[x + 2] > st[to]:
            st[to] = now + rules[x + 2]
            st[to - cfg[w.READY] + cfg[w.BECAUSE]] = rules[x + 3]
    if command == cfg[w.OPEN_ALL]:
        set_rows(st, cfg, base, now, 0, cfg[w.BANKS], row)
    elif command == cfg[w.CLOSE_ALL] or cfg[cfg[w.CLOSES] + command] > 0:
        set_rows(st, cfg, base, now, 0, cfg[w.BANKS], w.CLOSED)
    elif command == cfg[w.OPEN_BANK]:
        set_rows(st, cfg, base, now, bank, bank + 1, row)
    elif command == cfg[w.CLOSE_BANK]:
        set_rows(st, cfg, base, now, bank, bank + 1, w.CLOSED)
