"""Do rows of a cascade take the time of its phases, and is what it settles heard?"""

import pytest

import archsim
from archsim import api
from archsim.core.errors import ArchsimError
from archsim.ir.cascade import footprints

HZ = 940e6


def work(batch=4, heads=2, dim=64, tokens=2048, **more):
    line = {"name": "attn", "kind": "attention", "batch": batch, "heads": heads, "head_dim": dim,
            "queries": tokens, "context": tokens, "kv": "given", **more}  # fmt: skip
    return {
        "schema": "archsim.workload/1",
        "name": "attn",
        "model": {"config": {"architecture": "graph", "ops": [line]}},
        "dtypes": dict.fromkeys(("weights", "activations", "kv_cache", "accumulators"), "bf16"),
    }


def run(machine, dataflow, workload, *more, **options):
    rule = (f"mapping[0].dataflow={dataflow}", *more)
    return archsim.run(machine, workload, set_=rule, **options, advice=False)


def mapped(machine, dataflow, workload, *more):
    plan = api.place_only(machine, workload, set_=(f"mapping[0].dataflow={dataflow}", *more))
    return plan.blocks[0].stages[0]


# per tile of 256 x 256: what the array does, what the lanes do, and what follows (E = F = 64)
CLOSED = {
    "fusemax": ("fusemax", 1 + 8 + 64 + 1 + 64),
    "fusemax_architecture": ("fusemax", 65 + 256 + 1 + 8 + 2 * 64),
    "fusemax_cascade": ("flat", 1029 + 2 * 64),
    "flat": ("flat", 1024),
}


@pytest.mark.parametrize("dataflow", CLOSED)
def test_time_is_that_of_the_phases_of_all_tiles(dataflow):
    machine, each = CLOSED[dataflow]
    tokens, problems = 2048, 8
    tiles = problems * (tokens // 256) ** 2
    if dataflow != "flat":
        each += 64 * 256 / tokens if dataflow != "fusemax_architecture" else 0  # division
    got = run(machine, dataflow, work()).result["metrics"]["time_s"]
    assert got == pytest.approx(tiles * each / HZ, rel=0.01)
    assert got >= tiles * each / HZ


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
@pytest.mark.parametrize("dataflow", [*CLOSED, "attention_unfused"])
def test_both_engines_agree_and_folding_changes_nothing(dataflow, engine):
    machine = CLOSED.get(dataflow, ("flat",))[0]
    small = work(batch=1, heads=2, tokens=1024)
    a = run(machine, dataflow, small).result
    b = run(machine, dataflow, small, engine=engine, exact=True).result
    assert a["time_ps"] == b["time_ps"]
    assert a["metrics"]["energy_j"] == b["metrics"]["energy_j"]


def test_room_is_what_the_footprints_of_kept_tensors_add_up_to():
    stage = mapped("fusemax", "fusemax", work(tokens=4096))
    live = footprints(stage.mapping.cascade, stage.mapping.nests[0])
    names = ("Q", "K", "V", "RM", "RD", "RNV")
    assert stage.room_bytes == 2 * sum(live[n] for n in names)


@pytest.mark.parametrize("tokens", [1024, 4096, 16384, 65536])
def test_room_of_fusemax_stops_growing_with_the_sequence(tokens):
    stage = mapped("fusemax", "fusemax", work(tokens=tokens))
    assert stage.room_bytes <= 16 << 20
    rows = mapped("flat", "flat", work(tokens=tokens)).mapping.live()["QK"]
    assert rows % tokens == 0  # whole rows of scores


def test_a_rule_settles_room_rows_and_what_is_held():
    small = mapped("fusemax", "fusemax", work(tokens=8192), "mapping[0].cascade.room=1 MiB")
    assert small.room_bytes <= 1 << 20
    few = mapped("fusemax", "fusemax", work(tokens=4096), "mapping[0].cascade.query_rows=512")
    assert few.mapping.traffic()["k"] == 8 * few.mapping.traffic()["q"]
    held = mapped("flat", "flat", work(tokens=1024), "mapping[0].cascade.held=[k]")
    free = mapped("flat", "flat", work(tokens=1024))
    assert free.mapping.traffic()["k"] == 4 * held.mapping.traffic()["k"]


def test_published_counts_add_reads_at_long_sequences_and_change_nothing_else():
    long = work(batch=64, heads=12, tokens=1 << 20)
    a = run("fusemax", "fusemax", long)
    b = run("fusemax", "fusemax", long, "mapping[0].cascade.counts=published")
    assert a.result["time_ps"] == b.result["time_ps"]
    assert a.ops[0]["dram_in_bytes"] == b.ops[0]["dram_in_bytes"]
    more = b.result["metrics"]["energy_j"]["total"] / a.result["metrics"]["energy_j"]["total"]
    assert 1.004 < more < 1.006


def test_keys_and_queries_may_differ_and_need_no_whole_tiles():
    odd = work(tokens=300, context=1000)
    for dataflow, (machine, _) in CLOSED.items():
        report = run(machine, dataflow, odd)
        assert report.ops[0]["macs"] == 2 * 8 * 300 * 1000 * 64


def warnings(machine, dataflow, *more, **line):
    report = run(machine, dataflow, work(**{"causal": False} | line), *more, fidelity="analytic")
    return [text for text in report.warnings if "mapping[1] never" not in text]  # of its products


@pytest.mark.parametrize("dataflow", CLOSED)
def test_a_mask_that_saves_nothing_is_said_in_the_run_and_in_the_map(dataflow):
    machine, _ = CLOSED[dataflow]
    why = f"masked scores are computed, {dataflow} has no masked tiles"
    assert warnings(machine, dataflow, causal=True) == [f"W101 ops/attn.score: {why}"]
    assert f"  {why}\n" in mapped(machine, dataflow, work()).mapping.render()
    assert warnings(machine, dataflow) == []
    assert "masked" not in mapped(machine, dataflow, work(causal=False)).mapping.render()


def test_options_of_a_cascade_that_nothing_heard_are_named():
    held = "mapping[0].cascade.held=[k]"
    assert warnings("fusemax", "fusemax", held) == [
        "W101 mapping[0].cascade.held has no effect: fusemax holds what its loops say"
    ]
    assert warnings("flat", "flat", held) == []
    long = {"heads": 1, "batch": 1, "tokens": 1 << 20}
    assert warnings("flat", "flat", held, **long) == [
        "W101 mapping[0].cascade.held has no effect: flat with its scores through memory holds "
        "what its loops say"
    ]
    assert warnings("fusemax", "fusemax", "mapping[0].cascade.room=17 MiB") == [
        "W101 mapping[0].cascade.room has no effect: 17.00 MiB are more than the 16.00 MiB that "
        "are free on chip"
    ]


def test_a_cascade_of_a_rule_whose_dataflow_is_none_is_named():
    rules = [{"ops": "attention", "dataflow": "flash_attention", "cascade": {"query_rows": 512}}]
    machine = {"extends": "npu", "mapping": rules}
    assert archsim.run(machine, work(), fidelity="analytic", advice=False).warnings == [
        "W101 mapping[0].cascade has no effect: ops/attn.score is mapped by flash_attention, which "
        "is no cascade"
    ]


def test_options_of_a_cascade_may_stand_in_a_rule_of_their_own_and_are_of_its_engine():
    rules = [
        {"ops": "attention", "dataflow": "fusemax"},
        {"ops": "attention", "on": "lanes", "cascade": {"query_rows": 256}},
        {"ops": "attention", "on": "array", "cascade": {"query_rows": 512}},
    ]
    machine, asked = {"extends": "fusemax", "mapping": rules}, work(tokens=4096, causal=False)
    mapping = api.place_only(machine, asked).blocks[0].stages[0].mapping
    assert mapping.traffic()["k"] == 8 * mapping.traffic()["q"]
    assert archsim.run(machine, asked, fidelity="analytic", advice=False).warnings == [
        "W204 mapping[1] never matched an op of this workload"
    ]


def test_map_prints_einsums_places_passes_and_what_is_held():
    text = mapped("fusemax", "fusemax", work()).mapping.render()
    assert "softmax in one pass, its sums running on: passes over the keys 1, buffer" in text
    assert "pass 1  RNV[m1, p, f] = sum(SLNV[m1, p, f], SPNV[m1, p, f])   [lanes;" in text
    assert "after   AV[p, f] = divide(RNV[p, f, last], RD[p, last])   [lanes;" in text
    assert "Q: held, 131072 elements at once" in text


@pytest.mark.parametrize(
    ("machine", "dataflow", "more", "message"),
    [
        ("flat", "fusemax", (), "attn.score: fusemax runs LM on array, whose elements do not "
         "perform max"),
        ("npu", "fusemax", (), "ops/attn.score: fusemax unrolls queries and keys over a "
         "spatial_array, and array is a systolic_array"),
        ("fusemax", "fusemax", ("mapping[0].cascade.room=64 KiB",), "attn.score: fusemax holds "
         "132096 B of 256 queries and a block of 256 keys, 65536 B are free"),
        ("flat", "flat", ("mapping[0].cascade.query_rows=100",), "attn.score: 100 rows of queries "
         "are no whole tiles of 256 that divide 2048 and keep their scores on chip"),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_is_refused_with_the_reason(machine, dataflow, more, message):
    rules = [{"ops": "attention", "dataflow": dataflow}]
    with pytest.raises(ArchsimError) as error:
        mapped({"extends": machine, "mapping": rules}, dataflow, work(), *more)
    assert error.value.message == message
