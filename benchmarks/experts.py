"""Expert traffic: distinct experts and bytes of a decode step against their closed forms.

    python -m benchmarks.experts [--seeds N] [--machine NAME]

Distinct experts of one layer are averaged over seeds and compared with E (1 - (1 - k/E)^T); the
expert bytes of a whole step follow. Then one step is simulated: the weights that it reads from
memory must equal the closed form of its own draw to the byte.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from archsim import api
from archsim.ir.graph import OpGraph
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.routing import Routing, expected_distinct, tokens_per_expert
from archsim.lowering.spec import load_workload

# model: experts, experts a token, layers that have some, elements of one expert
MODELS = {
    "mixtral-8x7b": (8, 2, 32, 3 * 4096 * 14336),
    "deepseek-v3": (256, 8, 58, 3 * 7168 * 2048),
    "glam-143b": (64, 2, 16, 2 * 4096 * 16384),
}
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
ROOM = ("memory.hbm.capacity=4 TiB",)
ROW = "{:13} {:>5} {:>9} {:>9} {:>7} {:>11} {:>11} {:>15} {:>15}"


def expert_bytes(graph: OpGraph) -> int:
    """Bytes of the experts' matrices that a step reads."""
    return sum(
        block.count * graph.touched_bytes(op.reads[1])
        for block, op in graph.ops()
        if op.op_class == "moe_expert"
    )


def measure(name: str, batch: int, machine: str, seeds: int) -> bool:
    """Print one row; True when means agree within 4 sigma and bytes to the byte."""
    experts, top_k, layers, elements = MODELS[name]
    found = [
        int(np.count_nonzero(tokens_per_expert(Routing(seed=s), experts, top_k, batch)))
        for s in range(seeds)
    ]
    expected, mean = expected_distinct(experts, top_k, batch), float(np.mean(found))
    error = float(np.std(found)) / seeds**0.5
    sigmas = abs(mean - expected) / error if error else 0.0
    phase = {"phase": "decode", "batch": batch, "context": 2048}
    graph = lower(load_workload(name, **phase)[0])  # type: ignore[arg-type]
    result = api.run(machine, name, set_=ROOM, fidelity="tile", **phase).result  # type: ignore[arg-type]
    read = sum(memory["weight_read_bytes"] for memory in result["traffic"].values())
    closed = graph.read_bytes(Role.WEIGHT)
    own = 2 * layers * elements * found[0] == expert_bytes(graph)
    figures = f"{mean:.3f}", f"{expected:.3f}", f"{sigmas:.2f}"
    volumes = (
        f"{2 * layers * elements * mean / 1e9:.3f}",
        f"{2 * layers * elements * expected / 1e9:.3f}",
    )
    print(ROW.format(name, batch, *figures, *volumes, read, closed), flush=True)
    return own and read == closed and sigmas <= 4


def main() -> bool:
    """Print the table; True when every row agrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--machine", default="npu")
    given = parser.parse_args()
    head = ("model", "batch", "distinct", "expected", "sigmas", "GB", "expected GB")
    print(ROW.format(*head, "weight B read", "closed form"))
    fine = True
    for name in MODELS:
        for batch in BATCHES:
            fine &= measure(name, batch, given.machine, given.seeds)
    return fine


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
