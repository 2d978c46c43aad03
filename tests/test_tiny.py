"""The tour: ten lines per idea, from YAML to an answer; runs first and in a second."""

import archsim
from archsim.dataflows.base import dataflows
from archsim.ir.problem import problem
from archsim.ir.target import Target
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.simulate import simulate
from archsim.system.build import build
from archsim.system.plan import place
from archsim.system.schedule import schedule
from archsim.system.spec import load_hardware
from archsim.testing.functional import execute
from archsim.testing.problems import gemm


def test_one_call_answers_how_fast_how_much_energy_how_much_silicon_and_why():
    report = archsim.run("npu", "llama-3-8b", phase="decode", batch=16, context=2048)
    assert 19e-3 < report.metrics["time_s"] < 20e-3  # 19.3 GB at 1 TB/s
    assert report.metrics["energy_j"]["total"] > 0
    assert report.metrics["area_mm2"]["total"] > 0
    assert "the physical bound, which memory sets" in report.result["verdict"]


def test_a_model_is_a_graph_of_blocks_that_repeat():
    graph = lower(load_workload("llama-3-8b-decode")[0])
    assert [(b.name, b.count) for b in graph.blocks] == [("embed", 1), ("layer", 32), ("head", 1)]
    assert graph.macs() == 16 * graph.facts["macs_per_token"]


def test_a_machine_is_yaml_that_becomes_components():
    machine = build(load_hardware("npu")[0])
    assert machine.dram.peak_bytes_per_s == 1e12
    assert machine.engines["array"].macs_per_s("bf16") == 8 * 128 * 128 * 1e9


def test_a_mapping_is_timed_and_executed_by_the_same_object():
    engine = build(load_hardware("scalesim-128")[0]).engines["array"]
    op, tensors = gemm(1, 40, 24, 56)
    target = Target("array", 128, 128, 1, 1e9, 4096, 1e9, cost=lambda t: engine.cost(t, "int8"))
    mapping = dataflows.get("weight_stationary")().map(problem(op, tensors, 32), target)
    assert "weight_stationary" in mapping.render()
    assert execute(mapping)["out"] == mapping.transfers("out", mapping.problem.largest)


def test_a_plan_becomes_a_program_of_units_channels_and_loops():
    machine = build(load_hardware("npu")[0])
    program = schedule(place(lower(load_workload("llama-3-8b-decode")[0]), machine)).program
    program.check()
    assert any(isinstance(node, Loop) and node.n == 32 for node in program.tree)


def test_time_is_tokens_and_slots_in_integer_picoseconds():
    load, array = Unit("load", role=2), Unit("array", role=4)
    rows = (
        Row(0, dur_ps=10, reserve=(0,), put=(0,)),
        Row(1, dur_ps=25, take=(0,), free=(0,)),
    )
    program = Program(
        (load, array), (Channel("tiles", 0, 1, 2),), rows, (Loop(4, (Leaf((0, 1)),)),)
    )
    for engine in ("compiled", "simpy"):
        assert simulate(program, engine=engine).makespan_ps == 10 + 4 * 25
