"""Small pods for tests: layers with collectives, stages that send each other messages.

Every graph is a matrix product, collectives and a sum, repeated; partitions are made by hand, so
that what a schedule does with them is told apart from how a model is divided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from archsim.ir.collective import Collective, Pattern
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op, dims
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Partition, Share, Turn
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.system.build import Machine, build
from archsim.system.place import Plan, Pod
from archsim.system.plan import place
from archsim.system.spec import load_hardware

SWITCH: dict[str, Any] = {"kind": "switch", "bandwidth": "450 GB/s", "latency": "0.8 us"}
ROWS, WIDTH = 64, 256


def layered(
    plan: ParallelPlan, axes: Sequence[str], *, layers: int = 4, ends: Sequence[str] = ()
) -> OpGraph:
    """Alike layers, each with an all-reduce along some axes; `ends`: `receive`, `send` or both."""
    dtype = DTYPES["bf16"]
    tensors: dict[str, Tensor] = {}

    def tensor(name: str, role: Role = Role.ACTIVATION) -> Access:
        shape, rank = ((WIDTH, WIDTH), ("K", "N")) if role is Role.WEIGHT else ((ROWS, WIDTH), "MN")
        tensors[name] = Tensor(name, shape, dtype, role)
        return Access(name, dims(*rank))

    def exchange(name: str, pattern: Pattern, axis: str, read: Access, peer: int = 0) -> Op:
        size, ways = ROWS * WIDTH * 2, plan.ways(axis)
        what = Collective(pattern, axis, 2 if peer else ways, size, peer=peer)
        ranks = {"M": ROWS, "N": WIDTH}
        out = (tensor(f"{name}.out"),)
        return Op(name, Kind.COLLECTIVE, f"comm_{axis}", ranks, (read,), out, collective=what)

    if "receive" in ends:
        first = exchange("receive", "receive", "pipeline", tensor("given"), -1)
    else:
        made = (tensor("made.out"),)
        ranks = {"M": ROWS, "N": WIDTH}
        first = Op("made", Kind.VECTOR, "embed", ranks, (tensor("in"),), made, {"add": 1})
    start = first.writes[0]
    product = Op(
        "product", Kind.GEMM, "ffn", {"B": 1, "M": ROWS, "N": WIDTH, "K": WIDTH},
        (replace(start, dims=dims("M", "K")), tensor("weight", Role.WEIGHT)),
        (tensor("product.out"),),
    )  # fmt: skip
    ops = [product]
    for axis in axes:
        ops.append(exchange(f"reduce.{axis}", "all_reduce", axis, ops[-1].writes[0]))
    ranks = {"M": ROWS, "N": WIDTH}
    reads, out = (ops[-1].writes[0], start), (tensor("layer.out"),)
    ops.append(Op("add", Kind.VECTOR, "residual", ranks, reads, out, {"add": 1}))
    carry = ((start.tensor, "layer.out"),)
    blocks = [Block("first", 1, (first,)), Block("layer", layers, tuple(ops), carry=carry)]
    if "send" in ends:
        last = exchange("send", "send", "pipeline", ops[-1].writes[0], 1)
        blocks.append(Block("last", 1, (last,)))
    graph = OpGraph("layers", tuple(blocks), tensors, {})
    graph.check()
    return graph


def divided(plan: ParallelPlan, *, layers: int = 4) -> Partition:
    """A partition: an all-reduce along each axis but the pipeline's, microbatches through that."""
    axes = [a for a in ("tensor", "expert", "data") if plan.ways(a) > 1]
    stages = plan.pipeline
    groups = plan.groups("pipeline")
    shares = []
    for i in range(stages):
        ends = [end for end, on in (("receive", i > 0), ("send", i < stages - 1)) if on]
        graph = layered(plan, axes, layers=layers, ends=ends)
        devices = tuple(sorted(group[i] for group in groups))
        turns = (Turn(plan.microbatches or 1, ("forward",)),) if stages > 1 else ()
        shares.append(Share(f"stage{i}" if stages > 1 else "", devices, graph, turns=turns))
    return Partition(plan, tuple(shares), shares[0].graph)


def machine(devices: int, network: Mapping[str, Any] = SWITCH, base: str = "npu") -> Machine:
    """So many copies of a shipped chip on a network."""
    data = load_hardware(base)[0].to_data()
    counted = {} if "dims" in network else {"devices": devices}
    data["interconnect"]["node"] = {**network, **counted}
    return build(load_hardware(data)[0])


def pod(partition: Partition, machine: Machine, odd: Mapping[int, Machine] | None = None) -> Plan:
    """The plan of the first device with those of all; `odd`: machines of some devices."""
    joined = machine.joined(partition.plan)
    plans = tuple(place(share.graph, joined) for share in partition.shares)
    graphs = {d: share.graph for share in partition.shares for d in share.devices}
    odd_plans = {
        d: place(graphs[d], replace(one, port=joined.port)) for d, one in (odd or {}).items()
    }
    return replace(plans[0], pod=Pod(partition, plans, odd_plans))
