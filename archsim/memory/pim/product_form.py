"""How a command set computes products: which commands, which units, which buffers, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from archsim.core.spec import PositiveInt, Spec


class ProductForm(Spec):
    """The way of a product through the units of a channel (of a pseudo channel, where it has some).

    All units of it work in step: one command makes each read one access of its bank, or of its
    banks in turn, and multiply it by the input that it holds.
    """

    unit: Literal["bank", "bank_pair", "bank_group", "bundle"]
    """Banks that share a unit: each its own, two, a bank group, or a bundle that is read at once
    over added vias into a unit outside the array."""

    bundle_banks: PositiveInt | None = None
    """Banks of a bundle."""

    banks_at_once: PositiveInt
    """Banks of a channel that one MAC command reads."""

    open: str = Field(examples=["ACT16"])
    """Opens a row in the banks that work."""

    open_banks: PositiveInt
    """Banks that one such command opens; where it is fewer than work, several are issued; where it
    is more, they take turns at the units before the rows are closed."""

    close: str = Field(examples=["PREA"])
    """Closes them."""

    mac: str = Field(examples=["MAC16"])
    """Reads one access in each and multiplies."""

    input: str | None = Field(default=None, examples=["WRGB"])
    """Writes one access of the input vector; none: inputs come on wires of their own."""

    input_bytes: int = Field(default=0, ge=0)
    """Bytes of input that a channel's buffer holds; 0: as many as are needed."""

    bias: str | None = Field(default=None, examples=["WRMAC16"])
    """Sets the accumulators before a reduction begins; none: it costs nothing."""

    result: str | None = Field(default=None, examples=["RDMAC16"])
    """Reads the accumulators of all units; none: results leave on wires of their own."""

    results_per_unit: PositiveInt = 1
    """Reductions that a unit holds at once."""

    results_at_once: PositiveInt | None = None
    """Results that one such command brings. Default: one of each unit."""

    ahead_bytes: int = Field(default=0, ge=0)
    """Bytes of the matrix that a unit holds of what it has read, on which its arithmetic goes on
    while the next row is opened; 0: it multiplies what is on its wires."""

    overlaps_transfers: bool = False
    """Whether inputs and results pass while the units work."""

    overlaps_rows: bool = False
    """Whether the next row is opened (in other banks, or in a second row buffer) meanwhile."""

    source: str
    """Who says so."""
