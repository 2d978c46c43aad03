"""What the file of a command set may not contradict, each mistake at its place in the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from archsim.core.errors import Diagnostic, nearest
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.standard import sum_of

if TYPE_CHECKING:
    from archsim.core.document import Document

    Named = Iterator[tuple[tuple[str | int, ...], str]]

ORDINARY = ("ACT", "PREpb", "PREab", "RD", "WR", "RDA", "WRA", "REFab", "REFpb")
"""Commands of every standard, which a set without roles need not describe."""


def mistakes(found: CommandSet, document: Document) -> Iterator[Diagnostic]:
    """Commands that a file names and does not describe, amounts that are no sums, wrong levels."""
    known = (*found.commands, *(() if found.roles else ORDINARY))
    for path, word in (*_named(found), *_in_rules(found)):
        if word not in known:
            close = nearest(word, known)
            yield document.diagnostic(
                path, "E108", f'command "{word}" is not one of {", ".join(known)}',
                help=f'did you mean "{close}"?' if close else None,
            )  # fmt: skip
        elif (
            path[0] == "rules"
            and _level(found, path) != "channel"
            and word in found.commands
            and found.commands[word].scope == "channel"
        ):
            yield document.diagnostic(
                path, "E202",
                f"{word} goes to a whole channel and meets no rule of a {_level(found, path)}",
            )  # fmt: skip
    yield from _blocking(found, document)
    form = found.product
    if form is not None and form.ahead_bytes and (found.roles or found.queue or form.result):
        yield document.diagnostic(
            ("product", "ahead_bytes"), "E202",
            "units that read ahead have no modes, no queue and no command that reads results",
        )  # fmt: skip
    for path, amount in found.sums():
        if isinstance(amount, str) and not sum_of(amount):
            yield document.diagnostic(
                path, "E105", f'"{amount}" is not a sum of timings', help="example `nCL + nBL + 2`"
            )


def _blocking(found: CommandSet, document: Document) -> Iterator[Diagnostic]:
    """A decoder that waits needs something to come back, whoever sent it."""
    blocking = {form.command for form in found.instructions.values() if form.blocks}
    for name, form in found.instructions.items():
        command = found.commands.get(form.command or "")
        if form.blocks and (command is None or not command.returns):
            yield document.diagnostic(
                ("instructions", name, "blocks"), "E202",
                f"{name} waits for {form.command or 'a command'}, which returns nothing",
            )  # fmt: skip
        elif not form.blocks and form.command in blocking:
            yield document.diagnostic(
                ("instructions", name, "command"), "E202",
                f"{form.command} blocks for another instruction and not for {name}",
            )  # fmt: skip


def _named(found: CommandSet) -> Named:
    """Commands outside rules, with their places."""
    if found.roles is not None:
        for role, word in found.roles.to_data().items():
            yield ("roles", role), str(word)
    for name, command in found.commands.items():
        for key in ("opened_by", "closed_by"):
            if word := getattr(command, key):
                yield ("commands", name, key), word
    if found.product is not None:
        for key in ("open", "close", "mac", "input", "bias", "result"):
            if word := getattr(found.product, key):
                yield ("product", key), word
    for word in found.energies:
        yield ("energies", word), word
    for name, form in found.instructions.items():
        if form.command is not None:
            yield ("instructions", name, "command"), form.command


def _in_rules(found: CommandSet) -> Named:
    for group, rules in found.rules.items():
        for i, rule in enumerate(rules):
            for key, words in (("previous", rule.previous), ("next", rule.next)):
                for j, word in enumerate(words):
                    yield ("rules", group, i, key, j), word


def _level(found: CommandSet, path: tuple[str | int, ...]) -> str:
    group, i = path[1], path[2]
    assert isinstance(group, str)
    assert isinstance(i, int)
    return found.rules[group][i].level
