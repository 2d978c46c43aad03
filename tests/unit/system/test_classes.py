"""Are devices told apart exactly where something tells them apart?"""

from dataclasses import replace

import pytest

from archsim.ir.parallel import ParallelPlan
from archsim.system.classes import classes_of
from archsim.testing.pods import divided


def found(plan, odd=None, **options):
    return {c.name: c.devices for c in classes_of(divided(plan), odd, **options)}


def test_devices_that_do_the_same_are_one_class_without_a_name():
    assert found(ParallelPlan(tensor=4, data=2)) == {"": tuple(range(8))}


def test_a_pipeline_has_a_class_for_each_stage():
    plan = ParallelPlan(tensor=2, pipeline=2, microbatches=4)
    assert found(plan) == {"stage0": (0, 1), "stage1": (2, 3)}


def test_exact_takes_every_device_for_itself():
    plan = ParallelPlan(tensor=2, pipeline=2, microbatches=4)
    names = ["stage0.0", "stage0.1", "stage1.2", "stage1.3"]
    assert list(found(plan, exact=True)) == names


def test_one_odd_device_parts_its_groups_from_the_others():
    plan = ParallelPlan(tensor=4, data=2)  # 3 is odd: 0 1 2 wait for it, and so does 7
    expected = {"device0": (0, 1, 2), "device3": (3,), "device4": (4, 5, 6), "device7": (7,)}
    assert found(plan, {3: "slow"}) == expected


def test_in_one_group_an_odd_device_is_apart_and_the_others_stay_together():
    plan = ParallelPlan(tensor=64)
    sizes = [len(devices) for devices in found(plan, {5: "slow"}).values()]
    assert sizes == [63, 1]


def test_an_odd_device_of_a_pipeline_parts_those_that_message_it():
    plan = ParallelPlan(data=2, pipeline=2, microbatches=4)
    part = divided(plan)
    quiet = replace(part, shares=tuple(replace(s, graph=without(s.graph)) for s in part.shares))
    classes = classes_of(quiet, {1: "slow"})
    assert [c.devices for c in classes] == [(0,), (1,), (2,), (3,)]
    met = classes[1].meetings
    assert met.peers[("pipeline", 1)] == classes[3].name
    assert met.members == {}


def without(graph):
    """The graph without its all-reduces: only messages are left."""
    blocks = []
    for block in graph.blocks:
        kept = tuple(
            op for op in block.ops
            if op.collective is None or op.collective.pattern != "all_reduce"
        )  # fmt: skip
        blocks.append(replace(block, ops=kept))
    return replace(graph, blocks=tuple(blocks))


def test_members_of_a_group_are_named_in_one_order_and_the_first_leads():
    classes = classes_of(divided(ParallelPlan(tensor=4, data=2)), {3: "slow"})
    by_name = {c.name: c.meetings for c in classes}
    assert by_name["device0"].members["tensor"] == ("device0", "device3")
    assert by_name["device3"].members["tensor"] == ("device0", "device3")
    assert by_name["device7"].members["data"] == ("device3", "device7")
    assert [name for name, met in by_name.items() if met.leads("tensor")] == ["device0", "device4"]


@pytest.mark.parametrize("total", [0, 1, 7, 8, 1_000_003])
def test_parts_of_what_all_count_together_add_up_to_the_whole(total):
    classes = classes_of(divided(ParallelPlan(tensor=4, data=2)), {3: "slow"})
    parts = [c.meetings.portion({"link": total})["link"] for c in classes]
    assert sum(parts) == total
    assert all(
        abs(p * 8 - total * len(c.devices)) < 16 for p, c in zip(parts, classes, strict=True)
    )
