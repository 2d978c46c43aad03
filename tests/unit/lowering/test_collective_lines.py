"""Do collectives of an op graph file become ops, and does every device run the whole graph?"""

import pytest

from archsim.core.errors import InputError
from archsim.ir.collective import Collective
from archsim.ir.op import Kind
from archsim.ir.parallel import ParallelPlan
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.partition import partition

LINES = """\
schema: archsim.graph/1
ops:
  - {kind: gemm, name: up, m: 4, n: 30, k: 8}
  - {kind: collective, name: sum, pattern: all_reduce, devices: 8, elements: 120, after: up}
  - {kind: collective, name: cut, pattern: reduce_scatter, devices: 8, elements: 120, after: sum}
  - {kind: collective, name: join, pattern: all_gather, devices: 8, elements: 120, after: cut,
     algorithm: ring}
"""


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "ops.yaml"
    path.write_text(LINES)
    return lower(load_workload(path)[0])


def test_each_line_gives_the_whole_buffer_and_reads_and_writes_a_device_s_part(graph):
    up, *ops = graph.blocks[0].ops
    assert [op.kind for op in ops] == [Kind.COLLECTIVE] * 3
    assert {op.op_class for op in ops} == {"comm_tensor"}
    assert ops[0].collective == Collective("all_reduce", "tensor", 8, 240)
    assert ops[2].collective == Collective("all_gather", "tensor", 8, 240, algorithm="ring")
    assert [op.reads[0].tensor for op in ops] == ["up.out", "sum.out", "cut.out"]
    made = [graph.tensors[op.writes[0].tensor].elements for op in ops]
    assert made == [120, 15, 120]
    assert graph.macs() == up.macs()


def test_every_device_runs_a_graph_that_has_its_collectives_already(graph):
    for plan in (None, ParallelPlan(tensor=8)):
        found = partition(graph, plan, 8)
        assert [(share.devices, share.graph) for share in found.shares] == [
            (tuple(range(8)), graph)
        ]
        assert found.plan == ParallelPlan(tensor=8)


def test_a_plan_that_is_not_that_of_the_graph_is_refused(graph):
    with pytest.raises(InputError) as caught:
        partition(graph, ParallelPlan(tensor=4, data=2), 8)
    assert caught.value.render() == (
        "error[E203]: ops/sum is among 8 devices, and tensor has 4\n"
        "      = help: parallel.tensor: 8"
    )
    with pytest.raises(InputError) as caught:
        partition(graph, ParallelPlan(tensor=8), 16)
    assert caught.value.render() == (
        "error[E203]: the plan has 8 devices, and the machine 16\n"
        "      = help: a plan whose ways multiply to 16"
    )


def test_a_collective_reads_what_the_op_before_it_writes(tmp_path):
    path = tmp_path / "ops.yaml"
    path.write_text(LINES.replace("elements: 120, after: up", "elements: 64, after: up"))
    with pytest.raises(InputError) as caught:
        load_workload(path)
    assert "sum reads 64 elements of up, which writes 120" in caught.value.render()
