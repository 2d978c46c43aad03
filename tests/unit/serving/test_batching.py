"""Are stages of a closed loop, and what they take, those of a batch that is always full?"""

from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise
from math import exp

import pytest

import archsim
from archsim.core.errors import Infeasible
from archsim.serving.batching import load_serving
from archsim.serving.batching_lengths import Fixed, Normal, Uniform, arrivals, under_way
from archsim.serving.batching_room import MOST, Room
from archsim.serving.closed_loop import Loop, Stage, expert_seed, stream
from archsim.serving.closed_loop_metrics import metrics, standard_errors, unseen, weights_of
from archsim.serving.serve import serve
from archsim.serving.stages import Stages, Taken, Where
from archsim.serving.stages_experts import experts_of

DUPLEX = Normal(kind="normal", prompt_tokens=256, output_tokens=256)
ROOM = "memory.hbm.capacity=400 MiB"
MACHINE = "h100"


def fixed(prompt, output):
    return Fixed(kind="fixed", prompt_tokens=prompt, output_tokens=output)


def serving(**changed):
    lengths = {"kind": "fixed", "prompt_tokens": 16, "output_tokens": 8}
    return {
        "schema": "archsim.serving/1", "name": "t", "model": "gpt2-small", "batch": 4,
        "lengths": lengths, "stages": 16, "start": "even", **changed,
    }  # fmt: skip


@pytest.fixture
def quick(monkeypatch):
    """What stages take by a formula; all of them, and how a part of them is served."""

    def taken(self, work):
        phase = work[0]["phase"]
        reads = [chunk["batch"] * chunk["tokens"] for chunk in phase.get("prefill", [])]
        contexts = phase.get("decode", phase)["context"]
        ps = 10**9 + 10**6 * sum(contexts) + 10**7 * sum(reads) + 5 * 10**5 * sum(reads) ** 1.5
        return Taken(ps, 0.5 + ps * 1e-10, {"hbm": 1e-4})

    monkeypatch.setattr(Where, "taken", taken)
    monkeypatch.setattr(Room, "largest", lambda self: 64)
    monkeypatch.setattr(Room, "data", lambda self, batch, largest: {})
    lengths = {"kind": "uniform", "prompt_tokens": [8, 64], "output_tokens": [40, 400]}
    said = serving(lengths=lengths, start="drawn", stages=400, batch=16)
    return lambda **how: serve(MACHINE, said, **how)


def test_a_request_reads_its_prompt_and_then_attends_to_one_token_more_a_stage():
    loop = Loop(fixed(4, 3), 1, start="together")
    assert [(s.prompts, s.contexts) for s in loop.stages(5)] == [
        ((4,), ()), ((), (5,)), ((), (6,)), ((4,), ()), ((), (5,)),
    ]  # fmt: skip
    assert [(r.first, r.tokens, r.done) for r in loop.requests] == [(0, 3, True), (3, 2, False)]


def test_an_even_start_refills_as_many_places_in_each_stage():
    assert {len(s.prompts) for s in Loop(fixed(9, 4), 8, start="even").stages(20)} == {2}


def test_stages_with_a_prompt_are_as_many_as_chance_says():
    stages = list(Loop(DUPLEX, 64).stages(6000))
    mixed = sum(bool(s.prompts) for s in stages) / len(stages)
    assert mixed == pytest.approx(1 - exp(-64 / 256), abs=0.015)
    assert sum(len(s.prompts) for s in stages) / len(stages) == pytest.approx(0.25, rel=0.03)


def test_a_drawn_start_is_steady_from_the_first_stage():
    lengths = Uniform(kind="uniform", prompt_tokens=(1, 9), output_tokens=(1, 200))
    early, late = (
        [sum(next(islice(Loop(lengths, 40, seed).stages(400), at, None)).contexts) / 40
         for seed in range(30)]
        for at in (0, 399)
    )  # fmt: skip
    assert sum(early) / 30 == pytest.approx(sum(late) / 30, rel=0.06)


def test_a_place_holds_long_answers_for_longer():
    lengths = Uniform(kind="uniform", prompt_tokens=(1, 1), output_tokens=(1, 3))
    found = list(islice(under_way(lengths, stream(0, b"t")), 6000))
    held = Counter(length.output for length, _ in found)
    assert held[3] / held[1] == pytest.approx(3, rel=0.1)
    assert Counter(at for length, at in found if length.output == 3)[2] == pytest.approx(
        held[3] / 3, rel=0.1
    )


def test_normal_lengths_stay_within_their_cut_around_the_mean():
    some = list(islice(arrivals(DUPLEX, stream(1, b"t")), 4000))
    for values in zip(*some, strict=True):
        assert sum(values) / 4000 == pytest.approx(256, rel=0.02)
        assert 256 * 0.05 <= min(values) < max(values) <= 256 * 1.95


def test_more_stages_do_not_change_the_first_ones():
    few, many = (list(Loop(DUPLEX, 8, 3).stages(n)) for n in (50, 400))
    assert few == many[:50]
    assert few != list(Loop(DUPLEX, 8, 4).stages(50))


def test_the_answer_is_the_sum_of_runs_of_its_stages():
    said = serving(lengths={"kind": "normal", "prompt_tokens": 16, "output_tokens": 8},
                   start="drawn", stages=12)  # fmt: skip
    found = serve(MACHINE, said, set_=(ROOM,), fidelity="analytic")
    loop = Loop(load_serving(said)[0].lengths, 4)
    time_s = energy_j = tokens = 0
    for stage in loop.stages(12):
        chunks = [{"tokens": n} for n in stage.prompts]
        phase = {"kind": "decode", "context": list(stage.contexts)}
        if chunks:
            phase = {"kind": "mixed", "decode": {"context": list(stage.contexts)},
                     "prefill": chunks}  # fmt: skip
        work = {"schema": "archsim.workload/1", "name": "t", "model": {"preset": "gpt2-small"},
                "phase": phase}  # fmt: skip
        result = archsim.run(MACHINE, work, fidelity="analytic", advice=False).result["metrics"]
        time_s += result["time_s"]
        energy_j += result["energy_j"]["total"]
        tokens += stage.requests
    assert found.data["throughput"]["output_tok_per_s"] == pytest.approx(tokens / time_s)
    assert found.data["energy_j"]["per_output_tok"] == pytest.approx(energy_j / tokens)
    assert found.data["stages"]["simulated"] == 12
    assert found.data["standard_error"] is found.data["held_out"] is None


def test_equal_stages_are_run_once():
    found = serve(MACHINE, serving(), set_=(ROOM,), fidelity="analytic").data["stages"]
    assert (found["count"], found["mixed"], found["simulated"]) == (16, 8, 16)
    assert found["runs"] == 2  # contexts recur every other stage


def test_other_processes_give_the_same_answer():
    spec, _ = load_serving(serving())
    stages = tuple(Loop(spec.lengths, 4, start="even").stages(2))
    alone, several = (
        Stages(Where(MACHINE, (), "tile"), spec.workload(), None, workers) for workers in (1, 2)
    )
    for runs in (alone, several):
        runs.simulate(stages)
    assert several.known == alone.known
    assert len(alone.known) == 2


def test_a_sample_is_off_by_about_its_standard_error(quick):
    found, some = quick().data, quick(sample=80).data
    assert some["stages"]["simulated"] < 100
    assert found["standard_error"] is found["held_out"] is None
    for part, key in (("throughput", "output_tok_per_s"), ("energy_j", "per_output_tok"),
                      ("tbt_s", "mean"), ("ttft_s", "mean")):  # fmt: skip
        error = some["standard_error"][part][key]
        assert 0 < error < 0.1 * found[part][key]
        assert abs(some[part][key] - found[part][key]) < 3 * error


def test_a_fit_says_its_error_and_is_closer_than_a_sample(quick):
    found, some = quick().data, quick(fit=80).data
    held = some["held_out"]
    assert held["stages"] >= 15
    assert 0 < held["time_error"]["mean"] <= held["time_error"]["max"] < 0.02
    assert some["stages"]["simulated"] < 100
    rate, known = (d["throughput"]["output_tok_per_s"] for d in (some, found))
    assert rate == pytest.approx(known, rel=held["time_error"]["mean"])
    assert some["ttft_s"]["mean"] == pytest.approx(found["ttft_s"]["mean"], rel=0.01)


def test_an_interruption_keeps_what_is_known(quick):
    def stop(known, wanted):
        if known == 40:
            raise KeyboardInterrupt

    found = quick(progress=stop)
    assert not found.complete
    assert found.data["stages"]["simulated"] == 40
    places = sorted(found.simulated)
    assert all(b - a <= 16 for a, b in pairwise([0, *places, 399]))  # lies evenly over all
    known = quick().data["throughput"]["output_tok_per_s"]
    assert found.data["throughput"]["output_tok_per_s"] == pytest.approx(known, rel=0.02)


def test_a_kind_that_no_known_stage_is_of_counts_for_nobody_and_leaves_no_standard_error():
    took = Taken(2e9, 1.0, {})
    stages = [Stage(n, (9,), ()) for n in range(9)] + [Stage(9, (9,), (5,))]
    pairs = [(stage, took) for stage in stages[:4]]
    assert unseen(pairs, stages) == 1
    assert sum(weights_of(pairs, stages)) == 9
    assert standard_errors(pairs, stages, 0) == {}
    assert unseen([*pairs, (stages[9], took)], stages) == 0
    assert standard_errors([*pairs, (stages[9], took)], stages, 0)["stage_s"]["mean"] == 0


def test_a_warm_up_is_run_by_the_clock_and_not_counted():
    said = serving(start="together", stages=9, warm_up=8)
    found = serve(MACHINE, said, set_=(ROOM,), fidelity="analytic")
    assert [stage.number for stage, _ in found.pairs] == list(range(8, 17))
    assert found.data["stages"]["mixed"] == 2  # places are in step: all read, then all decode
    assert found.data["stages"]["runs"] == 8


def test_waiting_times_count_those_who_wait_and_energy_is_of_all_tokens():
    rows = [
        (Stage(0, (9, 9, 9), ()), Taken(2e9, 1.0, {"e": 1e-3}, {"hbm": 0.75})),
        (Stage(1, (9, 9), (5,)), Taken(6e9, 2.0, {"e": 6e-3}, {"hbm": 0.75, "x": 1})),
    ]
    found = metrics(rows, [1, 1])
    assert found["tbt_s"] == {"mean": (3 * 2e-3 + 2 * 6e-3) / 5, "p50": 2e-3, "p90": 6e-3,
                              "p99": 6e-3}  # fmt: skip
    assert found["ttft_s"]["mean"] == 6e-3
    assert found["throughput"] == pytest.approx(
        {"output_tok_per_s": 750, "prompt_tok_per_s": 625, "request_per_s": 125}
    )
    assert found["busy"]["e"] == pytest.approx(7 / 8)
    parts = {"hbm": 0.25, "x": 1 / 6}
    assert found["energy_j"] == {"per_output_tok": 0.5, "per_output_tok_by_component": parts}


def test_the_largest_batch_is_what_weights_leave_for_keys_and_values():
    spec, _ = load_serving(serving())
    room = Room(Where(MACHINE, (ROOM,)), spec)
    largest = room.largest()
    assert room.fits(largest)
    assert not room.fits(largest + 1)
    held = room.data(largest, largest)["memories"][0]["held_bytes"]
    each = 2 * 12 * 768 * 2 * 24  # K and V of 12 layers, bf16, at 16 + 8 tokens
    assert held["kv_cache"] == largest * each
    left = (400 << 20) - sum(held.values())
    assert 0 <= left < each + held["activations"] / largest
    assert Room(Where(MACHINE), spec).largest() == MOST
    asked = serve(MACHINE, serving(batch="largest", stages=1), set_=(ROOM,), fidelity="analytic")
    assert asked.data["inputs"]["batch"] == largest
    with pytest.raises(Infeasible, match=f"holds {largest} requests"):
        serve(MACHINE, serving(batch=largest + 1), set_=(ROOM,))


@pytest.mark.parametrize("most", [1, 37, 99, 100])
def test_a_batch_whose_stages_ask_for_more_than_full_lengths_shrinks_until_they_fit(
    monkeypatch, most
):
    room = Room(Where(MACHINE), load_serving(serving())[0])
    monkeypatch.setattr(Room, "_runs", lambda self, batch, met: batch <= most)
    assert room.running(100, lambda batch: []) == most


def test_a_batch_grows_by_what_the_devices_share_evenly():
    spec, _ = load_serving(serving(model="mixtral-8x7b", parallel={"tensor": 8, "expert": 2}))
    room = Room(Where("h100-2x8", ("memory.hbm.capacity=6 GiB",)), spec)
    assert room.step == 2
    largest = room.largest()
    assert largest % 2 == 0
    assert room.fits(largest)
    assert not room.fits(largest + 2)


def test_each_stage_draws_its_experts_with_a_seed_of_its_own():
    spec, document = load_serving(
        serving(model="mixtral-8x7b", routing={"kind": "zipf", "exponent": 0.5})
    )
    stages = tuple(Loop(spec.lengths, 4).stages(3))
    runs = Stages(Where("h100"), spec.workload(), experts_of(spec, document, stages, ()))
    routing = [runs.work(stage)[0]["routing"] for stage in stages]
    assert [one["seed"] for one in routing] == [expert_seed(0, n) for n in range(3)]
    assert len({one["seed"] for one in routing}) == 3
    assert {(one["kind"], one["exponent"]) for one in routing} == {("zipf", 0.5)}


def test_a_trace_of_experts_goes_on_from_stage_to_stage(tmp_path):
    (tmp_path / "e.csv").write_text("0, 1\n2,3 # second\n\n0,7\n")
    spec, document = load_serving(
        serving(model="mixtral-8x7b", routing={"kind": "trace", "file": "e.csv"})
    )
    document = replace(document, file=tmp_path / "s.yaml")
    stages = (Stage(0, (9,), ()), Stage(1, (9,), (2,)), Stage(2, (9,), ()))
    experts = experts_of(spec, document, stages, ())
    runs = Stages(Where("h100"), spec.workload(), experts)
    counts = [runs.work(stage)[0]["routing"]["counts"][0] for stage in stages]
    assert counts == [[1, 1, 0, 0, 0, 0, 0, 0], [2, 1, 1, 1, 0, 0, 0, 1], [0, 0, 1, 1, 0, 0, 0, 0]]


def test_prompts_of_several_lengths_alone_are_read_one_length_after_the_other():
    spec, document = load_serving(serving(model="mixtral-8x7b"))
    stage = Stage(0, (), (8, 5, 8))
    runs = Stages(Where("h100"), spec.workload(), experts_of(spec, document, (stage,), ()))
    assert [work["phase"] for work in runs.work(stage)] == [
        {"kind": "prefill", "batch": 1, "tokens": 5}, {"kind": "prefill", "batch": 2, "tokens": 8},
    ]  # fmt: skip


def test_a_mixture_of_experts_is_served_on_several_devices():
    found = serve("h100x8", "mixtral-closed-loop", fidelity="analytic",
                  set_=("serving.stages=4", "serving.batch=32")).data  # fmt: skip
    assert found["stages"]["output_tokens"] == 4 * 32
    assert 0 < found["busy"]["hbm"] < 1
    assert found["capacity"]["largest_batch"] > 1000
