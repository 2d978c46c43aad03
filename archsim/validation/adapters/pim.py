"""Rows of the AiM simulator: cycles and every command of a trace on GDDR6-AiM, to the unit.

Here a row becomes the words and options of `archsim pim`; its trace is a description that the verb
takes as it stands.
"""

from __future__ import annotations

import re

from archsim import api
from archsim.core.errors import Unsupported
from archsim.validation.base import Adapter, Row

PRESETS = {("GDDR6_AiM_org", "GDDR6_AiM_timing"): "GDDR6_AiM"}
"""Standard by organisation and timing."""

COMMANDS = (
    "ACT16", "ACT4", "ACT", "MAC16", "MAC", "EWMUL16", "AF16", "RDMAC16", "RDAF16", "WRMAC16",
    "WRGB", "RDCP", "WRCP", "PREA", "PRE4", "PRE", "REFab",
)  # fmt: skip
ISSUED = re.compile(r"\b[1-9]\d* issued")
CHANNELS = re.compile(r"(\d+)(?: channels?)?", re.IGNORECASE)
MASK = re.compile(r"(?:channel )?mask[ =:]*(0x[0-9a-f]+|\d+)", re.IGNORECASE)


class Pim(Adapter):
    """A command trace against the AiM simulator."""

    kind = "pim"
    ID = "trace"
    NEEDS = ("sim", "org", "timing", "refresh", "trace", "trace_definition", "channels")

    def run(self, row: Row) -> dict[str, float]:
        """Cycles and commands over all channels.

        Refresh: however it is configured, the simulator issues none in an organisation without
        ranks.
        """
        standard = PRESETS.get((row["org"], row["timing"]))
        if standard is None or not row["sim"].startswith("AiM simulator"):
            raise Unsupported(f"{row['sim']} {row['org']} {row['timing']} is no preset of AiM")
        if ISSUED.search(row["refresh"]):
            raise Unsupported(f'refresh "{row["refresh"]}": the simulator issues none here')
        found = api.pim(standard, row["trace_definition"], mask=_mask(row["channels"]))
        counts = {f"n_{name}": found.counts.get(name, 0) for name in COMMANDS}
        return {"cycles": found.cycles, **counts}


def _mask(text: str) -> int:
    """Mask of the channels that a row uses.

    Raises:
        Unsupported: for text that is neither a number of channels nor a mask.
    """
    if said := MASK.fullmatch(text.strip()):
        return int(said[1], 0)
    said = CHANNELS.fullmatch(text.strip())
    if said is None:
        raise Unsupported(f'channels "{text}" are neither `32 channels` nor `mask 0xff`')
    return (1 << int(said[1])) - 1
