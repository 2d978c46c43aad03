"""What attention with its scores on chip moves of each tensor, beside what it would without."""

from typing import Any


def operand_bytes(stage: Any, plan: Any, count: int) -> dict[str, dict[str, int]]:
    """Bytes through memory by tensor, all repeats together: of the mapping, and unfused.

    Empty for a stage that is no attention in tiles. `unfused` is the least of three ops, each
    tensor through memory once an op; what stays on chip here is left out there too.
    """
    from archsim.ir.attention import AttentionBackwardMapping, AttentionMapping
    from archsim.ir.attention_problem import attention_problem
    from archsim.ir.flash import FlashMapping
    from archsim.ir.flash_io import unfused_bytes
    from archsim.system.flash import operands

    mapping = stage.mapping
    if not isinstance(mapping, FlashMapping | AttentionMapping):
        return {}
    if isinstance(mapping, AttentionBackwardMapping):
        return {}
    names = operands(stage)
    if isinstance(mapping, FlashMapping):
        problem, moved = mapping.problem, mapping.traffic()
    else:
        problem = attention_problem(stage.ops, plan.graph.tensors, plan.accumulator_bits)
        sizes = {flow.tensor: flow.size_bytes for flow in (*mapping.loads, *mapping.stores)}
        moved = {word: sizes.get(name, 0) for word, name in names.items()}
    if problem.one_cache:  # keys are their values too
        moved["v"] = 0
    apart = unfused_bytes(problem)
    apart |= {word: 0 for word, name in names.items() if name in plan.resident}
    return {
        "moved": {word: count * size for word, size in moved.items()},
        "unfused": {word: count * size for word, size in apart.items()},
    }


def operand_lines(found: dict[str, dict[str, int]]) -> list[str]:
    """The same as text, with the ratio of both totals where the mapping moves anything."""
    from archsim.core.units import format_bytes

    lines = []
    totals = {}
    for kind, label in (("moved", "attention moves"), ("unfused", "unfused it would")):
        if found:
            parts = [f"{word} {format_bytes(n)}" for word, n in found[kind].items() if n]
            totals[kind] = sum(found[kind].values())
            total = format_bytes(totals[kind])
            lines.append(f"  {label}: {', '.join(parts) or 'nothing'}; together {total}")
    if totals.get("moved"):
        lines[-1] += f", {totals['unfused'] / totals['moved']:.3g} times as much"
    return lines
