"""Does a spatial array say what it has, and is what it cannot run refused with the reason?"""

import pytest

import archsim
from archsim.components.spatial_array import SpatialArray
from archsim.core.errors import ArchsimError
from archsim.core.yamlio import load_spec
from archsim.energy.table import load_table


def array(**fields):
    data = {**SpatialArray.example(), **fields}
    return SpatialArray("pe", load_spec(data, SpatialArray.Spec)[0], 1e9)


def gemm(dtype="int8", **ranks):
    return {
        "schema": "archsim.workload/1",
        "name": "one",
        "model": {"layers": [{"name": "a", "m": 20, "n": 30, "k": 40} | ranks]},
        "dtypes": {"weights": dtype, "activations": dtype},
    }


def machine(rule=None, **fields):
    engine = {"kind": "spatial_array", "rows": 4, "cols": 6, "registers": "64 B", "clock": "core"}
    return {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": "16 KiB", "bandwidth": "1 MB/cycle"},
            "dram": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "1 TB/s",
                     "latency": "0 ns", "energy": "hbm2"},
        },
        "engines": {"pe": engine | fields, "vector": {"kind": "vector_unit", "lanes": 4}},
        "mapping": [{"ops": "*", "fuse": "none"} | (rule or {})],
    }  # fmt: skip


def refusal(hardware, workload):
    with pytest.raises(ArchsimError) as caught:
        archsim.run(hardware, workload, advice=False)
    return caught.value.code, caught.value.message, caught.value.help


def test_its_peak_is_every_element_at_the_rate_of_the_type():
    pe = array(rows=3, cols=5, count=2, rates={"int8": 4, "fp16": 1})
    assert pe.macs_per_s("int8") == 3 * 5 * 2 * 4 * 1e9
    assert pe.macs_per_s("fp32") == 0
    assert pe.grid == (3, 5, 2)


def test_registers_are_one_file_or_one_by_operand():
    assert array(registers="1 KiB").register_bytes == 1024
    assert array(registers={"weight": "448 B", "in": "24 B"}).register_bytes == {
        "in": 24, "weight": 448, "out": 0,
    }  # fmt: skip


def test_its_area_is_cells_and_registers():
    table = load_table("45nm")
    cell, byte = table.area("mac", "cell").mm2, table.area("register", "byte").mm2
    pe = array(rows=2, cols=3, registers={"in": "10 B", "out": "20 B"})
    assert pe.area_mm2(table) == pytest.approx(6 * (cell + 30 * byte))


@pytest.mark.parametrize("rate", [1, 2, 3, 4])
def test_a_nest_takes_its_steps_over_the_rate_and_no_skew(rate):
    rule = {"dataflow": "output_stationary", "objective": "compute"}
    (op,) = archsim.run(machine(rule, rates={"int8": rate}), gemm(), advice=False).ops
    # 20 x 30 outputs on 4 x 6 elements are 25 passes of 40 steps each
    # and a tile of the buffer ends with a cycle that may be part-filled
    least = -(-25 * 40 // rate)
    assert least <= op["compute_cycles"] <= (1.08 * least if rate > 2 else least)
    assert op["mapping_eff_pct"] == 100
    assert op["cells_used"] == "4 of 4 rows (4 M), 6 of 6 cols (6 N)"


def test_energy_is_counted_at_every_level():
    report = archsim.run(machine({"dataflow": "weight_stationary"}), gemm(), advice=False)
    spent = report.result["metrics"]["energy_j"]["by_component"]
    assert {"mac", "register", "network", "sram", "dram", "dma"} <= set(spent)
    counts = report.result["counts"]
    pj = {key: report.result["energy_rows"][key]["pj"] for key in ("register.read", "mac.int8")}
    assert counts["mac.int8"] == 20 * 30 * 40
    # every product reads its input, its weight and, but for the first, its sum of four bytes
    assert counts["register.read"] <= (1 + 1 + 4) * counts["mac.int8"]
    assert min(pj.values()) > 0


def test_a_template_for_other_arrays_is_refused():
    assert refusal(machine({"dataflow": "flash_attention"}), gemm()) == (
        "E302",
        "a: flash_attention is no dataflow of a spatial_array, and pe is one",
        "row_stationary, channel_parallel, spatial, or weight_stationary, output_stationary, "
        "input_stationary",
    )
    systolic = machine({"dataflow": "row_stationary"})
    systolic["engines"]["pe"] = {"kind": "systolic_array", "rows": 4, "cols": 6}
    assert refusal(systolic, gemm()) == (
        "E302",
        "a: row_stationary is a dataflow of a spatial_array, and pe is none",
        "weight_stationary, output_stationary or input_stationary",
    )


def test_registers_without_room_for_what_stays_are_refused():
    said = refusal(machine({"dataflow": "weight_stationary"}, registers={"in": "8 B"}), gemm())
    assert said[:2] == (
        "E401",
        "a: weight_stationary finds no room for its operand in the registers of pe",
    )
    said = refusal(machine({"dataflow": "row_stationary"}, registers={"in": "8 B"}), gemm())
    assert said[:2] == (
        "E401",
        "a: row_stationary keeps filter rows in registers, and those of pe hold no weight",
    )


def test_a_type_without_a_rate_is_refused():
    code, message, _ = refusal(machine(), gemm("fp32"))
    assert (code, message) == (
        "E302",
        "layers/a computes in fp32, and engine pe has no rate for it",
    )


def test_a_whole_attention_as_one_stage_is_refused():
    hardware = machine({"ops": "attention", "dataflow": "flash_attention"}, rates={"bf16": 1})
    hardware["memory"]["sram"]["capacity"] = "1 MiB"
    work = {
        "schema": "archsim.workload/1",
        "name": "small",
        "model": {"preset": "gpt2-small"},
        "phase": {"kind": "prefill", "batch": 1, "tokens": 8},
    }
    code, message, help = refusal(hardware, work)
    assert (code, help) == ("E302", "leave out that rule: its products then run one by one")
    assert message == (
        "layer/attn.score: flash_attention maps a whole attention to a systolic array, and pe is a "
        "spatial_array"
    )


def test_a_nest_whose_weight_passes_by_the_buffer_reads_it_from_memory_at_each_use():
    levels = {
        "dram": {"loops": ["M/4"]},
        "buffer": {"keep": ["in", "out"], "loops": ["M/1", "N/1", "K/1"]},
        "registers": {"keep": ["weight"], "loops": []},
    }
    rule = {"fuse": "none", "nest": {"levels": levels}}
    past = archsim.run(machine(rule), gemm(), advice=False).ops[0]
    levels["buffer"]["keep"].append("weight")
    kept = archsim.run(machine(rule), gemm(), advice=False).ops[0]
    assert past["dram_weight_bytes"] == 20 * kept["dram_weight_bytes"]  # once for each row


@pytest.mark.parametrize("instances", [1, 2, 3])
def test_instances_share_the_passes(instances):
    rule = {"dataflow": "output_stationary", "objective": "compute"}
    (op,) = archsim.run(machine(rule, count=instances), gemm(), advice=False).ops
    assert op["compute_cycles"] == -(-5 // instances) * 5 * 40  # of 5 x 5 passes


def test_a_machine_may_say_what_its_silicon_leaks():
    said = {
        "class": "logic",
        "item": "mm2",
        "value": "2 mW",
        "source": "here",
        "accuracy": "assumed",
    }
    plain = archsim.run(machine(), gemm(), advice=False).result
    quiet = archsim.run(
        machine() | {"energy": {"table": "7nm", "leakages": [said]}}, gemm(), advice=False
    ).result
    energy = [run["metrics"]["energy_j"]["by_component"] for run in (plain, quiet)]
    assert energy[1]["leakage"] < energy[0]["leakage"]
    assert energy[1]["register"] == energy[0]["register"]
