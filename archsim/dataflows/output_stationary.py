"""Output-stationary: partial sums stay in the array until they are complete."""

from archsim.dataflows.base import Dataflow


class OutputStationary(Dataflow):
    """Partial sums stay in the array until their whole reduction has streamed past."""

    kind = "output_stationary"
    stationary = "output"
    row_rank = "m"
    col_rank = "n"
