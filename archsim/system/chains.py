"""Chains of ops that a stage takes as one: a whole attention, vector ops that take outputs on."""

from __future__ import annotations

from archsim.ir.graph import Block
from archsim.ir.op import Kind, Op


def attention_chain(
    block: Block, at: int, readers: dict[str, list[int]], outside: set[str]
) -> list[int]:
    """Places of scores, softmax and values that begin at an op; empty where they are no chain."""
    if block.ops[at].op_class != "attention_score":
        return []
    chain = [at]
    while block.ops[chain[-1]].op_class != "attention_value":
        written = block.ops[chain[-1]].writes
        nexts = {j for a in written for j in readers.get(a.tensor, ())}
        if len(nexts) != 1 or any(a.tensor in outside for a in written):
            return []
        chain += nexts
    same = block.ops[at].ranks["B"] == block.ops[chain[-1]].ranks["B"]
    return chain if same else []  # scores of all heads in one product are no problem of a head


def outputs(op: Op) -> int:
    """Output elements of a MAC op, ragged extents counted."""
    reduced = {"K"} if op.kind is Kind.GEMM else {"IC", "FH", "FW"}
    total = 0
    for count, ranks in op.cases():
        size = count
        for rank, extent in ranks.items():
            size *= 1 if rank in reduced else extent
        total += size
    return total
