"""Is the plan of a region the one that its rules say, and does it move the bytes it must?"""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import archsim
from archsim import api
from archsim.core.errors import Infeasible, LawViolation
from archsim.ir.region import RegionMapping, Way
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import build
from archsim.system.dispatch import dispatched
from archsim.system.place import stage_blocks
from archsim.system.region import deal
from archsim.system.region_work import shares

MODEL = {
    "architecture": "transformer", "layers": 2, "hidden": 256, "heads": 4, "kv_heads": 4,
    "head_dim": 64, "ffn": 512, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 1000,
}  # fmt: skip
LAYER_OPS = 15
WEIGHTS = 2 * (4 * 256 * 256 + 3 * 256 * 512 + 2 * 256)  # bytes of a layer, norms too


def machine(sram="8 MiB", units=64, **engine):
    return {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": sram, "bandwidth": "16384 B/cycle"},
            "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "100 GB/s"},
        },
        "engines": {
            "fabric": {
                "kind": "spatial_pipeline", "compute_units": units, "memory_units": 128, "rows": 8,
                "cols": 4, "lanes": 8, "host_launch": "5 us", "hardware_launch": "1 us", **engine,
            }
        },
        "placement": {"activations": ["hbm"]},
    }  # fmt: skip


def work(kind, batch, length):
    tokens = "context" if kind == "decode" else "tokens"
    return {
        "schema": "archsim.workload/1", "name": "small", "model": {"config": MODEL},
        "phase": {"kind": kind, "batch": batch, tokens: length},
    }  # fmt: skip


def layer(hardware, workload):
    """Mappings of the regions of a layer."""
    plan = api.place_only(hardware, workload)
    block = next(b for b in plan.blocks if b.block.name == "layer")
    assert all(isinstance(stage.mapping, RegionMapping) for stage in block.stages)
    return [stage.mapping for stage in block.stages]


@given(st.integers(1, 500), st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_units_are_dealt_in_proportion_at_least_one_each(spare, works):
    units = spare + len(works)
    given_ = deal(units, works)
    assert min(given_) >= 1
    if sum(works):
        assert sum(given_) == units
        for got, some in zip(given_, works, strict=True):
            assert abs(got - 1 - spare * some / sum(works)) < 1


@given(st.integers(0, 10**12), st.integers(1, 256))
def test_shares_are_alike_and_lose_nothing(whole, steps):
    parts = shares(whole, steps)
    assert parts.sum() == whole
    assert parts.max() - parts.min() <= 1


def test_a_layer_that_fits_is_one_region_and_one_launch():
    for phase in (("prefill", 1, 128), ("decode", 2, 64)):
        (region,) = layer(machine(), work(*phase))
        assert len(region.ops) == LAYER_OPS
        assert sum(op.units for op in region.ops) == region.units
        assert region.memory_used <= region.memory_units
        result = archsim.run(machine(), work(*phase), fidelity="tile", advice=False).result
        assert result["launches"] == 2 + 2  # embedding, two layers, head


def test_without_fusion_every_op_is_a_launch_and_moves_what_it_reads_and_writes():
    hardware = machine() | {"mapping": [{"ops": "*", "fuse": "none"}]}
    fused, alone = (
        archsim.run(m, work("prefill", 1, 128), fidelity="tile", advice=False).result
        for m in (machine(), hardware)
    )
    assert alone["launches"] == 1 + 2 * LAYER_OPS + 2
    assert alone["traffic"]["hbm"]["total_bytes"] > 2 * fused["traffic"]["hbm"]["total_bytes"]


def test_a_fused_layer_moves_its_weights_its_cache_and_the_residual_stream_once():
    tokens, hidden = 128, 2 * 256
    result = archsim.run(machine(), work("prefill", 1, tokens), fidelity="tile", advice=False)
    row = next(op for op in result.ops if op["op"] == "layer/attn_norm")
    cache = 2 * tokens * hidden  # keys and values
    assert row["dram_weight_bytes"] == 2 * (WEIGHTS + cache)
    assert row["dram_in_bytes"] == 2 * tokens * hidden
    assert row["dram_out_bytes"] == 2 * (tokens * hidden + cache)


def test_what_does_not_fit_beside_each_other_is_cut_into_several_regions():
    roomy, tight = (layer(machine(sram), work("prefill", 1, 128)) for sram in ("8 MiB", "1 MiB"))
    assert len(roomy) == 1 < len(tight)
    assert sum(len(region.ops) for region in tight) == LAYER_OPS
    for region in tight:
        assert region.room_bytes <= 2**20


def test_a_fabric_of_fewer_units_than_ops_cuts_a_layer_too():
    cut = layer(machine(units=6), work("decode", 1, 64))
    assert max(len(region.ops) for region in cut) == 6


def test_a_buffer_holds_as_many_tiles_as_its_op_is_behind_and_one_more():
    (region,) = layer(machine(), work("prefill", 1, 128))
    for op in region.ops:
        for operand in op.operands:
            if operand.way is Way.PIPE:
                behind = op.lag - region.ops[operand.source].lag
                assert operand.depth == min(region.steps, behind + 1)
    residual = next(op for op in region.ops if op.name == "ffn.residual")
    assert max(o.depth for o in residual.operands) > 4  # the stream waits for the feed-forward


def test_one_token_passes_weights_through_and_many_tokens_hold_them():
    (one,) = layer(machine(), work("decode", 1, 64))
    (many,) = layer(machine(), work("prefill", 1, 128))
    ways = [
        {o.way for op in region.ops for o in op.operands if o.tensor.endswith("weight")}
        for region in (one, many)
    ]
    assert one.steps == 1 < many.steps
    assert ways == [{Way.PASSED}, {Way.HELD}]


def test_a_fused_decode_keeps_memory_busy_but_for_launches_and_the_last_ops():
    decode = {"phase": "decode", "batch": 1, "context": 2048, "fidelity": "tile"}
    result = archsim.run("sn40l-fabric", "llama-2-7b", **decode, advice=False).result
    busy = result["traffic"]["hbm"]["total_bytes"] / (0.85 * 1.8e12)
    launches = result["launches"] * 3e-6
    assert busy + launches <= result["metrics"]["time_s"] <= 1.03 * busy + launches


def test_the_mask_is_left_out_where_a_whole_attention_is_in_one_region():
    fused = archsim.run(machine(), work("prefill", 1, 128), fidelity="tile", advice=False).result[
        "counts"
    ]
    hidden = fused["skipped.macs"] / (2 * 2 * 4 * 128 * 128 * 64)  # of layers, products, heads
    assert 0.4 < hidden < 0.5  # all but the tiles on the diagonal
    hardware = machine() | {"mapping": [{"ops": "*", "fuse": "none"}]}
    alone = archsim.run(hardware, work("prefill", 1, 128), fidelity="tile", advice=False).result[
        "counts"
    ]
    assert "skipped.macs" not in alone


def test_the_chip_launches_faster_than_the_host_by_the_difference_a_launch():
    host, chip = (
        archsim.run(
            machine(orchestration=who), work("decode", 1, 64), fidelity="tile", advice=False
        ).result
        for who in ("host", "hardware")
    )
    assert host["launches"] == chip["launches"] == 4
    assert host["time_ps"] - chip["time_ps"] == 4 * 4_000_000


def test_a_machine_whose_ops_a_sequencer_feeds_launches_nothing():
    decode = {"phase": "decode", "batch": 1, "context": 64, "fidelity": "analytic"}
    assert archsim.run("npu", "gpt2-small", **decode, advice=False).result["launches"] == 0
    kernels = archsim.run("a100", "gpt2-small", **decode, advice=False).result["launches"]
    assert kernels > 12 * 5  # joined ops are launched with their neighbour


@given(
    st.integers(60, 1500),
    st.sampled_from([("prefill", 1, 128), ("decode", 1, 64), ("decode", 4, 300)]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
@example(384, ("decode", 1, 64), True, True)  # two networks have half the room each
def test_what_a_cut_joins_fits_however_much_stays_on_chip(kib, phase, two, stays):
    hardware = machine(f"{kib} KiB") | {"placement": {"activations": ["sram", "hbm"][1 - stays :]}}
    networks = {"a": work(*phase), "b": work(*phase)}
    both = {"schema": "archsim.workload/1", "name": "two", "model": {"networks": networks}}
    workload = both if two else work(*phase)
    try:
        api.place_only(hardware, workload)
    except Infeasible as error:
        path = str(error).partition(":")[0]
        graph = lower(load_workload(workload)[0])
        machine_of = dispatched(build(api.load_hardware(hardware)), graph)
        blocks, _ = stage_blocks(graph, machine_of, 32)
        (stage,) = [s for b in blocks for s in b.stages if s.path == path]
        assert len(stage.ops) == 1


def test_a_rule_that_asks_for_regions_where_there_are_none_is_named():
    rule = [{"ops": "layer/*", "fuse": "region"}]
    for name, heard in (("npu", False), ("sn40l-fabric", True)):
        hardware = api.load_hardware(name).to_data() | {"mapping": rule}
        report = archsim.run(hardware, work("decode", 1, 64), fidelity="analytic", advice=False)
        text = (
            "W101 mapping[0].fuse: region has no effect: array is no spatial_pipeline, and fuses "
            "as elementwise"
        )
        assert report.warnings == ([] if heard else [text])


def test_options_of_tiles_that_no_region_listens_to_are_named():
    rule = {"ops": "*", "dataflow": "weight_stationary", "objective": "latency"}
    report = archsim.run(
        machine() | {"mapping": [rule]}, work("decode", 1, 64), fidelity="tile", advice=False
    )
    why = "fabric runs its ops as regions, with tiles of their own"
    assert report.warnings == [
        f"W101 mapping[0].{option} has no effect: {why}" for option in ("dataflow", "objective")
    ]


def test_a_region_that_fits_nowhere_is_refused_with_the_numbers():
    with pytest.raises(Infeasible) as caught:
        layer(machine("4 KiB"), work("prefill", 1, 128))
    assert str(caught.value) == "layer/attn.qkv: no tile of it fits 128 memory units"


def test_a_region_that_its_fabric_cannot_be_is_refused():
    (region,) = layer(machine(), work("prefill", 1, 128))
    first, second, *rest = region.ops

    def broken(text, **changes):
        with pytest.raises(LawViolation, match=text):
            replace(region, **changes).check()

    broken("layer/attn_norm takes 64 of 63 compute units", units=63)
    broken("of 1 memory units", memory_units=1)
    broken("attn_norm has no unit", ops=(replace(first, units=0), second, *rest))
    broken("attn.qkv reads attn.normed before it is made", ops=(second, first, *rest))
    empty = tuple(replace(o, depth=0) for o in second.operands)
    broken("no tile of attn.normed fits", ops=(first, replace(second, operands=empty), *rest))


def test_the_map_names_units_buffers_and_what_is_held():
    (region,) = layer(machine(), work("prefill", 1, 128))
    text = region.render()
    assert text.startswith(
        f"layer/attn_norm: region of 15 ops on fabric   [64 of 64 compute units, "
        f"{region.memory_used} of 128 memory units: "
    )
    assert "    attn.qkv: " in text
    assert "      pipe attn.normed from attn_norm, room for 2: " in text
    assert "      load attn.qkv.weight, held: 384.00 KiB, room for " in text
