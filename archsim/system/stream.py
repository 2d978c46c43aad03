"""Placing a stream graph: a compute unit for each node, memory units for long FIFOs and tensors."""

from __future__ import annotations

from dataclasses import replace

from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.core.errors import Infeasible, Unsupported
from archsim.core.units import format_bytes
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.stream import StreamGraph, StreamNode
from archsim.ir.stream_mapping import StreamMapping
from archsim.ir.tensor import DTYPES, DType
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate

# tokens that a unit's own input queue holds; deeper FIFOs lie in memory units. Assumed: queues of
# a few tokens at every input, as in Plasticine (Prabhakar et al., ISCA 2017)
QUEUE_TOKENS = 16


def stream_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its units.

    Raises:
        Infeasible: E401 for more nodes than compute units, or more data than the memory units hold.
        Unsupported: E302 for an engine of another kind, or an element type without a rate.
    """
    op, engine = stage.ops[0], stage.engine
    graph = op.stream
    assert graph is not None
    if not isinstance(engine, SpatialPipeline):
        raise Unsupported(f"{stage.path}: {engine.kind} runs no streams", code="E302")
    if graph.macs() and graph.dtype not in engine.dtypes:
        raise no_rate(stage.path, graph.dtype, engine)
    working = [n for n in graph.nodes if n.computes]
    spec = engine.spec
    if len(working) > spec.compute_units:
        raise Infeasible(
            f"{stage.path} has {len(working)} nodes that compute, {engine.name} has "
            f"{spec.compute_units} compute units",
            code="E401",
            help=f"--set engines.{engine.name}.compute_units={len(working)}, or fewer nodes",
        )
    each = max(1, room.machine.sram.capacity_bytes // spec.memory_units)
    units = memory_units(op, room, each)
    taken = sum(units.values())
    kept = sum(room.graph.tensors[name].bytes for name in room.resident)
    left = max(0, spec.memory_units - -(-kept // each))
    if taken > left:
        most = max(units, key=units.__getitem__)
        raise Infeasible(
            f"{stage.path} needs {taken} memory units, {engine.name} has {left} free ones of "
            f"{format_bytes(each)} each",
            code="E401",
            help=f"{most} alone needs {units[most]}; larger or more memory units, or shorter FIFOs",
        )
    cycles = {n.name: firing_cycles(n, graph, engine) for n in graph.nodes}
    mapping = StreamMapping(
        name=stage.path,
        engine=engine.name,
        graph=graph,
        cycles=cycles,
        latency_cycles={n.name: _latency(n, cycles[n.name], engine) for n in graph.nodes},
        memory_units=units,
        compute_units=len(working),
        room_bytes=taken * each,
    )
    return replace(stage, mapping=mapping, room_bytes=mapping.room_bytes, exclusive=True)


def memory_units(op: Op, room: Room, unit_bytes: int) -> dict[str, int]:
    """Memory units of each long FIFO and each tensor that is brought in: whole ones, unshared."""
    stream = op.stream
    assert stream is not None
    held = {
        f"fifo {f.name}": f.depth * stream.token_bytes(f)
        for f in stream.fifos
        if f.depth > QUEUE_TOKENS
    }
    for access in (*op.reads, *op.writes):
        if access.tensor not in room.resident:
            held[f"tensor {access.tensor}"] = room.graph.tensors[access.tensor].bytes
    return {name: -(-size // unit_bytes) for name, size in held.items()}


def firing_cycles(node: StreamNode, graph: StreamGraph, engine: SpatialPipeline) -> int:
    """Cycles of one firing: those of its interval, or more where a unit needs them for the work."""
    spec = engine.spec
    rate = spec.rows * spec.cols * spec.rates.get(graph.dtype, 0)
    cells = -(-node.macs // rate) if node.macs else 0
    per = spec.cycles_per_primitive
    work = sum(n * per.get(name, 1) for name, n in (node.primitives or {}).items())  # type: ignore[call-overload]
    return max(node.ii_cycles, cells, -(-work // spec.lanes))


def _latency(node: StreamNode, cycles: int, engine: SpatialPipeline) -> int:
    """Cycles from the start of a firing until its tokens leave: no less than it takes.

    Sources and sinks are ports of memory units: a cycle, unless the graph says otherwise.
    """
    default = engine.lag_cycles if node.computes else 1
    return max(cycles, default if node.latency_cycles is None else node.latency_cycles)


def compute_type(op: Op, graph: OpGraph) -> DType:
    """Element type whose rate multiply-accumulates of an op run at."""
    if op.stream is not None:
        return DTYPES[op.stream.dtype]
    return graph.tensors[op.reads[1].tensor].dtype
