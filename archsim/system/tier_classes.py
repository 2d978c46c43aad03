"""Classes of tensors while they find their places, and the table of what found none.

Here are the classes themselves, those that a cache of experts adds, and the refusal. Who gets which
room is decided in `system.tiers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from archsim.core.errors import Infeasible, InputError
from archsim.core.units import format_bytes
from archsim.ir.graph import OpGraph
from archsim.system.build import Machine
from archsim.system.cached_share import Policy, rule_of
from archsim.system.expert_cache import ExpertCache
from archsim.system.homes import Homes
from archsim.system.paged_cache import PageRule, padded_bytes, page_tokens


@dataclass
class TensorClass:
    """One class of tensors while it is placed: (name, copies, bytes of one, share touched).

    With a policy other than `pinned`, its tensors are cached in the nearest memory, which is none
    of its own. `times` of its copies are used in turn, by microbatches under way at once.
    """

    name: str
    order: tuple[str, ...]
    tensors: list[tuple[str, int, int, Fraction]]
    placed: dict[str, dict[str, int]] = field(default_factory=dict)  # tensor -> memory -> bytes
    short: int = 0
    policy: Policy = "pinned"
    pages: tuple[PageRule, int] | None = None  # it lies in pages of so many tokens
    times: int = 1

    @property
    def need(self) -> int:
        """Bytes of all its tensors, repeats counted."""
        return sum(copies * size for _, copies, size, _ in self.tensors)


def expert_classes(
    machine: Machine,
    stacks: Sequence[tuple[str, int, int, Fraction]],
    order: Sequence[str],
    experts: ExpertCache,
) -> list[TensorClass]:
    """Experts twice: those that the nearest memory has room for, and all of them behind it.

    Where it has room for all, there is nothing behind it.

    Raises:
        InputError: E201 when there is no memory behind, or it is joined to the chip itself.
    """
    near = machine.dram.name
    held = experts.tensors
    copies = [(n, times, held[n], heat) for n, times, _, heat in stacks]
    behind = [one for one in stacks if held[one[0]] < one[2]]
    found = [TensorClass("expert_cache", (near,), copies)]
    if behind:
        away = _behind(machine, order, "placement.experts keeps experts")
        found.append(TensorClass("experts", away, behind))
    return found


def cached_classes(
    graph: OpGraph,
    machine: Machine,
    name: str,
    tensors: Sequence[tuple[str, int, int, Fraction]],
    order: Sequence[str],
) -> list[TensorClass]:
    """The tensors of a class by policy and memories: first those pinned where the class lies."""
    rules = machine.spec.placement.residency
    own = tuple(order)
    groups: dict[tuple[Policy, tuple[str, ...]], list[tuple[str, int, int, Fraction]]] = {
        ("pinned", own): []
    }
    for one in tensors:
        said = rule_of(rules, name, one[0])
        groups.setdefault((said.policy, said.memories or own), []).append(one)
    found = [TensorClass(name, own, groups.pop(("pinned", own)))]
    rule = machine.spec.placement.kv_pages
    if rule is not None and name == "kv_cache":
        tokens = page_tokens(rule, machine.spec)
        found[0].tensors = [
            (tensor, copies, padded_bytes(graph, tensor, tokens), heat)
            for tensor, copies, _, heat in found[0].tensors
        ]
        found[0].pages = rule, tokens
    for (policy, memories), some in sorted(groups.items()):
        if policy == "pinned":
            found.append(TensorClass(f"{name}_in_{memories[0]}", memories, some))
            continue
        away = _behind(machine, memories, "placement.residency keeps tensors")
        of = f"{name}_{policy}" if memories == own else f"{name}_{policy}_in_{memories[0]}"
        found.append(TensorClass(of, away, some, policy=policy))
    return found


def _behind(machine: Machine, order: Sequence[str], what: str) -> tuple[str, ...]:
    """The memories behind the nearest one, for what is copied from there.

    Raises:
        InputError: E201 when there is none, or it is joined to the chip itself.
    """
    near = machine.dram.name
    away = tuple(m for m in order if m != near)
    if not away:
        message = f"{what} in {near}, and no memory behind it holds them"
        raise InputError(message, code="E201", help="list one more memory in placement")
    direct = next((m for m in away if len(machine.route(m)) == 1), None)
    if direct:
        message = f"{what} in {near}, and {direct} is joined to the chip"
        raise InputError(message, code="E201", help=f"a dma from {direct} to {near}")
    return away


def under_way(held: int) -> str:
    """Words for so many microbatches that have their caches at the same time."""
    return f" with {held} microbatches under way" if held > 1 else ""


def fewer(held: int) -> str:
    """What helps where several are under way."""
    return "fewer microbatches, more pipeline stages, " if held > 1 else ""


def refusal(
    graph: OpGraph, machine: Machine, classes: Sequence[TensorClass], taken: Homes, held: int = 1
) -> Infeasible:
    """E401: by class what is needed, where it may lie, what found room and what is short."""
    need = sum(c.need for c in classes)
    holds = sum(m.capacity_bytes for m in machine.tiers)
    rows = [("class", "need", "may lie in", "placed", "short")]
    data = []
    for c in classes:
        where = ", ".join(c.order)
        sizes = c.need, c.need - c.short, c.short
        text = [format_bytes(n) for n in sizes]
        rows.append((c.name, text[0], where, text[1], text[2]))
        data.append({"class": c.name, "need_bytes": c.need, "where": list(c.order),
                     "placed_bytes": sizes[1], "short_bytes": c.short})  # fmt: skip
    for m in machine.tiers:
        if size := taken.reserved(m.name):
            text = [format_bytes(size)]
            rows.append(("staging", text[0], m.name, text[0], "0 B"))
            data.append({"class": "staging", "need_bytes": size, "where": [m.name],
                         "placed_bytes": size, "short_bytes": 0})  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    table = "\n".join(
        "        " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    memories = ", ".join(f"{m.name} {format_bytes(m.capacity_bytes)}" for m in machine.tiers)
    short = sum(c.short for c in classes)
    return Infeasible(
        f"{graph.name} needs {format_bytes(need)}{under_way(held)}, "
        f"{machine.spec.name} holds {format_bytes(holds)} "
        f"({memories}): short by {format_bytes(short)}",
        code="E401",
        help=f"{fewer(held)}narrower dtypes, a smaller batch, more memories in placement, or "
        f"--set memory.{machine.tiers[-1].name}.capacity=...\n{table}",
        details={"classes": data, "capacity_bytes": {m.name: m.capacity_bytes
                                                     for m in machine.tiers}},
    )  # fmt: skip
