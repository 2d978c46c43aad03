"""Do keys that are passed round travel while attention goes on?"""

import archsim
from archsim.api import load_hardware
from archsim.ir.parallel import ParallelPlan
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import build
from archsim.system.pod import place_all

PROMPT = {"phase": "prefill", "batch": 1, "tokens": 1024}


def test_a_ring_leaves_the_chip_to_kernels_and_a_gather_does_not():
    machine = build(load_hardware("h100x8"))
    graph = lower(load_workload("gpt2-small", **PROMPT)[0])
    alone = {}
    for kind in ("ring", "all_gather"):
        plan = ParallelPlan(context=8, context_kind=kind)
        stages = [s for block in place_all(graph, machine, 32, plan).blocks for s in block.stages]
        exchanges = [s for s in stages if s.ops[0].op_class == "comm_context"]
        alone[kind] = {s.exclusive for s in exchanges}
    assert alone == {"ring": {False}, "all_gather": {True}}


def test_the_exchanges_of_a_long_prompt_hide_behind_its_attention():
    sets = ("workload.parallel.context=8", "workload.phase.tokens=16384")
    result = archsim.run(
        "h100x8", "llama-3-8b-prefill", set_=sets, fidelity="tile", advice=False
    ).result
    assert result["breakdown"]["communication"] < 0.02
