"""Ops that a dispatch rule splits: they become parts for several engines at once.

A graph pass before anything is placed. What belongs together is dealt as one: the experts of a
layer with the activation between their products, or scores, softmax and values. A part's ops are
called `moe.gate@pim`; selectors of the op cover all of its parts. Where one side is left without
work the ops stay whole, on the engine that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from archsim.components._pim import PimEngine
from archsim.components.base import Engine, KernelEngine, MacEngine
from archsim.core.errors import InputError, Unmappable
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.ir.tensor import DType
from archsim.system.build import Machine
from archsim.system.dispatch import Dispatcher, dispatched
from archsim.system.dispatch_estimate import can_take
from archsim.system.dispatch_rule import SplitRule
from archsim.system.split_attention import attention_chains, attention_part, heads_of
from archsim.system.split_columns import Columns, column_chains
from archsim.system.split_deal import NEVER, Load, load_of, shared_out, solved
from archsim.system.split_experts import expert_chains, expert_part, items_of
from archsim.system.split_parts import Part, whole_part


@dataclass(frozen=True)
class Deal:
    """A chain that may be dealt out.

    Attributes:
        sizes: work of each item, in the order in which they are dealt.
        part: of the items from one on up to another, for an engine by name.
    """

    sizes: tuple[int, ...]
    part: Callable[[int, int, str], Part]


def split_ops(graph: OpGraph, machine: Machine) -> OpGraph:
    """The graph with parts in place of what rules split; one that has parts stays as it is.

    Raises:
        InputError: E201 where a rule deals an op to an engine that cannot run it.
    """
    rules = [i for i, rule in enumerate(machine.spec.dispatch) if rule.split]
    if not rules or any(op.split_for for _, op in graph.ops()):
        return graph
    dispatcher = dispatched(machine, graph).dispatcher
    assert dispatcher is not None
    tensors = dict(graph.tensors)
    blocks = []
    for block in graph.blocks:
        places: dict[str, tuple[Op, ...]] = {}
        for number, chain in _chains(graph, block, machine, dispatcher):
            split = machine.spec.dispatch[number].split
            assert split is not None
            parts = _parts(graph, machine, number, split, block, chain)
            for part in parts:
                tensors |= part.tensors
            for i, op in enumerate(chain):
                places[op.name] = tuple(part.ops[i] for part in parts)
        ops = tuple(part for op in block.ops for part in places.get(op.name, (op,)))
        blocks.append(replace(block, ops=ops))
    for name in _tensors(graph.blocks) - _tensors(blocks):  # that whole ops handed to each other
        del tensors[name]
    return replace(graph, blocks=tuple(blocks), tensors=tensors)


def _tensors(blocks: Iterable[Block]) -> set[str]:
    """Names of the tensors that ops of some blocks reach."""
    return {a.tensor for block in blocks for op in block.ops for a in (*op.reads, *op.writes)}


def _chains(
    graph: OpGraph, block: Block, machine: Machine, dispatcher: Dispatcher
) -> Iterator[tuple[int, tuple[Op, ...]]]:
    """Chains of a block that a rule splits, each with the number of that rule."""
    chains = *expert_chains(block), *attention_chains(graph, block), *column_chains(graph, block)
    for chain in chains:
        found = {dispatcher.split_rule(f"{block.name}/{o.name}", o) for o in chain if o.is_mac}
        number = found.pop()
        if number is not None and not found:
            yield number, chain


def _parts(
    graph: OpGraph,
    machine: Machine,
    number: int,
    split: SplitRule,
    block: Block,
    chain: tuple[Op, ...],
) -> tuple[Part, ...]:
    """The parts of a chain; itself, for one engine, where the others are left without work."""
    able = _able(graph, machine, number, split, block, chain)
    deal = _deal(graph, split, chain)
    if deal is None or not able:
        return (whole_part("", chain),)
    spans = _spans(graph, machine, split, deal, able, block.name)
    busy = [(name, a, b) for name, (a, b) in zip(able, spans, strict=True) if a < b]
    if len(busy) == 1:
        return (whole_part(busy[0][0], chain),)
    return tuple(deal.part(a, b, name) for name, a, b in busy)


def _able(
    graph: OpGraph,
    machine: Machine,
    number: int,
    split: SplitRule,
    block: Block,
    chain: tuple[Op, ...],
) -> tuple[str, ...]:
    """The engines of a rule that a chain may be dealt to.

    An engine inside a memory gets nothing of a chain whose matrices are made during the run.
    """
    able = list(split.over)
    for op in (op for op in chain if op.is_mac):
        matrix = graph.tensors[op.reads[1].tensor]
        for i, name in enumerate(split.over):
            engine, path = machine.engines[name], f"{block.name}/{op.name}"
            if can_take(machine, graph, engine, op):
                continue
            if why := _because(engine, op, matrix.dtype):
                raise InputError(
                    f"dispatch[{number}] deals {path} to {name}, which does not run it",
                    code="E201",
                    help=why,
                    details={"path": f"dispatch[{number}].split.over[{i}]"},
                )
            able = [one for one in able if one != name]
    return tuple(able)


def _because(engine: Engine, op: Op, dtype: DType) -> str:
    """Why an engine runs no products of a kind or an element type; empty where it does."""
    if not engine.can_run(op):
        return f"a {engine.kind} runs: {', '.join(sorted(engine.KINDS))}"
    if isinstance(engine, MacEngine) and not engine.takes(dtype):
        return f"it has no rate for {dtype.computes_as}"
    return ""


def _deal(graph: OpGraph, split: SplitRule, chain: tuple[Op, ...]) -> Deal | None:
    """What of a chain may be dealt; None where nothing is."""
    if split.by == "experts":
        if chain[0].picks is None:
            return None
        items = items_of(graph, chain, split.spaces)
        sizes = tuple(sum(n for _, n in item) for item in items)

        def experts(start: int, stop: int, engine: str) -> Part:
            return expert_part(graph, chain, items, start, stop, engine)

        return Deal(sizes, experts)
    if split.by == "columns":
        columns = Columns(chain[0])
        return Deal(columns.sizes, partial(columns.part, graph))
    if len(chain) == 1:  # no attention
        return None
    heads = heads_of(graph, chain, split.by)
    if heads is None:
        return None

    def problems(start: int, stop: int, engine: str) -> Part:
        return attention_part(graph, chain, heads, start, stop, engine)

    return Deal(heads.sizes, problems)


def _spans(
    graph: OpGraph,
    machine: Machine,
    split: SplitRule,
    deal: Deal,
    able: tuple[str, ...],
    block: str,
) -> tuple[tuple[int, int], ...]:
    """The items of each engine that gets some."""
    if split.ratio is not None and len(able) > 1:
        return shared_out(deal.sizes, split.ratio)

    units = [machine.engines[name] for name in able]
    inside = next((unit for unit in units if isinstance(unit, PimEngine)), None)

    def load(j: int, start: int, stop: int) -> Load:
        part = deal.part(start, stop, able[j])
        some = replace(graph, tensors={**graph.tensors, **part.tensors})
        alone = stop - start == len(deal.sizes)
        try:
            return load_of(machine, some, block, part, None if alone else inside)
        except Unmappable:
            return NEVER

    taking_turns = split.by != "experts" and _one_unit(machine, graph, deal, able, block)
    return solved(len(deal.sizes), len(able), load, taking_turns=taking_turns)


def _one_unit(
    machine: Machine, graph: OpGraph, deal: Deal, able: tuple[str, ...], block: str
) -> bool:
    """Whether vector ops of several parts run on one unit: it ends those of a part before others.

    Kernels are left out, they have lanes of their own.
    """
    found: list[str] = []
    for name in able:
        if isinstance(machine.engines[name], KernelEngine):
            continue
        part = deal.part(0, len(deal.sizes), name)
        own = Block(block, 1, part.ops)
        some = replace(graph, tensors={**graph.tensors, **part.tensors}, blocks=(own,))
        dispatcher = Dispatcher(replace(machine, dispatcher=None), some)
        ops = [op for op in part.ops if not op.is_mac]
        found += {dispatcher.of(f"{block}/{op.name}", op).engine for op in ops}
    return len(set(found)) < len(found)
