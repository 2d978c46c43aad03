"""Weight-stationary: filter tiles stay in the array, inputs stream past."""

from archsim.dataflows.base import Dataflow


class WeightStationary(Dataflow):
    """Filter tiles stay in the array, inputs stream past, partial sums leave each fold."""

    kind = "weight_stationary"
    stationary = "weight"
    row_rank = "k"
    col_rank = "n"
