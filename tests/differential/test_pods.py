"""Does a pod whose alike devices are simulated once take the picoseconds of one without?"""

from dataclasses import replace

import pytest

from archsim.ir.graph import Block
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Partition, Share, Turn
from archsim.system.bubbles import bubbles_ps
from archsim.system.build import build
from archsim.system.simulate import timed
from archsim.testing.pods import divided, layered, machine, pod

PLANS = {
    "tensor": ParallelPlan(tensor=8),
    "tensor x data": ParallelPlan(tensor=4, data=2),
    "tensor x pipeline": ParallelPlan(tensor=2, pipeline=4, microbatches=6),
    "tensor x pipeline x data": ParallelPlan(tensor=2, pipeline=2, data=2, microbatches=8),
    "neighbours along the pipeline": ParallelPlan(
        pipeline=2,
        tensor=4,
        microbatches=3,
        order=("pipeline", "tensor", "context", "expert", "data"),
    ),
}  # fmt: skip
ODD = {
    "one clock halved": {3: {"core": 0.5e9}},
    "two of a kind, one of another": {0: {"core": 0.7e9}, 5: {"core": 0.7e9}, 6: {"core": 0.9e9}},
}


def slow(devices, clocks):
    one = machine(devices)
    return build(one.spec.model_copy(update={"clocks": clocks}))


def planned(plan, odd=None, layers=6):
    return pod(
        divided(plan, layers=layers),
        machine(plan.devices),
        {d: slow(plan.devices, clocks) for d, clocks in (odd or {}).items()},
    )


@pytest.mark.parametrize("name", PLANS)
def test_folded_and_exact_pods_agree_to_the_picosecond_on_both_engines(name):
    plan = planned(PLANS[name])
    ways = [{}, {"exact": True}, {"engine": "simpy"}, {"engine": "simpy", "exact": True}]
    times = {str(way): timed(plan, fidelity="tile", **way).time_ps for way in ways}
    assert len(set(times.values())) == 1, times


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["tensor", "tensor x data", "tensor x pipeline x data"])
def test_stragglers_take_as_long_folded_as_exact(name, odd):
    plan = planned(PLANS[name], ODD[odd])
    healthy = timed(planned(PLANS[name]), fidelity="tile").time_ps
    ways = [{}, {"exact": True}, {"engine": "simpy"}]
    times = {str(way): timed(plan, fidelity="tile", **way).time_ps for way in ways}
    assert len(set(times.values())) == 1, times
    assert timed(plan, fidelity="tile").time_ps > healthy


@pytest.mark.parametrize("odd", [None, ODD["one clock halved"]])
def test_what_classes_count_adds_up_to_what_all_devices_count(odd):
    plan = planned(PLANS["tensor x pipeline x data"], odd)
    totals = []
    for exact in (False, True):
        run = timed(plan, fidelity="tile", exact=exact)
        book, total = run.schedule, {}
        for row, counts, n in zip(book.program.rows, book.counts, run.count, strict=True):
            devices = len(book.classes[book.class_of[row.op]].devices)
            for key, each in counts.items():
                times = 1 if key.startswith(("link.", "sent.")) else devices  # of all, or of each
                total[key] = total.get(key, 0) + times * each * int(n)
        totals.append(total)
    folded, exact = totals
    assert folded.keys() == exact.keys()
    assert all(folded[key] == exact[key] for key in folded)


def test_alike_devices_that_message_each_other_in_a_ring_are_one():
    plan = ParallelPlan(pipeline=4)
    graph = layered(plan, [], ends=["send"])
    sent = graph.blocks[-1].ops[0]
    what = replace(sent.collective, pattern="receive", peer=-1)
    reads, writes = sent.writes, (replace(sent.reads[0], tensor="got"),)
    got = replace(sent, name="got", collective=what, reads=reads, writes=writes)
    tensors = {**graph.tensors, "got": replace(graph.tensors["send.out"], name="got")}
    ring = replace(graph, tensors=tensors, blocks=(*graph.blocks, Block("back", 1, (got,))))
    part = Partition(plan, (Share("", (0, 1, 2, 3), ring),), ring)
    found = pod(part, machine(4))
    ways = [{}, {"exact": True}, {"engine": "simpy"}, {"engine": "simpy", "exact": True}]
    runs = [timed(found, fidelity="tile", **way) for way in ways]
    assert len({run.time_ps for run in runs}) == 1
    assert [len(run.schedule.classes) for run in runs] == [1, 4, 1, 4]


def test_a_pod_of_alike_devices_costs_no_more_rows_than_one_device():
    one = timed(planned(ParallelPlan(tensor=2)), fidelity="tile")
    many = timed(planned(ParallelPlan(tensor=1024)), fidelity="tile")
    assert len(one.schedule.program.rows) == len(many.schedule.program.rows)
    assert one.run.steps_simulated == many.run.steps_simulated


@pytest.mark.parametrize(("stages", "parts"), [(2, 4), (4, 4), (4, 16), (8, 8)])
def test_balanced_stages_stand_still_as_the_closed_form_says(stages, parts):
    plan = planned(ParallelPlan(tensor=2, pipeline=stages, microbatches=parts), layers=24)
    run = timed(plan, fidelity="tile")
    share = sum(bubbles_ps(run)) / (stages * run.time_ps)
    ideal = (stages - 1) / (parts + stages - 1)  # Huang et al., GPipe (2019), section 2.3
    assert ideal <= share < 1.06 * ideal  # messages come on top


def test_microbatches_fold_where_their_state_recurs():
    plan = planned(ParallelPlan(pipeline=2, microbatches=64))
    run = timed(plan, fidelity="tile")
    assert run.run.steps_simulated < run.run.steps / 8
    assert run.time_ps == timed(plan, fidelity="tile", exact=True).time_ps


def test_turns_run_a_part_as_often_as_they_say_and_know_its_stages_once():
    plan = ParallelPlan(pipeline=2, microbatches=6)
    part = divided(plan)
    turned = replace(
        part,
        shares=tuple(
            replace(s, turns=(Turn(2, ("forward",)), Turn(1, ("forward",)), Turn(3, ("forward",))))
            for s in part.shares
        ),
    )
    cut, whole = (pod(p, machine(2)) for p in (turned, part))
    runs = [timed(p, fidelity="tile") for p in (cut, whole)]
    assert runs[0].time_ps == runs[1].time_ps
    paths = [[stage.path for stage in run.schedule.stages] for run in runs]
    assert paths[0] == paths[1]
    assert runs[0].schedule.repeats == runs[1].schedule.repeats


def test_the_analytic_time_of_a_pipeline_is_its_slowest_stage_and_one_microbatch_of_the_others():
    plan = planned(ParallelPlan(tensor=2, pipeline=4, microbatches=8), layers=24)
    analytic = timed(plan, fidelity="analytic").time_ps
    tile = timed(plan, fidelity="tile").time_ps
    assert 0.8 * tile < analytic < 1.1 * tile
