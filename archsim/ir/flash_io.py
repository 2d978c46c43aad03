"""What attention moves through memory tensor by tensor, with its scores on chip and without.

Closed forms beside which a mapping's own `traffic` is read. Not here: how tiles are chosen.
"""

from __future__ import annotations

from archsim.ir.attention_problem import AttentionProblem


def unfused_bytes(p: AttentionProblem) -> dict[str, int]:
    """Bytes of each tensor where scores are one: each op reads and writes its tensors once.

    Standard attention (Dao et al., FlashAttention, 2022, algorithm 0): queries and keys in, scores
    out and in, shares out and in, values in, results out, so that N x N is moved four times. No
    tiling of three ops that run one after the other moves less. Masked scores are moved too.

    Returns:
        Bytes by `q`, `k`, `scores`, `shares`, `v` and `out`.
    """
    scores = p.dtypes["shares"].bytes(p.points)
    return {
        "q": p.dtypes["q"].bytes(sum(c.b * c.m for c in p.cases) * p.key_dim),
        "k": p.dtypes["k"].bytes(sum(c.b * c.keys for c in p.cases) * p.key_dim),
        "scores": 2 * scores,
        "shares": 2 * scores,
        "v": p.dtypes["v"].bytes(sum(c.b * c.keys for c in p.cases) * p.value_dim),
        "out": p.dtypes["out"].bytes(sum(c.b * c.m for c in p.cases) * p.value_dim),
    }


def least_cache_elements(p: AttentionProblem, room_elements: int) -> float:
    """Order of the keys and values that any tiling reads: N^2 d^2 / M for each problem.

    Dao et al. (2022), theorem 2 with proposition 3: no exact attention moves asymptotically less
    for every M from d to N d. N^2 is queries x keys here, d^2 is key x value width.

    Args:
        p: the attention, without a mask.
        room_elements: M, elements that fit on chip.
    """
    return sum(c.b * c.m * c.keys for c in p.cases) * p.key_dim * p.value_dim / room_elements


def unfused_backward_bytes(p: AttentionProblem) -> dict[str, int]:
    """Bytes of each tensor of the backward pass where scores are tensors, once an op.

    Eight ops: delta, scores and shares again, and with them five products; four tensors as large
    as the scores are written once and read six times between them. `d_out` is the gradient of the
    result, which delta reads too.

    Returns:
        Bytes by `q`, `k`, `v`, `out`, `d_out`, `delta`, `scores`, `d_q`, `d_k` and `d_v`.
    """
    rows, keys = sum(c.b * c.m for c in p.cases), sum(c.b * c.keys for c in p.cases)
    q, k = p.dtypes["q"].bytes(rows * p.key_dim), p.dtypes["k"].bytes(keys * p.key_dim)
    v, out = p.dtypes["v"].bytes(keys * p.value_dim), p.dtypes["out"].bytes(rows * p.value_dim)
    return {
        "q": 2 * q,  # for the scores, and for d_k
        "k": 2 * k,
        "v": v,
        "out": out,
        "d_out": 3 * out,  # for delta, d_v and the gradients of the shares
        "delta": 2 * p.dtypes["out"].bytes(rows),
        "scores": 10 * p.dtypes["shares"].bytes(p.points),
        "d_q": q,
        "d_k": k,
        "d_v": v,
    }
