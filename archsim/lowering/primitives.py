"""What a vector op computes at a point and once a row, in arithmetic primitives.

The counts follow from the formula beside each form. Rates per primitive belong to the engines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

_Counts = dict[str, int]


@dataclass(frozen=True)
class Form:
    """Primitives per point and per row; `reduces` when a row must be complete to be finished."""

    point: _Counts
    row: _Counts = field(default_factory=dict)
    reduces: bool = False


FORMS = MappingProxyType(
    {
        # exp(x s - max) / sum: scale, max, subtract, exp, sum, times 1/sum; the division once a row
        "softmax": Form({"mul": 2, "add": 2, "max": 1, "exp": 1}, {"div": 1}, True),
        "mask": Form({"add": 1}),
        # x g / sqrt(mean(x^2) + e): square, sum, two products
        "rms": Form({"mul": 3, "add": 1}, {"mul": 1, "add": 1, "rsqrt": 1}, True),
        # (x - mean) g / sqrt(var + e) + b: sum, subtract, square, sum, two products, add
        "layer": Form({"mul": 3, "add": 4}, {"mul": 2, "add": 1, "rsqrt": 1}, True),
        # x cos + rotated(x) sin; the table of angles is a constant of the engine
        "rope": Form({"mul": 2, "add": 1}),
        "add": Form({"add": 1}),
        "mul": Form({"mul": 1}),
        "relu": Form({"max": 1}),
        # 1 / (1 + exp(-x))
        "sigmoid": Form({"exp": 1, "add": 1, "div": 1}),
        # min(max(x + 3, 0), 6) / 6, and x times it: Howard et al., MobileNetV3 (2019), section 5.2
        "hard_sigmoid": Form({"add": 1, "max": 2, "mul": 1}),
        "hard_swish": Form({"add": 1, "max": 2, "mul": 2}),
        # x / (1 + exp(-x))
        "silu": Form({"mul": 1, "exp": 1, "add": 1, "div": 1}),
        # x / (1 + exp(-2 z)), z = sqrt(2/pi) (x + 0.044715 x^3): Hendrycks and Gimpel (2016)
        "gelu_tanh": Form({"mul": 4, "add": 2, "exp": 1, "div": 1}),
        # x (1 + erf(x / sqrt 2)) / 2, erf by Abramowitz and Stegun 7.1.26 (five terms)
        "gelu": Form({"mul": 11, "add": 7, "exp": 1, "div": 1}),
        # 1 - 2 / (exp(2 x) + 1)
        "tanh": Form({"mul": 1, "add": 2, "exp": 1, "div": 1}),
        "gather": Form({"gather": 1}),
    }
)


def total(*names: str) -> Form:
    """Several forms one after the other at the same points."""
    point: _Counts = {}
    row: _Counts = {}
    for name in names:
        form = FORMS[name]
        for counts, more in ((point, form.point), (row, form.row)):
            for primitive, n in more.items():
                counts[primitive] = counts.get(primitive, 0) + n
    return Form(point, row, any(FORMS[name].reduces for name in names))
