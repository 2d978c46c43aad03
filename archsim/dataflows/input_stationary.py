"""Input-stationary: input tiles stay in the array, filters stream past."""

from archsim.dataflows.base import Dataflow


class InputStationary(Dataflow):
    """Input tiles stay in the array, filters stream past, partial sums leave each fold."""

    kind = "input_stationary"
    stationary = "input"
    row_rank = "k"
    col_rank = "m"
