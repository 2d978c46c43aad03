"""A mapping of one attention kernel: thread blocks dealt to SMs, and what passes through memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archsim.ir.kernel import Flow, KernelMapping


@dataclass(frozen=True, kw_only=True)
class AttentionMapping(KernelMapping):
    """The grid of one attention kernel, with what it costs in total.

    Attributes:
        form: prefill (tiles of queries), decode (one query a sequence) or backward.
        ctas: thread blocks.
        slots: of them at once: SMs, times blocks that share one.
        tile: queries and keys of a step; in decode the tokens of a thread block.
        split: most parts that a context is cut into.
        compute_ps: makespan of the thread blocks, were all operands there.
        tail_ps: after the last thread block: parts of a context joined, misses and overlap lost.
        steps: pieces in which operands arrive and are used.
        efficiency: share of the memory's peak bandwidth; None is the memory's own.
        loads, stores: tensors through memory.
        counts: what the whole kernel counts, by counter.
    """

    form: str
    ctas: int
    slots: int
    tile: Mapping[str, int]
    split: int = 1
    compute_ps: int
    tail_ps: int = 0
    steps: int
    efficiency: float | None = None
    loads: tuple[Flow, ...] = ()
    stores: tuple[Flow, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    dataflow: str = "flash_attention"

    @property
    def order(self) -> tuple[str, ...]:
        """Loops of the kernel, outermost first."""
        return ("heads", "queries", "keys") if self.form == "prefill" else ("heads", "keys")

    @property
    def keep(self) -> frozenset[str]:
        """What a thread block holds over its steps."""
        return frozenset({"queries", "out"})

    def render(self) -> str:
        """The loop nest as text."""
        tile = ", ".join(f"{size} {name}" for name, size in self.tile.items())
        deals = "first free SM, in launch order"
        lines = [
            f"{self.name}: {self.form} attention kernel, {self.ctas} thread blocks",
            f"  for block in {self.ctas}:  # {self.slots} at once, {deals}",
            f"    for step in keys:  # {tile}",
            "      scores = queries x keys; running softmax; out += shares x values",
        ]
        if self.split > 1:
            lines.append(f"  join up to {self.split} parts of each context")
        for word, flows in (("load", self.loads), ("store", self.stores)):
            lines += [f"  {word} {f.tensor}: {f.size_bytes} B" for f in flows]
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class AttentionBackwardMapping(AttentionMapping):
    """The grid of a kernel of gradients: a thread block keeps keys, and queries pass by."""

    dataflow: str = "flash_attention_backward"

    @property
    def order(self) -> tuple[str, ...]:
        """Loops of the kernel, outermost first."""
        return ("heads", "keys", "queries")

    @property
    def keep(self) -> frozenset[str]:
        """What a thread block holds over its steps."""
        return frozenset({"keys", "values", "d_keys", "d_values"})

    def render(self) -> str:
        """The loop nest as text."""
        tile = ", ".join(f"{size} {name}" for name, size in self.tile.items())
        lines = [
            f"{self.name}: {self.form} attention kernel, {self.ctas} thread blocks",
            f"  for block in {self.ctas}:  # {self.slots} at once, first free SM, in launch order",
            f"    for step in queries:  # {tile}",
            "      shares and their gradients again; d_values, d_keys += ; d_queries += by atomics",
            "  a second kernel rounds d_queries",
        ]
        for word, flows in (("load", self.loads), ("store", self.stores)):
            lines += [f"  {word} {f.tensor}: {f.size_bytes} B" for f in flows]
        return "\n".join(lines)
