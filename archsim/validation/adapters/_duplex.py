"""Systems and models of Duplex (Yun et al., MICRO 2024), and what they take: served, or one stage.

A point of the paper's grid is a closed loop at steady state, of which stages are simulated that lie
evenly over it, those with prompts apart from those without. Energy is of DRAM, of arithmetic, and
of units inside the memory, as there. Which row of a table asks what is in `duplex`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

from archsim.api import run
from archsim.components._pim import PimEngine
from archsim.core.errors import ArchsimError, Infeasible, Unsupported
from archsim.ir.pim import Product
from archsim.ir.problem import Extents
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.serving.batching import load_serving
from archsim.serving.batching_room import Room
from archsim.serving.closed_loop import Loop, Stage, scattered
from archsim.serving.closed_loop_metrics import metrics, weights_of
from archsim.serving.stages import Stages, Where
from archsim.serving.stages_experts import experts_of
from archsim.sim.kernels import compiled
from archsim.system.build import build
from archsim.system.spec import load_hardware
from archsim.validation.base import Progress

FP16 = {"weights": "fp16", "activations": "fp16", "kv_cache": "fp16"}
# preset, devices, prompt and answer lengths of the grid: sections VII-A and VII-B
MODELS = {
    "mixtral": ("mixtral-8x7b", 4, (256, 1024, 4096)),
    "glam": ("glam-143b", 8, (512, 1024, 2048)),
    "grok": ("grok-1", 16, (256, 1024, 4096)),
    "opt-66b": ("opt-66b", 4, ()),
    "llama3": ("llama-3-70b", 4, ()),
}
DENSE = ("opt-66b", "llama3")
BATCHES = (32, 64, 128)
SYSTEMS = {  # the shipped machine without its devices, and how experts lie in a node
    "gpu": ("gpu-hbm3", "dealt"),
    "duplex": ("duplex", "dealt"),
    "duplex_pe": ("duplex-pe", "dealt"),
    "duplex_pe_et": ("duplex-pe", "shared"),
    "bank_pim": ("bank-pim", "dealt"),
    "bankgroup_pim": ("bankgroup-pim", "dealt"),
    "gpu_doubled": ("gpu-hbm3", "dealt"),
    "hetero": ("hetero", "dealt"),
}
NODE = 8  # devices of a node at most: section VII-A
DOUBLED = "gpu_doubled"  # twice the devices, of a node up to eight, then the nodes: section VII-A
KINDS = {"hetero": 2}  # kinds of devices, each with as many: section III-B
ANSWERED = 512  # stages of the steady state that a sample stands for
SAMPLE = {0: 6, 1: 3, 2: 1}  # stages that are simulated, by prompts in them: none, one, more
PEAK_FLOPS = 989.4e12  # a device, fp16: NVIDIA H100 datasheet
MATRIX = 16384, 4096  # of figure 8
DIES_MM2 = 9 * 121.0  # eight DRAM dies and the logic die: section VI, as HBM3
EDAP = {"bank_pim": "bank-pim-4", "bankgroup_pim": "bankgroup-pim-4", "logic_pim": "duplex-4"}
ONE_STACK = ("interconnect.node=null", "memory.hbm.stacks=1", "engines.softmax.count=1")


class Point(NamedTuple):
    """One system, model and load.

    Attributes:
        system, model: as the table names them.
        devices: of the system.
        prompt, answer: tokens of each request.
        batch: requests at work.
    """

    system: str
    model: str
    devices: int
    prompt: int
    answer: int
    batch: int


class Served(NamedTuple):
    """What a point gives.

    Attributes:
        tokens_per_s: of all requests.
        joules_per_token: of DRAM and arithmetic.
    """

    tokens_per_s: float
    joules_per_token: float


def machine_of(system: str, devices: int) -> str:
    """Name of the shipped machine.

    Raises:
        Unsupported: where there is none of so many devices.
    """
    if system not in SYSTEMS:
        raise Unsupported(f'system "{system}" is not one of {", ".join(SYSTEMS)}')
    devices *= 2 if system == DOUBLED else 1
    size = str(devices) if devices <= NODE else f"{devices // NODE}x{NODE}"
    return f"{SYSTEMS[system][0]}-{size}"


def plan_of(point: Point) -> dict[str, Any]:
    """Attention and dense parts inside a node, experts over all, requests over nodes."""
    devices = point.devices * (2 if point.system == DOUBLED else 1)
    nodes = max(1, devices // NODE)
    plan: dict[str, Any] = {"tensor": devices // nodes // KINDS.get(point.system, 1)}
    if point.model in DENSE:
        return {**plan, "data": nodes}
    experts = SYSTEMS[point.system][1]
    if nodes > 1 and experts == "shared":  # each device sends its eighth of tokens: section VII-A
        experts = "sliced"
    return {**plan, "expert": nodes, "experts": experts}


def described(point: Point) -> dict[str, Any]:
    """The closed loop of a point."""
    found: dict[str, Any] = {
        "schema": "archsim.serving/1",
        "name": point.model,
        "model": MODELS[point.model][0],
        "batch": point.batch,
        # OPT has 2048 positions: lengths that vary about 1024 + 1024 do not fit them
        "lengths": {"kind": "fixed" if point.model == "opt-66b" else "normal",
                    "prompt_tokens": point.prompt, "output_tokens": point.answer},
        "stages": ANSWERED,
        "dtypes": FP16,
        "parallel": plan_of(point),
    }  # fmt: skip
    if point.model not in DENSE:
        found["routing"] = {"kind": "uniform"}
    return found


def served(point: Point, set_: tuple[str, ...] = ()) -> Served:
    """What a point of the grid gives in its steady state, or as many requests as there is room."""
    try:
        return _served(point, set_)
    except Infeasible:
        return _served(point._replace(batch=largest_batch(point, set_)), set_)


def all_served(
    points: Sequence[Point], workers: int, set_: tuple[str, ...], progress: Progress | None
) -> dict[Point, Served]:
    """Points in several processes, without those that no machine can be; the longest first."""
    order = sorted(points, key=lambda p: (-p.devices * p.batch, p))
    context = get_context("forkserver")
    found: dict[Point, Served] = {}
    with ProcessPoolExecutor(workers, context, compiled, ("advance",)) as pool:
        each = pool.map(partial(_served_if_possible, set_=set_), order)
        for n, (point, served_) in enumerate(zip(order, each, strict=True), 1):
            if served_ is not None:
                found[point] = served_
            if progress:
                progress(n, len(order))
    return found


def _served_if_possible(point: Point, set_: tuple[str, ...]) -> Served | None:
    try:
        return served(point, set_)
    except ArchsimError:
        return None  # its row says why


def _served(point: Point, set_: tuple[str, ...]) -> Served:
    spec, document = load_serving(described(point))
    stages = tuple(Loop(spec.lengths, point.batch, spec.seed, spec.start).stages(spec.counted))
    where = Where(machine_of(point.system, point.devices), set_, "tile")
    experts = experts_of(spec, document, stages, where.workload_sets)
    runs = Stages(where, spec.workload(), experts)
    some = sampled(stages)
    runs.simulate(some)
    pairs = [(stage, taken) for stage in some if (taken := runs.taken(stage)) is not None]
    found = metrics(pairs, weights_of(pairs, stages))
    parts = found["energy_j"]["per_output_tok_by_component"]
    counted = ("hbm", "mac", *where.resolved["engines"])  # of engines only those inside spend any
    joules = sum(parts.get(name, 0.0) for name in counted)
    return Served(found["throughput"]["output_tok_per_s"], joules)


def sampled(stages: Sequence[Stage]) -> list[Stage]:
    """A few stages of each kind, evenly over all."""
    found = []
    for kind, most in SAMPLE.items():
        alike = [stage for stage in stages if stage.kind == kind]
        found += [alike[at] for at in scattered(range(len(alike)))[:most]]
    return found


def largest_batch(point: Point, set_: tuple[str, ...] = ()) -> int:
    """Requests that the machine holds at their full length."""
    data = described(point) | {"lengths": {
        "kind": "fixed", "prompt_tokens": point.prompt, "output_tokens": point.answer,
    }}  # fmt: skip
    spec, _ = load_serving(data)
    return Room(Where(machine_of(point.system, point.devices), set_, "tile"), spec).largest()


def utilised_pct(point: Point, classes: tuple[str, ...], set_: tuple[str, ...] = ()) -> float:
    """Arithmetic of some ops of a decode step, over the peak in the time that they take."""
    data = {
        "schema": "archsim.workload/1",
        "name": point.model,
        "model": {"preset": MODELS[point.model][0]},
        "phase": {"kind": "decode", "batch": point.batch, "context": point.prompt},
        "parallel": plan_of(point),
        "dtypes": FP16,
    }
    graph = lower(load_workload(data)[0])
    macs = sum(block.count * op.macs() for block, op in graph.ops() if op.op_class in classes)
    machine = machine_of(point.system, point.devices)
    result = run(machine, data, set_=set_, fidelity="tile", advice=False).result
    time_ps = sum(one["time_ps"] for one in result["op_classes"] if one["op_class"] in classes)
    return float(100 * 2 * macs / (point.devices * PEAK_FLOPS * time_ps / 1e12))


def edap(system: str, rows: int, set_: tuple[str, ...] = ()) -> float:
    """Energy x delay x area of a matrix in one stack that meets so many vectors.

    Delay is that of a roofline; area is of all dies and what is added to them.

    Raises:
        Unsupported: for units of another place.
    """
    if system not in EDAP:
        raise Unsupported(f'system "{system}" is not one of {", ".join(EDAP)}')
    machine = build(load_hardware(EDAP[system], set_=(*ONE_STACK, *set_))[0])
    pim = next(e for e in machine.engines.values() if isinstance(e, PimEngine))
    depth, width = MATRIX
    product = Product((Extents(1, rows, width, depth),), 16, 16, 16)
    work = pim.product(product)
    price = {action: pim.price(machine.table, action).pj for action in ("activate", "read", "mac")}
    energy = work.activates * price["activate"] + work.read_bytes * price["read"]
    energy += product.macs * price["mac"]
    area = machine.area_mm2()
    return float(energy * work.bound_ps * (DIES_MM2 + area[pim.name] + area["softmax"]))
