"""Sub-batch interleaving as data: a batch in parts that run through the model side by side."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from archsim.core.spec import PositiveInt, Spec


class Interleave(Spec):
    """Parts of a decode batch that run at once, so that one's attention hides another's products.

    Each part is a network of its own for the sequencer, with a share of the sequences and of the
    on-chip memory; weights are stored once, and read by each part for itself. Source: Heo et al.,
    NeuPIMs (ASPLOS 2024), section 6.
    """

    sub_batches: Annotated[int, Field(ge=2, le=16)] = 2
    """Parts, each of as many sequences."""

    min_batch: PositiveInt = 2
    """Sequences of a device from which it is done. Whatever this says, batches that do not divide
    into parts stay whole."""
