"""Do the rows of a run share a memory as commands on one of its channels do?

A product inside a memory and another engine's stream of weights run at once: once as rows of a run,
and once command by command on one lane, whose log is replayed against the timing rules.
"""

from __future__ import annotations

from typing import Any

import pytest

import archsim
from archsim import api
from archsim.components._pim import PimEngine
from archsim.ir.pim import PimMapping, Product
from archsim.ir.problem import Extents
from archsim.memory.pim.gemv_stream import Loop
from archsim.memory.pim.lane_program import Access
from archsim.memory.pim.lane_rules import lane_rules
from archsim.memory.pim.products_exact import Stepper
from archsim.memory.pim.shared import Shared, shared
from archsim.memory.pim.trace import PimTrace
from archsim.system.build import build
from archsim.system.pod import place_all
from archsim.system.spec import load_hardware
from archsim.testing.pim_timing import violations

REDUCTION, WIDTH = 2048, 4096
ENGINES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Newton": ("HBM2_NeuPIMs_2.0Gbps", "500 MHz", {"kind": "bank_pim", "lanes": 32}),
    "AttAcc": ("HBM3_PIM_5.2Gbps", "666 MHz", {"kind": "bank_pim", "lanes": 16}),
    "HBM-PIM": ("HBM2_PIM_2.0Gbps", "300 MHz", {"kind": "bank_pim", "lanes": 16}),
    "Logic-PIM": ("HBM3_5.2Gbps", "650 MHz", {"kind": "logic_pim", "macs_per_stack": 16384}),
}
"""Standard, clock and fields of an engine, by command set."""


def machine(commands: str, sharing: str) -> dict[str, Any]:
    """An array with next to no time of its own, and an engine inside the same memory."""
    standard, clock, fields = ENGINES[commands]
    inside = {"inside": "hbm", "commands": commands, "clock": "pim", "sharing": sharing}
    return {
        "schema": "archsim.hardware/1", "name": "shared",
        "clocks": {"core": "8 GHz", "pim": clock},
        "memory": {
            "sram": {"kind": "sram", "capacity": "64 MiB", "bandwidth": "65536 B/cycle"},
            "hbm": {"kind": "dram", "standard": standard, "capacity": "4 GiB",
                    "controller": {"refresh": "none"}},
        },
        "engines": {
            "array": {"kind": "systolic_array", "rows": 128, "cols": 128, "count": 32},
            "pim": {**fields, **inside}, "vector": {"kind": "vector_unit", "lanes": 1024},
        },
        "layout": {"inside": {"weights": "row"}},
        "dispatch": [{"ops": "*/g", "run_on": "pim"}, {"ops": "*", "run_on": "array"}],
    }  # fmt: skip


def engine_of(made: dict[str, Any]) -> PimEngine:
    engine = build(load_hardware(made)[0]).engines["pim"]
    assert isinstance(engine, PimEngine)
    return engine


def run_ps(made: dict[str, Any], *ops: tuple[str, int, int]) -> int:
    """Time of matrix-vector products: name, outputs, elements that each sums."""
    graph = [{"kind": "gemm", "name": name, "m": 1, "n": n, "k": k} for name, n, k in ops]
    work = {
        "schema": "archsim.workload/1", "name": "two",
        "model": {"config": {"architecture": "graph", "ops": graph}},
    }  # fmt: skip
    return archsim.run(made, work, fidelity="cycle", advice=False).result["time_ps"]


def on_lane(
    engine: PimEngine, product: Product, accesses: int, sharing: str, *, log: bool = False
) -> Shared:
    """The commands of a product on one lane beside a stream of reads of whole rows."""
    device = engine._device(1)
    nest = tuple(Loop(n, piece.nest) for piece, n in device.shares(product) if n)
    trace = PimTrace.of("p", Stepper(device, device.banks).steps(nest), device.commands)
    sizes = lane_rules(device.standard, device.commands).groups
    first = device.banks.at_once if sharing == "bundle" else 0
    banks = sorted(range(first, sizes[0]), key=lambda b: (b % sizes[-2], b // sizes[-2]))
    beside = len({b // sizes[-2] for b in banks})  # bank groups take turns
    assert device.standard.device is not None
    columns = device.standard.device.columns // device.standard.device.prefetch
    reads = []
    for i in range(accesses):
        part, place = divmod(i, beside * columns)
        row, at = divmod(part, len(banks) // beside)
        reads.append(Access(0, False, banks[at * beside + place % beside], 3000 + row))
    turn = 2000 if sharing == "mode_switch" else 0
    return shared(
        device.standard, device.commands, trace, reads, sharing, turn=turn, log=log  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("commands", "sharing", "outputs", "load", "error"),
    [
        ("Logic-PIM", "bundle", 48, 0.5, 0.05),
        ("Logic-PIM", "bundle", 48, 1.5, 0.05),
        ("AttAcc", "mode_switch", 24, 1, 0.05),
        ("HBM-PIM", "mode_switch", 12, 1, 0.05),
        # Whose openings fill the window of activates: how many rows others open behind each of
        # them depends on where they happen to be, so that no closed form is closer.
        ("Newton", "dual_row_buffer", 16, 0.5, 0.25),
        ("Newton", "dual_row_buffer", 16, 1, 0.25),
        ("Newton", "dual_row_buffer", 16, 2, 0.25),
    ],
)
def test_a_run_takes_as_long_as_its_commands_beside_each_other(
    commands: str, sharing: str, outputs: int, load: float, error: float
) -> None:
    made = machine(commands, sharing)
    engine = engine_of(made)
    device = engine._device(1)
    outs = outputs * device.channels * device.banks.at_once
    product = Product((Extents(1, 1, outs, REDUCTION),), 16, 16, 16, "row")
    moved = engine.product(product).banks_ps * 1e-12 * device.standard.bytes_per_s * load
    columns = max(int(moved / 4 / WIDTH) // 128, 1) * 128
    stream = [("h", columns, WIDTH), ("i", columns, WIDTH)]
    alone, others = run_ps(made, ("g", outs, REDUCTION)), run_ps(made, *stream)
    both = run_ps(made, ("g", outs, REDUCTION), *stream)
    accesses = 4 * columns * WIDTH // device.channels // device.banks.access_bytes
    lane = on_lane(engine, product, accesses, sharing)
    mine, host, together = (ticks * device.tick_ps for ticks in lane.ticks)
    edges = max(alone - mine, others - host)  # what runs have besides: first and last tiles
    assert both - edges == pytest.approx(together, rel=error)
    assert both >= max(alone, others)


def products_of_a_run(made: dict[str, Any]) -> list[Product]:
    """What experts and attention of a small model ask of the engine inside the memory."""
    made = {**made, "dispatch": [{"ops": ["moe_expert", "attention"], "run_on": "pim"},
                                 {"ops": "*", "run_on": "array"}]}  # fmt: skip
    del made["layout"]
    work = {
        "schema": "archsim.workload/1", "name": "small",
        "model": {"config": {
            "architecture": "transformer", "hidden": 512, "layers": 1, "heads": 8, "kv_heads": 2,
            "head_dim": 64, "ffn": 384, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
            "position": "rope", "vocab": 64, "moe": {"experts": 4, "top_k": 2, "ffn": 384},
        }},
        "phase": {"kind": "decode", "batch": 3, "context": [70, 300, 1100]},
        "routing": {"kind": "uniform"},
    }  # fmt: skip
    found, graph, _ = api._graph(work, (), None, None, None, None)
    plan = place_all(graph, build(load_hardware(made)[0]), 32, found.parallel)
    return list(dict.fromkeys(
        step.product for block in plan.blocks for stage in block.stages
        if isinstance(stage.mapping, PimMapping) for step in stage.mapping.steps
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("commands", "sharing"),
    [
        ("Newton", "dual_row_buffer"), ("AttAcc", "mode_switch"),
        ("HBM-PIM", "mode_switch"), ("Logic-PIM", "bundle"),
    ],
)  # fmt: skip
def test_commands_of_the_stages_of_a_run_break_no_rule_alone_or_beside_others(
    commands: str, sharing: str
) -> None:
    made = machine(commands, sharing)
    engine = engine_of(made)
    asked = products_of_a_run(made)
    assert {product.dealt for product in asked} == {False, True}
    device, dual = engine._device(1), sharing == "dual_row_buffer"
    for product in asked:
        lane = on_lane(engine, product, 200, sharing, log=True)
        for run in (lane.alone, lane.host_alone, lane.together):
            assert violations(device.standard, device.commands, run.log, dual=dual) == []
        macs = device.commands.product.mac
        assert lane.together.pim_counts[macs] == lane.alone.pim_counts[macs] > 0
        assert lane.together.host_counts["RD"] == 200
