"""Attention kernels of GPUs as pure physics: blocks of a thread block, dealing, split contexts.

A prefill kernel is a grid of thread blocks (CTAs), each one head and a tile of queries, dealt in
launch order to the first free SM. A decode kernel streams each key head's cache through one CTA, or
through several where the context is split. Rows through time are written elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from itertools import chain, repeat
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from archsim.core.spec import Fraction, PositiveInt, Seconds, Spec
from archsim.ir.tensor import DTYPES

Ints = NDArray[np.int64]

Dealing = Literal["first_free", "in_turn", "ideal"]

DEALT = 1 << 17  # CTAs dealt one by one; of more, whole heads in the middle count as work only
MMA_ROWS = 16  # rows of an mma instruction (PTX ISA, mma.m16n8k16): fewer cost as much


class PrefillKernel(Spec):
    """Constants of an attention kernel with many queries a sequence."""

    softmax_cycles: float | None = Field(default=None, ge=0)
    """SM cycles per score that the MMA does not hide. Default: nothing is hidden: one exponential
    and nine FP32 operations at the SM's own rates."""

    cta_latency: Seconds = 0.0
    """Start and end of one thread block."""

    sustained: Fraction | None = None
    """Share of the peak MMA rate that is reached: sustained clock and pipelines together. Default:
    the engine's for the element type."""

    launch: Seconds | None = None
    """Launch of the kernel, with the small ones beside it. Default: the engine's launch."""


class DecodeKernel(Spec):
    """Constants of an attention kernel with one query a sequence."""

    launch: Seconds | None = None
    """Launch of the kernel, with the small ones beside it. Default: the engine's launch."""

    cta_latency: Seconds = 0.0
    """Start and end of one thread block."""

    bytes_per_cycle: float | None = Field(default=None, gt=0)
    """Bytes of the cache that a CTA takes in a clock. Default: as fast as they come."""

    elements_per_cycle: float | None = Field(default=None, gt=0)
    """Elements of keys and values that an SM converts in a clock. Default: no limit."""

    miss_latency: Seconds = 0.0
    """Added once where the cache comes from memory rather than from the on-chip one."""

    ctas_per_sm: PositiveInt = 1
    """Thread blocks that share an SM."""

    split_launch: Seconds = 2e-6
    """Joins the parts of a split context."""

    two_pass_tokens: PositiveInt | None = None
    """Longest context of which a tensor that serves as keys and values is still on chip when the
    values' turn comes. Default: keys and values pass together, so such a tensor is read once."""


class AttentionKernels(Spec):
    """Attention kernels of an engine, by the element type they compute in."""

    prefill: dict[str, PrefillKernel] = {}
    """Many queries a sequence, by element type; of one not listed: another as wide, or defaults."""

    decode_grouped: dict[str, DecodeKernel] = {}
    """One query a sequence, several query heads to a key head, by element type."""

    decode_multi_head: dict[str, DecodeKernel] = {}
    """One query a sequence, a key head to each query head, by element type."""

    prefill_efficiency: Fraction | None = None
    """Share of the peak bandwidth under a prefill kernel. Default: the memory's own."""

    decode_efficiency: Fraction | None = None
    """Share of the peak bandwidth under a decode kernel. Default: the memory's own."""

    query_tile: PositiveInt = 64
    """Queries of one head in a prefill CTA."""

    key_tile: PositiveInt = 128
    """Keys of a step of a prefill CTA; a step at the diagonal or the edge costs as much."""

    split_tokens: PositiveInt = 256
    """Tokens of the context that a decode CTA takes at least."""

    dealing: Dealing = "first_free"
    """How thread blocks reach SMs: to the first free one, in turn whoever is free, or as if they
    could be cut into equal shares."""

    overlap_norm: float = Field(default=4.0, ge=1)
    """p of (compute^p + memory^p)^(1/p) by which a decode kernel's two sides overlap."""

    causal_skip: bool = True
    """Steps wholly above the diagonal are left out."""

    split: bool = True
    """Contexts are split where key heads are fewer than SMs."""

    warm_l2: bool = False
    """Keys and values that enter the graph as plain activations lie in the on-chip memory as far as
    they fit: a benchmark that replays one kernel on one cache. A model's KV cache never does."""


K = TypeVar("K", PrefillKernel, DecodeKernel)


def of_dtype(kernels: Mapping[str, K], dtype: str, default: K) -> K:
    """The constants for an element type: its own, those of one as wide, or the default."""
    if dtype in kernels:
        return kernels[dtype]
    bits = DTYPES[dtype].bits if dtype in DTYPES else 0
    alike = (k for name, k in kernels.items() if name in DTYPES and DTYPES[name].bits == bits)
    return next(alike, default)


def softmax_cycles(exp_per_cycle: float, fp32_per_cycle: float) -> float:
    """Cycles of an SM per score: one exponential, nine FP32 operations around it, none hidden."""
    return 1 / exp_per_cycle + 9 / fp32_per_cycle


def visited(
    queries: int, keys: int, *, causal: bool, reach: int | None, query_tile: int, key_tile: int
) -> tuple[Ints, Ints]:
    """First and past-the-last key of the steps of each CTA of one head, in launch order.

    Query i of `queries` sees keys up to `keys - queries + i`, and of these the last `reach`. Steps
    begin at multiples of `key_tile`; the last ends at `keys` at most.
    """
    low = np.arange(0, queries, query_tile, dtype=np.int64)
    high = np.minimum(low + query_tile, queries)
    end = keys - queries + high if causal else np.full_like(high, keys)
    seen = keys - queries + low + 1 if causal else end  # keys up to the first query's own
    start = np.zeros_like(end) if reach is None else np.maximum(seen - reach, 0)
    start = start // key_tile * key_tile
    end = np.maximum(-(-end // key_tile) * key_tile, start + key_tile)
    return start, np.minimum(end, keys)


@dataclass(frozen=True)
class Grid:
    """Alike heads of one kernel: picoseconds of the CTAs of a head, in launch order."""

    heads: int
    cta_ps: Ints  # of one head, in launch order

    @classmethod
    def alike(cls, count: int, ps: int) -> Grid:
        """So many CTAs of one duration."""
        return cls(count, np.array([ps], dtype=np.int64))


def deal(grids: Sequence[Grid], slots: int, how: Dealing = "first_free") -> int:
    """Makespan in picoseconds of CTAs dealt in launch order, to the first free slot or otherwise.

    Beyond `DEALT` CTAs, heads in the middle count as work over all slots: none idles while others
    wait, so the end moves by less than one CTA.
    """
    grids = [g for g in grids if g.heads and len(g.cta_ps)]
    count = sum(g.heads * len(g.cta_ps) for g in grids)
    longest = max((int(g.cta_ps.max()) for g in grids), default=0)
    if how == "ideal":
        return -(-sum(g.heads * int(g.cta_ps.sum()) for g in grids) // slots)
    if count <= slots:
        return longest
    if how == "in_turn":
        costs = np.concatenate([np.tile(g.cta_ps, g.heads) for g in grids])
        costs = np.pad(costs, (0, -len(costs) % slots))
        return int(costs.reshape(-1, slots).sum(axis=0).max())
    if all(int(g.cta_ps.min()) == longest for g in grids):
        return -(-count // slots) * longest
    free, middle = [0] * slots, 0
    for grid in grids:
        heads = grid.heads if count <= DEALT else -(-grid.heads * DEALT // count)
        middle += (grid.heads - heads) * int(grid.cta_ps.sum())
        for ps in chain.from_iterable(repeat(grid.cta_ps.tolist(), heads)):
            heapreplace(free, free[0] + ps)
    return max(free) + -(-middle // slots)


def block_cycles(
    query_tile: int, key_tile: int, dims: int, macs_per_cycle: float, softmax: float
) -> float:
    """Cycles of one step of a prefill CTA: both products, and what of softmax is not hidden.

    Args:
        query_tile: queries of the CTA.
        key_tile: keys of the step.
        dims: elements of a key and of a value together.
        macs_per_cycle: multiply-accumulates of an SM in a clock.
        softmax: cycles per score, see `PrefillKernel.softmax_cycles`.
    """
    scores = query_tile * key_tile
    return scores * dims / macs_per_cycle + scores * softmax


def split_of(key_heads: int, context: int, sms: int, tokens: int) -> int:
    """Parts of a context: as many as leave no SM idle, none shorter than `tokens`."""
    return max(1, min(sms // key_heads, context // tokens))


def decode_cta_cycles(
    tokens: int,
    rows: int,
    dims: int,
    size_bytes: float,
    macs_per_cycle: float,
    kernel: DecodeKernel,
) -> float:
    """Cycles that a decode CTA takes for its part of a context: operand feed, or MMA if longer.

    Args:
        tokens: of its part.
        rows: query heads to its key head.
        dims: elements of a key and of a value together.
        size_bytes: bytes of an element.
        macs_per_cycle: multiply-accumulates of an SM in a clock.
        kernel: its constants.
    """
    feed = 0.0
    if kernel.bytes_per_cycle is not None:
        feed = tokens * dims * size_bytes / kernel.bytes_per_cycle
    padded = -(-rows // MMA_ROWS) * MMA_ROWS
    return max(feed, padded * tokens * dims / macs_per_cycle)


def norm(p: float, *times: float) -> float:
    """(sum of t^p)^(1/p), safely for large times."""
    longest = max(times)
    if longest <= 0:
        return 0.0
    return float(longest * sum((t / longest) ** p for t in times) ** (1 / p))
