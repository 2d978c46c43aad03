"""Does a stage inside a memory take what its banks take, wait as it must, and count its work?"""

from dataclasses import replace

import pytest

from archsim import api
from archsim.components._pim import PimEngine, PimSpec
from archsim.core.errors import Infeasible, InputError, Unsupported
from archsim.energy.table import Row
from archsim.ir.pim import PimWork
from archsim.memory.pim.layouts_access import Appended
from archsim.report.render import summary
from archsim.report.write import compose
from archsim.system.bound import bound
from archsim.system.build import build
from archsim.system.dispatch_rule import DispatchRule
from archsim.system.pod import place_all
from archsim.system.record import record
from archsim.system.simulate import timed
from archsim.system.spec import load_hardware

US = 1_000_000
RATE = 4.0  # bytes a picosecond inside; the bus carries one
SWITCH = 50_000
ATTENTION = ("attention_score", "attention_value")


class Toy(PimEngine):
    """A double: so many bytes a picosecond from banks, and a bus for inputs and results."""

    kind = "toy"
    padding = 1.0
    switch_ps = SWITCH
    bytes_per_s = RATE * 1e12
    dtypes = ("bf16",)

    def macs_per_s(self, dtype):
        return 1e15 if dtype in self.dtypes else 0.0

    def product(self, product, *, exact=False):
        cases = product.cases
        matrix = int(sum(e.b * e.n * e.k for e in cases) * product.matrix_bits / 8)
        ins = int(sum(e.b * e.m * e.k for e in cases) * product.in_bits / 8)
        outs = int(sum(e.b * e.m * e.n for e in cases) * product.out_bits / 8)
        mac, bus = int(matrix / RATE), ins + outs
        return PimWork(
            banks_ps=mac + bus, bus_ps=bus, bound_ps=mac, waits_ps={"mac": mac, "input": bus},
            commands={"MAC": matrix // 32}, activates=matrix // 1024, read_bytes=matrix,
            input_bytes=ins, result_bytes=outs, matrix_bytes=matrix,
            stored_bytes=int(matrix * self.padding), bank_utilisation=0.5, row_hit_rate=0.97,
        )  # fmt: skip

    def append(self, product, grows, *, tokens=1, gathered=False):
        elements = tokens * sum(e.b * (e.n if grows == "k" else e.k) for e in product.cases)
        whole = 2 * elements if gathered or grows == "n" else 32 * elements
        return Appended(whole, whole if whole > 2 * elements else 0, whole, elements // 128)

    def read_share(self, product):
        return 0.5

    def price(self, table, action):
        return Row(1.0, "of a test", "assumed")

    def area_mm2(self, table):
        return 0.0

    def leakage_w(self, table):
        return 0.0


def machine(*ops, sharing="bundle", alone=False, padding=1.0, base="npu", set_=(), **limits):
    spec, _ = load_hardware(base, set_=set_)
    built = build(spec)
    toy = Toy("pim", PimSpec(inside="hbm", sharing=sharing, alone=alone), 1e9)
    toy.memory, toy.padding = built.memories["hbm"], padding
    rules = (DispatchRule(ops=ops, run_on="pim", **limits),) if ops else ()
    spec = spec.model_copy(update={"dispatch": (*rules, *spec.dispatch)})
    return replace(built, spec=spec, engines={**built.engines, "pim": toy})


def simulated(built, workload, fidelity="tile", **options):
    options = {"phase": "decode", "batch": 4, "context": 100, "tokens": None, **options}
    if isinstance(workload, dict):
        options = dict.fromkeys(options)
    work, graph, _ = api._graph(workload, (), *options.values())
    plan = place_all(graph, built, 32, work.parallel)
    done = record(plan, bound(plan), timed(plan, fidelity=fidelity))
    inputs = {"hardware": built.spec.to_data(), "workload": work.to_data()}
    return compose(done, inputs, {"fidelity": fidelity, "seed": 0}, {})


def products(*ops):
    return {
        "schema": "archsim.workload/1", "name": "products",
        "model": {"config": {"architecture": "graph", "ops": list(ops)}},
    }  # fmt: skip


def gemm(m, n, k, name="g", **more):
    return {"kind": "gemm", "name": name, "m": m, "n": n, "k": k, **more}


def row(report, op):
    return next(r for r in report.ops if r["op"].endswith(op))


ONE = products(gemm(2, 4096, 4096))
MATRIX = 4096 * 4096 * 2
BUS = 2 * 2 * 4096 * 2
BANKS = int(MATRIX / RATE) + BUS


@pytest.mark.parametrize("sharing", ["bundle", "dual_row_buffer", "mode_switch"])
def test_alone_a_product_takes_its_banks_and_each_change_over(sharing):
    report = simulated(machine("*/g", sharing=sharing), ONE)
    unit, found = report.result["units"]["pim"], report.result["pim"]["pim"]
    holds = BANKS // (40 * SWITCH)  # changing over costs a twentieth at most
    assert unit["busy_ps"] == BANKS + (2 * SWITCH * holds if sharing == "mode_switch" else 0)
    assert found["banks_ps"] == BANKS == sum(found["waits_ps"].values())
    assert report.result["time_ps"] >= unit["busy_ps"] >= report.result["bound_ps"] > 0
    assert report.result["traffic"]["hbm"]["weight_read_bytes"] == 0
    assert report.result["counts"]["inside.hbm.weight"] == MATRIX
    assert row(report, "/g")["macs"] == 2 * 4096 * 4096
    assert row(report, "/g")["bound_by"] == "pim_busy"


def test_inputs_and_results_take_the_bus_and_everything_is_priced():
    report = simulated(machine("*/g"), ONE)
    assert report.result["units"]["pim.bus"]["busy_ps"] == BUS
    counted = {k.removeprefix("pim.pim."): n for k, n in report.result["counts"].items()
               if k.startswith("pim.pim.")}  # fmt: skip
    assert counted == {
        "activate": MATRIX // 1024, "read": MATRIX, "input": BUS // 2, "result": BUS // 2,
        "mac": 2 * 4096 * 4096,
    }  # fmt: skip
    spent = report.result["metrics"]["energy_j"]["by_component"]["pim"]
    assert spent == pytest.approx(sum(counted.values()) * 1e-12)


def test_the_summary_says_what_the_banks_did_with_their_time():
    text = summary(simulated(machine("*/g"), ONE))
    found = text[text.index("Inside memories") :].split("\n\n")[0].splitlines()
    assert [line.split() for line in found] == [
        ["Inside", "memories", "busy", "banks", "feed", "row", "hits", "over", "the", "least"],
        ["pim", "in", "hbm", "98.4", "%", "50.0", "%", "97.0", "%", "1.00", "x"],
        ["mac", "99.6", "%"],
        ["input", "0.4", "%"],
        ["ops/g", "100.0", "%", "50.0", "%", "97.0", "%", "1.00", "x"],
    ]


OTHERS = gemm(64, 8192, 8192, name="h"), gemm(64, 8192, 8192, name="i")
BESIDE = products(gemm(2, 4096, 4096), *OTHERS)


@pytest.mark.parametrize(
    ("sharing", "held"), [("bundle", BUS), ("mode_switch", BANKS + 2 * SWITCH * 4)]
)
def test_ordinary_work_goes_on_beside_it_and_waits_for_what_it_holds(sharing, held):
    alone = simulated(machine(), products(*OTHERS))
    both = simulated(machine("*/g", sharing=sharing), BESIDE)
    more = both.result["time_ps"] - alone.result["time_ps"]
    assert more == pytest.approx(held, rel=0.35, abs=US // 5)
    assert both.result["pim"]["pim"]["others_waited_ps"] > 0


def test_alone_it_runs_with_the_chip_to_itself_and_changes_over_twice():
    ours = simulated(machine("*/g", alone=True, sharing="mode_switch"), BESIDE)
    beside = simulated(machine("*/g"), BESIDE)
    assert ours.result["time_ps"] > beside.result["time_ps"] + BANKS // 2
    assert ours.result["units"]["pim"]["busy_ps"] == BANKS + 2 * SWITCH


@pytest.mark.parametrize("sharing", ["bundle", "mode_switch"])
@pytest.mark.parametrize("fidelity", ["tile", "cycle", "analytic"])
def test_attention_is_one_stage_whose_softmax_hides_behind_the_banks(sharing, fidelity):
    report = simulated(machine(*ATTENTION, sharing=sharing), "llama-3-8b", fidelity, context=2000)
    found = row(report, "attn.score")
    banks = report.result["pim"]["pim"]
    assert (found["dataflow"], found["fused"]) == ("attention_pim", "attn.softmax + attn.value")
    assert banks["matrix_bytes"] == 32 * 2 * 4 * 8 * 2000 * 128 * 2
    around = 32 * (32 * 4 * 8 * 128)  # of each new value the access that it is a part of
    assert report.result["traffic"]["hbm"]["kv_cache_read_bytes"] == around
    each = banks["banks_ps"] // 32
    assert each <= found["time_ps"] // 32 <= 1.15 * each


def test_of_latents_the_values_are_summed_over_banks():
    work, graph, _ = api._graph("deepseek-v3", (), "decode", 2, 300, None)
    built = machine(*ATTENTION, set_=["memory.hbm.capacity=2 TB"])
    plan = place_all(graph, built, 32, work.parallel)
    layouts = {
        tuple(s.product.layout for s in stage.mapping.steps)
        for block in plan.blocks for stage in block.stages if stage.engine.name == "pim"
    }  # fmt: skip
    assert layouts == {("interleaved", "column")}


def test_padding_counts_against_the_memory_that_the_matrices_lie_in():
    held = [
        simulated(machine("*/g", padding=p), ONE).result["metrics"]["memory_peak_bytes"]["hbm"]
        for p in (1.0, 1.5)
    ]
    assert held[1] - held[0] == MATRIX // 2
    with pytest.raises(Infeasible, match="of it padding of matrices that are read there"):
        simulated(machine("*/g", padding=1.5, set_=["memory.hbm.capacity=40 MB"]), ONE)


def test_where_the_machine_states_a_layout_others_read_as_slowly_as_it_lets_them():
    plain, laid = (
        simulated(machine("*/g", max_rows=1, set_=set_), ONE)  # two rows: it runs on the array
        for set_ in ((), ["layout.inside.weights=row"])
    )
    assert row(plain, "/g")["engine"] == row(laid, "/g")["engine"] == "array"
    assert plain.result["warnings"] == laid.result["warnings"]
    slower = laid.result["time_ps"] - plain.result["time_ps"]
    assert slower == pytest.approx(MATRIX, rel=0.05)  # a byte a picosecond, at half of which


def test_new_tokens_are_written_as_units_want_them_and_values_may_wait_for_each_other():
    element, kinds = 32 * 4 * 8 * 128, {}
    for gather in ("false", "true"):
        built = machine(*ATTENTION, set_=[f"layout.inside.gather={gather}"])
        moved = simulated(built, "llama-3-8b").result["traffic"]["hbm"]
        kinds[gather] = moved["kv_cache_read_bytes"], moved["kv_cache_written_bytes"]
    assert kinds == {"false": (32 * element, 34 * element), "true": (0, 4 * element)}


def test_without_an_engine_inside_a_memory_its_layout_is_not_heard():
    report = simulated(machine(set_=["layout.inside.weights=row"]), ONE)
    text = "W101 layout.inside has no effect: nothing goes to an engine inside a memory"
    assert text in report.result["warnings"]


def test_a_matrix_must_lie_in_the_memory_that_the_engine_is_inside_of():
    built = machine("out_proj", base="npu-host", set_=["placement.weights=[host]"])
    with pytest.raises(InputError) as error:
        simulated(built, "llama-3-8b")
    assert str(error.value) == (
        "error[E202]: layer/attn.out runs on pim inside hbm, and 32.00 MiB of attn.out.weight "
        "lie in host\n"
        "      = help: placement: {weights: [hbm]}, or dispatch it to another engine"
    )


def test_a_matrix_that_is_made_during_the_run_cannot_be_read_where_it_lies():
    with pytest.raises(
        Unsupported,
        match=r"layer/attn\.score multiplies by a tensor that the run makes \(activation\)",
    ):
        simulated(machine(*ATTENTION), "bert-base", phase="encode", tokens=64, context=None)


def test_engines_inside_two_tiers_each_read_what_lies_in_theirs():
    report = api.run(
        {
            "schema": "archsim.hardware/1", "name": "tiers", "clocks": {"core": "1 GHz"},
            "memory": {
                "sram": {"kind": "sram", "capacity": "16 MiB", "bandwidth": "8192 B/cycle"},
                "hbm": {"kind": "dram", "standard": "HBM3_5.2Gbps", "stacks": 2,
                        "capacity": "64 GiB"},
                "far": {"kind": "dram", "standard": "GDDR6_AiM", "capacity": "64 GiB"},
            },
            "engines": {
                "array": {"kind": "systolic_array", "count": 4, "rows": 128, "cols": 128},
                "near": {"kind": "logic_pim", "inside": "hbm", "macs_per_stack": 16384},
                "away": {"kind": "bank_pim", "inside": "far", "lanes": 16},
                "vector": {"kind": "vector_unit", "lanes": 1024},
            },
            "placement": {"weights": ["hbm"], "kv_cache": ["far"]},
            "dispatch": [{"ops": "ffn", "run_on": "near"}, {"ops": "attention", "run_on": "away"},
                         {"ops": "*", "run_on": "array"}],
        },
        "llama-3-8b", phase="decode", batch=2, context=500, fidelity="cycle", advice=False,
    )  # fmt: skip
    inside = {key: n for key, n in report.result["counts"].items() if key.startswith("inside.")}
    assert inside == {
        "inside.hbm.weight": 32 * 3 * 4096 * 14336 * 2,
        "inside.far.kv_cache": 32 * 2 * 2 * 8 * 500 * 128 * 2,
    }
    assert row(report, "ffn.down")["engine"] == "near"
    assert row(report, "attn.score")["engine"] == "away"
    assert report.result["fidelity_notes"][-2:] == [
        "away inside far command by command", "near inside hbm command by command",
    ]  # fmt: skip
