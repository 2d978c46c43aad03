"""What a plan asks of its machine at least: bytes by memory, products, vector ops, streams.

Demands follow from the graph and from who runs what; how fast a machine serves them is in
`bound_rates`, and the two meet in `bound_times`. So one demand serves many machines that differ in
nothing but their rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from archsim.components.base import KernelEngine, VectorEngine
from archsim.ir.cascade_mapping import CascadeMapping
from archsim.ir.collective_mapping import CollectiveMapping
from archsim.ir.flash import FlashMapping
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.stream_mapping import StreamMapping
from archsim.ir.tensor import DType, Role
from archsim.system.build import Machine
from archsim.system.flash import softmax_of
from archsim.system.homes import tier_bytes
from archsim.system.inside import inside_least, outside
from archsim.system.place import Plan, Stage
from archsim.system.runs import runs_of
from archsim.system.stream import compute_type


@dataclass(frozen=True, slots=True)
class Product:
    """MACs that matter, by weights of a form, on inputs of which a share is zero."""

    weight: DType
    zeros: Fraction
    live: int


@dataclass(frozen=True, slots=True)
class StageDemand:
    """What one run of a stage asks.

    Attributes:
        products: its MACs.
        mac_engines: names of what multiplies and accumulates, all together.
        vectors: ops for all vector units together.
        engine: that a stream runs on.
        mac_cycles, other_cycles: of that, the busiest node that multiplies, and of the others.
        talk_bytes: of a collective, that the busiest device sends or gets at least.
    """

    products: tuple[Product, ...]
    mac_engines: tuple[str, ...]
    vectors: tuple[Op, ...]
    engine: str
    mac_cycles: int
    other_cycles: int
    talk_bytes: int


@dataclass(frozen=True)
class Demand:
    """What a plan asks of one device.

    Attributes:
        moved_bytes: compulsory, all from the nearest memory were it large enough.
        tier_bytes: by memory behind the chip, where things lie.
        nearest: name of the nearest of them.
        stages: with how often each runs.
        inside_ps: least times of engines inside memories: of reading, of arithmetic.
        network: between devices, where there are several; else empty.
    """

    moved_bytes: int
    tier_bytes: Mapping[str, int]
    nearest: str
    stages: tuple[tuple[int, StageDemand], ...]
    inside_ps: tuple[tuple[int, int], ...]
    network: str


def demands(plan: Plan) -> list[Demand]:
    """Of every share of the devices."""
    if plan.pod is None:
        return [_demand(plan, {})]
    shares = zip(plan.pod.plans, plan.pod.partition.shares, strict=True)
    return [_demand(one, runs_of(share)) for one, share in shares]


def _demand(plan: Plan, runs: Mapping[str, int]) -> Demand:
    """Of one device whose blocks run so often, by name; once where nothing is said."""
    machine = plan.machine
    return Demand(
        # weights could stay on chip from one run to the next
        moved_bytes=compulsory_bytes(outside(plan), runs),
        tier_bytes=tier_bytes(plan, runs),
        nearest=machine.dram.name,
        stages=tuple(
            (block.block.count * runs.get(block.block.name, 1),
             stage_demand(stage, plan.graph, machine))
            for block in plan.blocks for stage in block.stages
        ),
        inside_ps=tuple((one.memory_ps, one.compute_ps) for one in inside_least(plan, runs)),
        network=machine.port.name if runs and machine.port else "",
    )  # fmt: skip


def compulsory_bytes(graph: OpGraph, runs: Mapping[str, int] | None = None) -> int:
    """Bytes that any machine moves off chip: weights and KV cache read, KV cache written, once.

    `runs` says how often blocks run, each time with a cache of its own: one of a microbatch.
    """
    total = graph.read_bytes(Role.WEIGHT)
    for block in graph.blocks:
        one, times = replace(graph, blocks=(block,)), (runs or {}).get(block.name, 1)
        total += times * (one.read_bytes(Role.KV_CACHE) + one.write_bytes(Role.KV_CACHE))
    return total


def stage_demand(stage: Stage, graph: OpGraph, machine: Machine) -> StageDemand:
    """What one run of a stage asks of peak rates."""
    mac, other = _busiest_cycles(stage)
    products = [
        Product(
            compute_type(op, graph),
            graph.tensors[op.reads[0].tensor].zeros if op.is_mac else Fraction(0),
            op.live_points() if op.is_mac else op.macs(),
        )
        for op in stage.ops if op.macs()
    ]  # fmt: skip
    return StageDemand(
        products=tuple(products),
        mac_engines=tuple(e.name for e in machine.mac_engines),
        vectors=tuple(_vector_ops(stage)),
        engine=stage.engine.name,
        mac_cycles=mac,
        other_cycles=other,
        talk_bytes=_talk_bytes(stage, machine),
    )


def communication_ps(stage: Stage) -> int:
    """Least bytes of a collective at the bandwidth of a device; 0 for all other stages."""
    return stage.mapping.least_ps if isinstance(stage.mapping, CollectiveMapping) else 0


def _talk_bytes(stage: Stage, machine: Machine) -> int:
    """Least bytes of a collective that has anybody to exchange with."""
    mapping, port = stage.mapping, machine.port
    if not isinstance(mapping, CollectiveMapping) or port is None or not mapping.least_ps:
        return 0
    return port.least_bytes(mapping.collective)


def _vector_ops(stage: Stage) -> list[Op]:
    """Vector work of a stage; kernels do their own."""
    if isinstance(stage.engine, KernelEngine) or isinstance(stage.mapping, CascadeMapping):
        return []  # a cascade divides its softmax between array and lanes
    if isinstance(stage.mapping, FlashMapping):  # its shares are divided once an output
        return [softmax_of(stage).whole]
    if isinstance(stage.mapping, CollectiveMapping):
        return []
    return [op for op in stage.ops if not op.is_mac]


def _busiest_cycles(stage: Stage) -> tuple[int, int]:
    """Cycles that the busiest node of a stream works: of those that multiply, of the others.

    A node's firings follow one another on its unit, an interval apart; other stages have none.
    """
    mapping = stage.mapping
    if not isinstance(mapping, StreamMapping):
        return 0, 0
    graph, longest = mapping.graph, [0, 0]
    for node in graph.nodes:
        kind = 0 if node.macs else 1
        longest[kind] = max(longest[kind], graph.iterations * mapping.busy_cycles(node.name))
    return longest[0], longest[1]


def lanes_for(op: Op, machine: Machine) -> list[VectorEngine]:
    """Vector units that can run an op, in the order of the description."""
    units = [e for e in machine.engines.values() if isinstance(e, VectorEngine)]
    return [unit for unit in units if unit.can_run(op)]
