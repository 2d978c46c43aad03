"""Does each tensor lie where the rule of placement says, and does what is far arrive in time?"""

import copy

import pytest

import archsim
from archsim.core.errors import Infeasible, InputError
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.report.occupancy import occupancy
from archsim.sim.simulate import simulate
from archsim.system.bound import bound
from archsim.system.build import build
from archsim.system.homes import tier_bound_ps, tier_bytes
from archsim.system.plan import place
from archsim.system.record import record
from archsim.system.schedule import schedule
from archsim.system.simulate import timed
from archsim.system.spec import load_hardware

MIB = 1 << 20
MACHINE = {
    "schema": "archsim.hardware/1",
    "name": "tiered",
    "clocks": {"core": "1 GHz"},
    "memory": {
        "sram": {"kind": "sram", "capacity": "1 MiB", "bandwidth": "1024 B/cycle"},
        "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "100 GB/s", "latency": "0 s"},
        "ddr": {"kind": "dram", "capacity": "4 GiB", "bandwidth": "20 GB/s", "latency": "0 s",
                "energy": "ddr5"},
    },
    "engines": {
        "array": {"kind": "systolic_array", "rows": 32, "cols": 32, "count": 4},
        "vector": {"kind": "vector_unit", "lanes": 128},
    },
}  # fmt: skip
DECODE = {"phase": "decode", "batch": 2, "context": 128}
PREFILL = {"phase": "prefill", "batch": 1, "tokens": 128}


def machine(hbm="1 GiB", ddr="4 GiB", placement=None, interconnect=None, **more):
    made = copy.deepcopy(MACHINE)
    made["memory"]["hbm"]["capacity"] = hbm
    made["memory"]["ddr"]["capacity"] = ddr
    made["memory"].update(more)
    made["placement"] = placement or {}
    made["interconnect"] = interconnect or {}
    return made


def planned(hardware, workload=None):
    work, _ = load_workload("gpt2-small", **(workload or DECODE))
    return place(lower(work), build(load_hardware(hardware)[0]))


def result(hardware, workload=None, **options):
    return archsim.run(
        hardware, "gpt2-small", **(workload or DECODE), **options, advice=False
    ).result


def test_what_fits_the_fastest_memory_lies_there_and_the_slower_one_changes_nothing():
    alone = machine()
    del alone["memory"]["ddr"]
    one, two = result(alone), result(machine())
    assert one["time_ps"] == two["time_ps"]
    assert one["traffic"]["hbm"].items() <= two["traffic"]["hbm"].items()
    idle = {"bytes": 0, "busy_s": 0.0, "hidden_share": None, "pairs": []}
    assert idle.items() <= two["staging"].items()
    assert two["traffic"]["ddr"]["total_bytes"] == 0


def test_room_is_given_to_the_cache_then_to_activations_then_to_weights():
    homes = planned(machine(hbm="200 MiB")).homes
    assert set(homes.held["hbm"]) == {"kv_cache", "activations", "weights"}
    assert set(homes.held["ddr"]) == {"weights"}


def test_weights_that_are_read_whole_are_split_alike_and_cold_ones_leave_first():
    plan = planned(machine(hbm="200 MiB"))
    tensors = plan.graph.tensors
    touched = {
        a.tensor: plan.graph.touched_bytes(a) for _, op in plan.graph.ops() for a in op.reads
    }
    shares = {
        name: round(size / tensors[name].bytes, 3)
        for name, parts in plan.homes.far.items()
        for _, size in parts
    }
    whole = {n: s for n, s in shares.items() if touched[n] == tensors[n].bytes}
    assert len(set(whole.values())) == 1
    assert all(share == 1 for name, share in shares.items() if name not in whole)
    assert not any(tensors[name].bytes < 20_000 for name in shares)


def test_a_memory_is_never_fuller_than_it_is():
    for hbm in ("20 MiB", "64 MiB", "200 MiB", "250 MiB"):
        plan = planned(machine(hbm=hbm), PREFILL)
        for memory in plan.machine.tiers:
            held = sum(plan.homes.held[memory.name].values()) + plan.homes.reserved(memory.name)
            assert held <= memory.capacity_bytes
        total = sum(sum(classes.values()) for classes in plan.homes.held.values())
        assert total == sum(plan.dram_bytes.values())
        assert plan.dram_bytes["weights"] == plan.graph.stored_bytes(Role.WEIGHT)


def test_placement_decides_where_a_class_may_lie():
    kept = planned(machine(placement={"kv_cache": ["ddr"], "weights": ["hbm"]})).homes
    assert set(kept.held["hbm"]) == {"activations", "weights"}
    assert set(kept.held["ddr"]) == {"kv_cache"}
    with pytest.raises(Infeasible, match="short by"):
        planned(machine(hbm="200 MiB", placement={"weights": ["hbm"]}))


def test_what_fits_nowhere_is_refused_with_a_table():
    with pytest.raises(Infeasible) as refused:
        planned(machine(hbm="64 MiB", ddr="64 MiB"))
    assert refused.value.render() == (
        "error[E401]: gpt2-small needs 246.54 MiB, tiered holds 128.00 MiB (hbm 64.00 MiB, "
        "ddr 64.00 MiB): short by 118.54 MiB\n"
        "      = help: narrower dtypes, a smaller batch, more memories in placement, or "
        "--set memory.ddr.capacity=...\n"
        "        class        need        may lie in  placed      short\n"
        "        kv_cache     9.00 MiB    hbm, ddr    9.00 MiB    0 B\n"
        "        activations  196.32 KiB  hbm, ddr    196.32 KiB  0 B\n"
        "        weights      237.35 MiB  hbm, ddr    118.81 MiB  118.54 MiB"
    )
    need = {row["class"]: row["need_bytes"] for row in refused.value.details["classes"]}
    assert need["kv_cache"] == 9 * MIB
    assert refused.value.exit_code == 5


def test_bytes_that_lie_far_away_pass_their_own_port_once_and_the_nearer_one_twice():
    plan = planned(machine(hbm="200 MiB"))
    traffic = result(machine(hbm="200 MiB"))["traffic"]
    least = tier_bytes(plan)
    staged = traffic["ddr"]["total_bytes"]
    assert least["ddr"] <= staged <= least["ddr"] * 1.001  # tiles round up
    assert traffic["hbm"]["weight_written_bytes"] == staged
    assert traffic["hbm"]["weight_read_bytes"] == plan.graph.read_bytes(Role.WEIGHT)
    assert traffic["hbm"]["staged_bytes"] == traffic["ddr"]["staged_bytes"] == staged


def test_a_run_that_streams_takes_as_long_as_the_slow_port():
    found = result(machine(hbm="64 MiB"))
    assert found["stalls"]["ddr_bandwidth"] > 0.99
    assert found["time_ps"] == pytest.approx(found["traffic"]["ddr"]["total_bytes"] * 50, rel=0.002)
    assert found["staging"]["hidden_share"] < 0.01
    assert found["bound_ps"] == tier_bound_ps(planned(machine(hbm="64 MiB")))
    assert 1 <= found["ratio_to_bound"] < 1.01


def test_staging_hides_behind_a_port_that_is_busier():
    """The same bytes from a slow memory that is fast enough: nothing waits for them."""
    quick = machine(placement={"kv_cache": ["ddr"]})
    found = result(quick)
    assert found["staging"]["bytes"] > 9 * MIB
    assert found["staging"]["hidden_share"] > 0.95
    assert found["time_ps"] < 1.05 * result(machine())["time_ps"]


def test_weights_are_fetched_ahead_over_the_borders_of_stages():
    """All memories and the arrays work at once: of what the slow port takes a tenth is seen."""
    found = result(machine(hbm="200 MiB"), {"phase": "prefill", "batch": 1, "tokens": 512})
    alone = result(machine(), {"phase": "prefill", "batch": 1, "tokens": 512})
    staging_ps = found["staging"]["busy_s"] * 1e12
    assert found["time_ps"] < alone["time_ps"] + 0.1 * staging_ps


def test_experts_wait_for_the_router_that_picks_them_and_dense_weights_do_not():
    work, _ = load_workload("mixtral-8x7b", phase="decode", batch=1, context=128)
    plan = place(lower(work), build(load_hardware("sn40l")[0]))
    late = plan.homes.late
    experts = {name for name in late if plan.graph.tensors[name].role is Role.WEIGHT}
    assert experts == {"moe.gate.weight", "moe.up.weight", "moe.down.weight"}
    lanes = {kind for kind, _, _ in plan.homes.areas}
    assert "return" in lanes
    unit = next(u for u in schedule(plan).program.units if u.name == "return.ddr.hbm.read")
    assert unit.timeline == "ddr"


def test_activations_go_out_and_return_and_the_run_waits_for_them():
    found = result(machine(placement={"activations": ["ddr"]}), PREFILL)
    moved = found["traffic"]["ddr"]
    assert moved["activation_written_bytes"] > 0
    assert moved["activation_read_bytes"] > 0
    assert moved["weight_read_bytes"] == 0
    assert found["staging"]["hidden_share"] < 0.5
    assert found["time_ps"] > result(machine(), PREFILL)["time_ps"]


def test_a_dma_of_its_own_brings_data_past_the_nearer_memory():
    direct = machine(
        hbm="100 MiB", interconnect={"far": {"kind": "dma", "from": "ddr", "to": "sram"}}
    )
    found = result(direct)
    assert found["placement"]["tiers"][1]["path"] == ["ddr", "sram"]
    assert found["staging"]["bytes"] == 0
    assert found["traffic"]["hbm"]["weight_written_bytes"] == 0
    plan = planned(direct)
    total = sum(memory["weight_read_bytes"] for memory in found["traffic"].values())
    assert total == plan.graph.read_bytes(Role.WEIGHT)
    assert all(len(parts) == 1 for parts in plan.homes.far.values())


def test_data_hop_from_memory_to_memory():
    disk = {"kind": "dram", "capacity": "1 TiB", "bandwidth": "5 GB/s", "latency": "10 us",
            "energy": "ddr4"}  # fmt: skip
    found = result(machine(hbm="20 MiB", ddr="100 MiB", ssd=disk))
    assert [t["path"] for t in found["placement"]["tiers"]] == [
        ["hbm", "sram"], ["ddr", "hbm", "sram"], ["ssd", "ddr", "hbm", "sram"],
    ]  # fmt: skip
    assert found["traffic"]["ddr"]["weight_written_bytes"] == found["traffic"]["ssd"]["total_bytes"]
    assert found["stalls"]["ssd_bandwidth"] > 0.9


def test_a_stage_larger_than_its_area_streams_through_it():
    plan = planned(machine(hbm="20 MiB"))
    largest = max(t.bytes for t in plan.graph.tensors.values() if t.role is Role.WEIGHT)
    assert largest > plan.homes.reserved("hbm")
    assert result(machine(hbm="20 MiB"))["time_ps"] > 0


def watched(plan):
    """(ps, row) of every step of a run that takes room or gives it back."""
    book, steps = schedule(plan), []

    def note(unit):
        for row in unit.rows():
            while event := unit.ask(row, row.wanted):
                yield event
            yield from unit.use(row)
            if book.holds[unit.row]:
                steps.append((unit.env.now, unit.row))
            unit.free(row)
            unit.put(row)

    who = {book.program.rows[i].unit for i, holds in enumerate(book.holds) if holds}
    simulate(book.program, behaviours=dict.fromkeys(who, note))
    return steps


@pytest.mark.parametrize("hbm", ["20 MiB", "64 MiB", "200 MiB"])
def test_no_memory_is_ever_fuller_than_it_is_and_all_room_is_given_back(hbm):
    plan = planned(machine(hbm=hbm, placement={"activations": ["ddr"]}))
    run = record(plan, bound(plan), timed(plan, fidelity="cycle"))
    curves = occupancy(run, watched(plan))
    assert set(curves) == {"sram", "hbm", "ddr"}
    capacity = {name: memory.capacity_bytes for name, memory in plan.machine.memories.items()}
    stays = {tier.name: sum(tier.held_bytes.values()) for tier in run.memory.tiers}
    stays["sram"] = plan.resident_bytes
    for name, curve in curves.items():
        assert max(size for _, size in curve) <= capacity[name]
        assert [ps for ps, _ in curve] == sorted({ps for ps, _ in curve})
        assert curve[-1][1] == stays[name]
    peaks = {tier.name: tier.peak_bytes for tier in run.memory.tiers}
    assert stays["hbm"] < max(size for _, size in curves["hbm"]) <= peaks["hbm"]
    assert len(curves["ddr"]) == 1  # nothing waits in the memory that is furthest away


def test_energy_of_each_memory_has_its_own_rows():
    found = result(machine(hbm="64 MiB"))
    assert {"hbm", "ddr", "dma", "ddr_dma"} <= set(found["metrics"]["energy_j"]["by_component"])
    row = found["energy_rows"]["tier.ddr.read.weight.staged"]
    assert row["pj"] == 96
    assert row["count"] == found["traffic"]["ddr"]["weight_read_bytes"]


def test_ops_say_how_many_bytes_passed_each_memory():
    report = archsim.run(machine(hbm="64 MiB"), "gpt2-small", **DECODE, advice=False)
    traffic = report.result["traffic"]
    for name in ("hbm", "ddr"):
        assert sum(row[f"{name}_bytes"] for row in report.ops) == traffic[name]["total_bytes"]


def test_several_srams_are_refused():
    two = machine()
    two["memory"]["other"] = two["memory"]["sram"]
    with pytest.raises(InputError, match=r"memory has 2 srams \(other, sram\)"):
        build(load_hardware(two)[0])


def test_stacks_without_a_standard_are_refused():
    odd = machine()
    odd["memory"]["hbm"]["stacks"] = 4
    with pytest.raises(InputError, match="stacks multiply a standard, and this dram has none"):
        load_hardware(odd)


def test_an_unknown_energy_table_is_refused_at_its_line(tmp_path):
    from archsim.core.yamlio import dump_yaml

    file = tmp_path / "m.yaml"
    file.write_text(dump_yaml({**machine(), "energy": {"table": "9nm"}}))
    line = file.read_text().splitlines().index("energy:") + 2
    with pytest.raises(InputError) as refused:
        archsim.run(str(file), "gpt2-small", **DECODE, advice=False)
    assert [(d.code, d.line) for d in refused.value.diagnostics] == [("E108", line)]
