"""How often the blocks of a share run: once, or as its turns say."""

from __future__ import annotations

from archsim.ir.partition import Share


def runs_of(share: Share) -> dict[str, int]:
    """Times that each block of a share's graph is run through, by its name."""
    if not share.turns:
        return {block.name: 1 for block in share.graph.blocks}
    runs = {block.name: 0 for block in share.graph.blocks}
    for turn in share.turns:
        for part in turn.parts:
            for name in share.parts[part]:
                runs[name] += turn.times
    return runs
