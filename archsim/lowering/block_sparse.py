"""Block-sparse attention: which blocks of keys each block of queries is scored against.

The mask as plain data with its counts in closed form. Blocks of queries that are scored against
equally many blocks of keys are alike, so that a whole mask is a few ragged cases of dense
attention: keys of a row of blocks stand one after the other, those of its own block last. What
becomes of them is in the attention of the Transformer.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import Field

from archsim.core.document import Document
from archsim.core.spec import Spec
from archsim.lowering.phase import Count


class BlockSparse(Spec):
    """Blocks of queries and keys that are scored; the others are never computed, nor read."""

    block: Count = Field(examples=[64])
    """Tokens of a block; prompts are whole numbers of blocks."""

    local: Count = 1
    """A block of queries sees so many blocks up to its own; an encoder's as many behind it too."""

    global_: int = Field(default=0, ge=0, le=1_000_000, alias="global")
    """First blocks, which all see and which see all that is not hidden (BigBird, Longformer)."""

    stride: int = Field(default=0, ge=0, le=1_000_000)
    """Every so many-th block, counted from the own one, is seen (Sparse Transformers); 0: none."""

    def row(self, i: int, blocks: int, *, causal: bool) -> int:
        """Blocks of keys that a block of queries is scored against.

        Args:
            i: its place.
            blocks: of the whole sequence.
            causal: later blocks are hidden.
        """
        limit = i + 1 if causal else blocks
        if i < self.global_:
            return limit
        first = min(self.global_, limit)
        near = min(limit, i + self.local) - max(first, i - self.local + 1)
        far = self._strided(i - first) + (0 if causal else self._strided(blocks - 1 - i))
        return first + near + far

    def _strided(self, distance: int) -> int:
        """Blocks at multiples of the stride, beyond the local ones, up to a distance."""
        if not self.stride or distance < self.local:
            return 0
        return distance // self.stride - (self.local - 1) // self.stride

    def sees(self, i: int, j: int, *, causal: bool) -> bool:
        """Whether block `i` of queries is scored against block `j` of keys: the definition."""
        if causal and j > i:
            return False
        strided = self.stride > 0 and (i - j) % self.stride == 0
        return abs(i - j) < self.local or min(i, j) < self.global_ or strided

    def rows(self, new: int, keys: int, *, causal: bool) -> tuple[tuple[int, int], ...]:
        """Blocks of keys of a row of blocks, and rows that have so many, ascending.

        Args:
            new: tokens of a sequence that ask, a whole number of blocks.
            keys: tokens up to and with the newest, a whole number of blocks.
            causal: later blocks are hidden.
        """
        total, first = keys // self.block, (keys - new) // self.block
        found = Counter(self.row(i, total, causal=causal) for i in range(first, total))
        return tuple(sorted(found.items()))

    def attended(self, context: int) -> int:
        """Tokens that the newest of so many attends to: those of its row of blocks."""
        i = (context - 1) // self.block
        return (self.row(i, i + 1, causal=True) - 1) * self.block + context - i * self.block

    def reached(self, new: int, keys: int) -> int:
        """Tokens that any of the newest ones attends to, where earlier ones are cached."""
        first, total = (keys - new) // self.block, keys // self.block
        seen = sum(
            any(self.sees(i, j, causal=True) for i in range(first, min(total, first + self._reach)))
            for j in range(first)
        )
        return seen * self.block + new

    @property
    def _reach(self) -> int:
        """Rows of blocks behind which the first ones of a chunk repeat what they see before it."""
        return max(1, self.stride)


class AttentionOptions(Spec):
    """What of attention a workload changes."""

    block_sparse: BlockSparse | None = Field(
        default=None, examples=[{"block": 64, "local": 4, "global": 1}]
    )
    """Blocks that are scored, by prompts and encoders, and read of the cache by a decode step.
    Default: the model's, or all."""


def with_attention(
    name: str, options: AttentionOptions | None, model: Any, document: Document
) -> Any:
    """A model's description with the options of a workload.

    Raises:
        InputError: E202 for a model without attention.
    """
    if options is None or options.block_sparse is None:
        return model
    if "block_sparse" not in type(model).model_fields:
        message = f"{name} is no Transformer: there is no attention to mask"
        raise document.error(("attention", "block_sparse"), "E202", message)
    return model.model_copy(update={"block_sparse": options.block_sparse})
