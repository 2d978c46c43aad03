"""How SN40L's authors run models: one of them in three ways, and a composition on three nodes.

They measure eight sockets that share every layer (Prabhakar et al., MICRO 2024, section VI-A), so
for the three ways heads, feed-forward and vocabulary are divided by eight here. What sockets tell
each other is left out on all sides. A composition is served by whole nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsim.api import run
from archsim.core.data import find
from archsim.core.yamlio import load_yaml
from archsim.serving.compose import compose

MACHINE = "sn40l-fabric"
NODE, COMPOSITION = "sn40l-8", "samba-coe"
SOCKETS = 8
PREFILL, DECODE = "prefill", "decode"
SPLIT = ("heads", "kv_heads", "ffn", "vocab")
UNFUSED = 'mapping=[{ops: "*", fuse: none}]'
HOST = "engines.fabric.orchestration=host"


def workload(
    model: str, phase: str, tokens: int, batch: int = 1, sockets: int = SOCKETS
) -> dict[str, Any]:
    """A phase of a shipped model, or of the part of it that one of several sockets holds."""
    described = dict(load_yaml(find(model, "workloads/models")).data["model"])
    for field in SPLIT:
        if described.get(field) is not None:
            described[field] = -(-described[field] // sockets)
    length = "tokens" if phase == PREFILL else "context"
    return {
        "schema": "archsim.workload/1",
        "name": f"{model} {phase}",
        "model": {"config": described},
        "phase": {"kind": phase, "batch": batch, length: tokens},
    }


@dataclass(frozen=True)
class Fused:
    """What fusion is worth: seconds of the three ways, and their launches.

    Attributes:
        unfused_s: every op a kernel that the host launches.
        fused_s: regions of ops that the host launches.
        hardware_s: the same regions, launched by the chip.
    """

    unfused_s: float
    fused_s: float
    hardware_s: float
    launches_unfused: int
    launches_fused: int

    @property
    def fusion(self) -> float:
        """Speed-up of regions over kernels of one op."""
        return self.unfused_s / self.fused_s

    @property
    def hardware(self) -> float:
        """Speed-up of launches by the chip over launches by the host."""
        return self.fused_s / self.hardware_s

    @property
    def launches(self) -> float:
        """Launches without fusion over launches with it."""
        return self.launches_unfused / self.launches_fused


def fused(work: dict[str, Any], set_: Sequence[str] = ()) -> Fused:
    """A workload the three ways, on one socket."""
    ways = ((UNFUSED, HOST), (HOST,), ())
    found = [
        run(MACHINE, work, set_=(*way, *set_), fidelity="tile", advice=False).result for way in ways
    ]
    unfused, host, chip = (result["metrics"]["time_s"] for result in found)
    return Fused(unfused, host, chip, found[0]["launches"], found[1]["launches"])


@dataclass(frozen=True)
class Node:
    """What a node takes for a composition.

    Attributes:
        overall_s: for all requests.
        expert_s: of an expert that is there, for one prompt and its answer.
    """

    overall_s: float
    expert_s: float


def served(machine: str, batch: int, output: int, set_: Sequence[str] = ()) -> Node:
    """The shipped composition on a node, at a batch and a length of answers."""
    asked = f"composition.requests.batch={batch}", f"composition.requests.output_tokens={output}"
    data = compose(machine, COMPOSITION, set_=(*asked, *set_), sweep=False).data
    one = data["models"][0]
    return Node(data["time_s"], one["prefill_s"] + one["decode_s"])
