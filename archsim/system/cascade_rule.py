"""What a machine's mapping rule may settle of an attention that is mapped as a cascade."""

from __future__ import annotations

from typing import Literal

from archsim.core.spec import Bytes, PositiveInt, Spec


class CascadeRule(Spec):
    """What a rule settles of an attention that is mapped as a cascade of Einsums."""

    room: Bytes | None = None
    """On-chip bytes that tiles are chosen for. Default: the whole memory."""

    query_rows: PositiveInt | None = None
    """Queries that are worked on together. Default: as many as fit, by the dataflow's own rule:
    `attention_unfused` keeps a block of queries, of fewest blocks that are a power of two; `flat`
    the scores of the rows, which divide the queries (4 tiles where not one fits); the others a
    super-block of queries, which divides them too."""

    held: tuple[Literal["q", "k", "v", "out"], ...] | None = None
    """`flat`: operands that stay on chip over the rows of a tile. Default: none; they stream."""

    counts: Literal["exact", "published"] | None = None
    """`published` counts buffer reads and exponentials with the slips of FuseMax's published
    energies, to compare with those. Default: `exact`."""
