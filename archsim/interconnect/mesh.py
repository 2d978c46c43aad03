"""A mesh: devices on a line, a plane or a cube, joined to their neighbours."""

from __future__ import annotations

from typing import Any, Literal

from archsim.interconnect._grid import Grid, GridSpec


class Mesh(Grid):
    """Devices on a grid of one to three dimensions with open ends."""

    kind = "mesh"

    class Spec(GridSpec):
        """Extents of the mesh."""

        kind: Literal["mesh"] = "mesh"

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Eight by eight on a chip."""
        return {
            "kind": cls.kind, "dims": [8, 8], "bandwidth": "16 GB/s", "latency": "3 ns",
            "medium": "chip",
        }  # fmt: skip
