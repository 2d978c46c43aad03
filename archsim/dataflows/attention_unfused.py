"""Unfused attention: scores and shares are tensors in memory between three kernels."""

from archsim.dataflows._three_pass import Unfused


class AttentionUnfused(Unfused):
    """Scores, softmax and values as three kernels, scores and shares through memory."""

    kind = "attention_unfused"
