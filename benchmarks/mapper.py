"""How good are the mappings that the mapper finds, and how fast does it find them?

    python -m benchmarks.mapper [--out FOLDER] [--machine NAME ...] [--budget N] [--objective NAME]

Twenty layers of Llama-3-8B, ResNet-50 and MobileNetV1, each alone on a machine, operands behind the
chip: `dataflow: auto` against the weight-stationary template with its own choice of tiles, and
against the lower bound (compulsory bytes and peak arithmetic). Times are simulated, not predicted;
`predicted` is what the search believed. The bar: no layer is slower than weight-stationary by more
than the tolerance. With a folder, a table too.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, fsum, log
from pathlib import Path
from typing import Any

from archsim.ir.graph import Block, OpGraph
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import Machine, build
from archsim.system.place import Plan
from archsim.system.plan import place
from archsim.system.simulate import makespan_ps
from archsim.system.spec import load_hardware

MACHINES = ("npu", "tpu-v4", "eyeriss")
TOLERANCE = 1.01  # simulated time against that of the weight-stationary template
TOKENS = {"eyeriss": 64}  # of a prompt; others 512: a small buffer makes very many tiles of more
PREFILL = {"phase": "prefill", "batch": 1, "context": None, "tokens": 512}
DECODE = {"phase": "decode", "batch": 16, "context": 1024, "tokens": None}
INFER = {"phase": "infer", "batch": 1, "context": None, "tokens": None}
LAYERS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("llama-3-8b", PREFILL, (
        "layer/attn.qkv", "layer/attn.score", "layer/ffn.gate", "layer/ffn.down")),
    ("llama-3-8b", DECODE, ("layer/attn.qkv", "layer/attn.score", "layer/ffn.down")),
    ("resnet-50", INFER, (
        "stem/stem", "stage1.n/spatial", "stage2.0/shortcut", "stage2.n/spatial",
        "stage3.n/reduce", "stage4.0/spatial", "stage4.n/expand")),
    ("mobilenet-v1", INFER, (
        "stem/stem", "stage1.0/depthwise", "stage2.0/pointwise", "stage4.n/depthwise",
        "stage4.n/pointwise", "stage5.n/depthwise")),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One layer on one machine; times in microseconds."""

    machine: str
    layer: str
    default_us: float
    auto_us: float
    predicted_us: float
    bound_us: float
    dataflow: str
    candidates: int
    all_tried: bool
    search_s: float

    @property
    def gain(self) -> float:
        """How many times faster than the default."""
        return self.default_us / self.auto_us


def layers(machine: str = "") -> Iterator[tuple[str, OpGraph]]:
    """Each layer by itself: its operands come from behind the chip and its result goes there."""
    for model, phase, paths in LAYERS:
        tokens = phase["tokens"] and TOKENS.get(machine, phase["tokens"])
        work, _ = load_workload(model, **{**phase, "tokens": tokens})
        graph = lower(work)
        ops = {f"{block.name}/{op.name}": op for block, op in graph.ops()}
        for path in paths:
            op = ops[path]
            names = {a.tensor for a in (*op.reads, *op.writes)}
            tensors = {name: graph.tensors[name] for name in sorted(names)}
            name = f"{model} {phase['phase']} {path}"
            yield name, OpGraph(name, (Block("layer", 1, (op,)),), tensors)


def machine_with(name: str, rule: dict[str, Any]) -> Machine:
    """A shipped machine under one mapping rule."""
    spec, _ = load_hardware(name)
    return build(load_hardware({**spec.to_data(), "mapping": [{"ops": "*", **rule}]})[0])


def measured(name: str, layer: str, graph: OpGraph, budget: int, objective: str) -> Row:
    """One layer, mapped and simulated both ways."""
    default = place(graph, machine_with(name, {"dataflow": "weight_stationary"}))
    rule = {"dataflow": "auto", "cache": False, "budget": budget, "objective": objective}
    auto = machine_with(name, rule)
    began = time.perf_counter()
    plan = place(graph, auto)
    search_s = time.perf_counter() - began
    stage = plan.blocks[0].stages[0]
    found = stage.searched
    assert found is not None
    assert stage.mapping is not None
    return Row(
        name,
        layer,
        _simulated_us(default),
        _simulated_us(plan),
        found.time_s * 1e6,
        found.bound * 1e6,
        stage.mapping.dataflow,
        found.tried,
        found.proved,
        search_s,
    )


def _simulated_us(plan: Plan) -> float:
    return makespan_ps(plan, "tile") / 1e6


def mean(values: list[float]) -> float:
    """Geometric mean."""
    return exp(fsum(log(v) for v in values) / len(values))


def show(rows: list[Row]) -> None:
    """The table, and its means by machine."""
    print(f"{'machine':8} {'layer':38} {'default':>10} {'auto':>10} {'gain':>6} {'to bound':>8}"
          f" {'pred':>6} {'tried':>8} {'s':>5}  dataflow")  # fmt: skip
    for r in rows:
        print(
            f"{r.machine:8} {r.layer:38} {r.default_us:10.1f} {r.auto_us:10.1f} {r.gain:6.2f}"
            f" {r.auto_us / r.bound_us:8.2f} {r.predicted_us / r.auto_us:6.3f}"
            f" {r.candidates:8d}{'*' if r.all_tried else ' '}{r.search_s:4.1f}  {r.dataflow}"
        )
    for name in dict.fromkeys(r.machine for r in rows):
        of = [r for r in rows if r.machine == name]
        tried, seconds = sum(r.candidates for r in of), sum(r.search_s for r in of)
        print(
            f"{name}: {mean([r.gain for r in of]):.3f} x the weight-stationary default, "
            f"{mean([r.auto_us / r.bound_us for r in of]):.3f} x the bound, "
            f"worst layer {min(r.gain for r in of):.4f} x; "
            f"{tried / seconds:,.0f} candidates/s, {seconds:.1f} s"
        )


def main(argv: list[str] | None = None) -> bool:
    """Run, print, write where asked; True when the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--machine", action="append")
    parser.add_argument("--budget", type=int, default=200_000)
    parser.add_argument("--objective", default="latency")
    given = parser.parse_args(argv)
    rows = []
    for name in given.machine or MACHINES:
        for layer, graph in layers(name):
            rows.append(measured(name, layer, graph, given.budget, given.objective))
    show(rows)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        with (given.out / "mapper.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(Row.__dataclass_fields__))
            table.writeheader()
            table.writerows(vars(r) for r in rows)
    return all(r.gain * TOLERANCE >= 1 for r in rows)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
