"""Arithmetic primitives of gradients, counted from the formula beside each.

A gradient is given for the result and wanted for what it was made of. What the forward pass did not
keep is computed again: statistics of a norm, the exponential of an activation. Nothing is known of
graphs here; the forms of the forward pass are in `lowering.primitives`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

_Counts = dict[str, int]


@dataclass(frozen=True)
class Gradient:
    """Primitives per point and per row; `reduces` when a row must be complete."""

    point: _Counts
    row: _Counts = field(default_factory=dict)
    reduces: bool = False


ACTIVATIONS = MappingProxyType(
    {
        # x > 0: a comparison, and a product with the gradient
        "relu": Gradient({"max": 1, "mul": 1}),
        # s (1 + x (1 - s)) d, s = 1 / (1 + exp(-x))
        "silu": Gradient({"mul": 3, "add": 3, "exp": 1, "div": 1}),
        # (s + x s (1 - s) z') d, s = 1 / (1 + exp(-z)), z' of a cubic: its seven operations again
        "gelu_tanh": Gradient({"mul": 10, "add": 5, "exp": 1, "div": 1}),
        # (Phi + x phi) d: Phi as the forward form has it, whose exponential is phi's too
        "gelu": Gradient({"mul": 14, "add": 8, "exp": 1, "div": 1}),
    }
)

# gradient of a gate a(g) u: of u it is d a(g), of g it is d u a'(g): the activation's own product
# is the last one, the value a(g) one more, and two with d
GATE = {"mul": 3}

NORMS = MappingProxyType(
    {
        # x^ = x r, d' = d g; r (d' - x^ mean(d' x^)): five products, sum and difference; r from
        # the sum of squares again
        "rms": Gradient({"mul": 6, "add": 3}, {"mul": 2, "add": 1, "rsqrt": 1}, True),
        # r (d' - mean(d') - x^ mean(d' x^)); sum, difference, square and sum again for mean and r
        "layer": Gradient({"mul": 6, "add": 7}, {"mul": 4, "add": 1, "rsqrt": 1}, True),
    }
)
# sums of d x^ over all rows, with x^ = x r; of a bias the sum of d
SCALES = MappingProxyType({"rms": {"mul": 2, "add": 1}, "layer": {"mul": 2, "add": 3}})

BIAS = Gradient({"add": 1})  # the sum of all rows
SUM = {"add": 1}  # of two gradients of one tensor
SCATTER = Gradient({"gather": 1, "add": 1})  # rows of a table, each added to where it came from

# exp(x - max) / sum less one at the target, over the tokens; the loss is one logarithm a row, which
# costs what an exponential does (assumed)
LOSS = Gradient({"max": 1, "add": 2, "exp": 1, "mul": 1}, {"add": 2, "exp": 1, "div": 1}, True)

DELTA = Gradient({"mul": 1, "add": 1}, {}, True)  # sum of d_out out (Dao et al., 2022, appendix B)
SCORES = Gradient({"add": 1, "mul": 2})  # P (dP - delta) times the scale of the scores

OPTIMIZERS = MappingProxyType(
    {
        # w - a d
        "sgd": Gradient({"mul": 1, "add": 1}),
        # m = b m + (1 - b) d; v = c v + (1 - c) d^2; w - a m / (v rsqrt(v) + e): Kingma and Ba
        # (2015), algorithm 1, corrections of the bias folded into the step a
        "adam": Gradient({"mul": 7, "add": 4, "rsqrt": 1, "div": 1}),
    }
)
STATES = MappingProxyType({"sgd": (), "adam": ("mean", "square")})  # fp32, one element a parameter
