"""A torus: a mesh whose dimensions are closed to rings."""

from __future__ import annotations

from typing import Any, Literal

from archsim.interconnect._grid import Grid, GridSpec


class Torus(Grid):
    """Devices on a grid of one to three rings; an extent of two has one link each way."""

    kind = "torus"
    wraps = True

    class Spec(GridSpec):
        """Extents of the torus."""

        kind: Literal["torus"] = "torus"

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A cube of 64."""
        return {
            "kind": cls.kind, "dims": [4, 4, 4], "bandwidth": "45 GB/s", "latency": "1 us",
        }  # fmt: skip
