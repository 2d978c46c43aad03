"""Is a program well formed: indices, who may use a channel, balance of the whole and of blocks.

One walk of the tree, whatever the repetitions. Whether it can end is asked in `untimed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from archsim.sim.errors import MalformedProgram
from archsim.sim.program import Leaf, Loop, Program, Row

FILLING, READING, TOKENS = range(3)  # slots a producer holds, slots a consumer holds, tokens
Tally = dict[tuple[int, int], tuple[int, int]]  # (channel, account) -> net change, lowest level
Items = tuple[tuple[tuple[int, int], tuple[int, int]], ...]
Channels = tuple[int, ...]

MOST_UNITS = 32_000  # so that a unit fits the 16-bit column of the step log
MOST_PS = 2**62  # so that no time leaves 64 bits


def check_form(program: Program) -> None:
    """Raise MalformedProgram unless every engine may trust the program's indices and balance."""
    problem = next(_problems(program), None)
    if problem is not None:
        raise MalformedProgram(problem)


def _problems(program: Program) -> Iterator[str]:
    names = [unit.name for unit in program.units]
    if len(set(names)) != len(names):
        yield f"two units are named {next(n for n in names if names.count(n) > 1)!r}"
    if len(names) > MOST_UNITS:
        yield f"{len(names)} units; at most {MOST_UNITS} are supported"
    for channel in program.channels:
        if channel.depth < 1:
            yield f"channel {channel.name} has depth {channel.depth}; the least is 1"
        if not all(0 <= u < len(names) for u in (channel.producer, channel.consumer)):
            yield f"channel {channel.name} ends at a unit that does not exist"
    ends = [c.consumer for c in program.channels], [c.producer for c in program.channels]
    for index, row in enumerate(program.rows):
        if 0 <= row.unit < len(names):
            yield from _row_problems(program, index, row, ends)
        else:
            where = f"row {index} (op {row.op})"
            yield f"{where} belongs to unit {row.unit}, which does not exist"
    for node in program.tree:
        yield from _range_problems(program, node)
    yield from _balance_problems(program)
    if program.upper_bound_ps() >= MOST_PS:
        yield f"all durations add up to {program.upper_bound_ps()} ps; at most {MOST_PS} fit"


def _row_problems(
    program: Program, index: int, row: Row, ends: tuple[list[int], list[int]]
) -> Iterator[str]:
    """Mistakes of one row; `ends` are the consumers and the producers of all channels."""
    where = f"row {index} (op {row.op})"
    unit = program.units[row.unit]
    if row.dur_ps < 0 or row.lag_ps < 0 or row.run < 1:
        yield f"{where} has a negative duration or lag, or no repetition"
    if unit.timeline is not None and row.dur_ps < 1:
        yield f"{where} uses the shared timeline {unit.timeline} for no time"
    consumers, producers = ends
    for verb, used, role, owners in (
        ("take", row.take, "consumer", consumers),
        ("reserve", row.reserve, "producer", producers),
        ("put", row.put, "producer", producers),
        ("free", row.free, "consumer", consumers),
    ):
        for c in used:
            if not 0 <= c < len(owners):
                yield f"{where} would {verb} channel {c}, which does not exist"
            elif owners[c] != row.unit:
                name = program.channels[c].name
                yield f"{where} would {verb} {name}, but {unit.name} is not its {role}"


def _range_problems(program: Program, node: Loop | Leaf) -> Iterator[str]:
    if isinstance(node, Loop):
        if node.n < 1:
            yield f"loop {node.name!r} repeats {node.n} times; the least is 1"
        for child in node.body:
            yield from _range_problems(program, child)
    elif not all(0 <= row < len(program.rows) for row in node.rows):
        yield "a leaf names a row that does not exist"


def _balance_problems(program: Program) -> Iterator[str]:
    seen: dict[int, Tally] = {}
    for node in program.tree:
        yield from _loop_problems(program, node, seen)
    whole = _sequence(program, program.tree, seen)
    yield from _unbalanced(program, whole, "the program")
    for (c, account), (_, low) in sorted(whole.items()):
        name = program.channels[c].name
        if account == FILLING and low < 0:
            yield f"a token of {name} is put before its slot is reserved"
        if account == READING and low < 0:
            yield f"a slot of {name} is freed before its token is taken"


def _loop_problems(program: Program, node: Loop | Leaf, seen: dict[int, Tally]) -> Iterator[str]:
    if isinstance(node, Loop):
        for child in node.body:
            yield from _loop_problems(program, child, seen)
        if node.block:  # other loops may claim here what a later one gives back
            body = _sequence(program, node.body, seen)
            own = {key: n for key, n in body.items() if not _joins(program, key)}
            yield from _unbalanced(program, own, f"a run of the body of loop {node.name!r}")


def _joins(program: Program, key: tuple[int, int]) -> bool:
    """True for the tokens of a channel between units of different loops."""
    c, account = key
    return account == TOKENS and program.channels[c].across


def _unbalanced(program: Program, tally: Tally, where: str) -> Iterator[str]:
    words = {
        FILLING: ("reserves", "puts"),
        READING: ("takes", "frees"),
        TOKENS: ("puts", "takes"),
    }
    for (c, account), (net, _) in sorted(tally.items()):
        if net:
            more, less = words[account] if net > 0 else words[account][::-1]
            name = program.channels[c].name
            yield f"{where} has {abs(net)} more {more} than {less} on channel {name}"


def _tally(program: Program, node: Loop | Leaf, seen: dict[int, Tally]) -> Tally:
    """Net change and lowest level of every account over one node."""
    known = seen.get(id(node))
    if known is None:
        if isinstance(node, Loop):
            body = _sequence(program, node.body, seen)
            known = {
                key: (net * node.n, min(low, net * (node.n - 1) + low))
                for key, (net, low) in body.items()
            }
        else:
            known = {}
            for row in node.rows:
                one = program.rows[row]
                _append(known, _row_tally(one.take, one.reserve, one.put, one.free, one.run))
        seen[id(node)] = known
    return known


def _sequence(program: Program, nodes: tuple[Loop | Leaf, ...], seen: dict[int, Tally]) -> Tally:
    total: Tally = {}
    for node in nodes:
        _append(total, _tally(program, node, seen))
    return total


def _append(total: Tally, then: Tally | Items) -> None:
    for key, (net, low) in then.items() if isinstance(then, dict) else then:
        if key in total:
            before, lowest = total[key]
            total[key] = before + net, (before + low if before + low < lowest else lowest)
        else:
            total[key] = net, (low if low < 0 else 0)


@lru_cache(maxsize=4096)
def _row_tally(take: Channels, reserve: Channels, put: Channels, free: Channels, run: int) -> Items:
    """What steps of a row change, as the items of a tally; alike rows are many."""
    change: dict[tuple[int, int], int] = {}
    verbs = (
        (reserve, FILLING, 1),
        (put, FILLING, -1),
        (take, READING, 1),
        (free, READING, -1),
        (put, TOKENS, 1),
        (take, TOKENS, -1),
    )
    for channels, account, sign in verbs:
        for c in channels:
            change[c, account] = change.get((c, account), 0) + sign * run
    return tuple((key, (net, min(0, net))) for key, net in change.items())
