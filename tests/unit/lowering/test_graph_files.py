"""Does an op graph in YAML become the ops it lists?"""

import pytest

from archsim.ir.op import Kind
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

TEXT = """\
schema: archsim.graph/1
repeat: 4
ops:
  - {kind: gather, name: look, rows: 4, cols: 8, table_rows: 100}
  - {kind: gemm, name: proj, m: 4, n: 6, k: 8, after: look, op_class: ffn}
  - {kind: vector, name: act, rows: 4, cols: 6, after: proj, reduces: true,
     primitives: {exp: 1, add: 2}, row_primitives: {div: 1}}
  - {kind: vector, name: sum, rows: 4, cols: 6, after: [act, proj], primitives: {add: 1}}
  - {kind: move, name: copy, rows: 4, cols: 6, after: sum}
  - {kind: conv, name: conv, channels: 4, height: 9, width: 7, out_channels: 8, kernel: [3, 2],
     stride: 2, padding: 1, dilation: 2, groups: 2}
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "ops.yaml"
    file.write_text(TEXT)
    return file


def test_ops_have_the_kinds_sizes_and_edges_of_the_file(path):
    graph = lower(load_workload(path)[0])
    (block,) = graph.blocks
    assert block.count == 4
    look, proj, act, both, copy, conv = block.ops
    assert [op.kind for op in block.ops] == [
        Kind.GATHER, Kind.GEMM, Kind.VECTOR, Kind.VECTOR, Kind.MOVE, Kind.CONV,
    ]  # fmt: skip
    assert look.reads[1].touched == 4 * 8
    assert graph.tensors["look.in"].role is Role.INDEX
    assert proj.reads[0].tensor == "look.out"
    assert proj.op_class == "ffn"
    assert (act.primitives, act.row_primitives) == ({"exp": 1, "add": 2}, {"div": 1})
    assert act.reduces
    assert [a.tensor for a in both.reads] == ["act.out", "proj.out"]
    assert copy.macs() == 0
    assert conv.ranks == {"B": 1, "G": 2, "OH": 4, "OW": 4, "OC": 4, "IC": 2, "FH": 3, "FW": 2}
    assert graph.macs() == 4 * (4 * 6 * 8 + 4 * 4 * 8 * 2 * 6)


def test_a_graph_may_be_named_by_a_workload_beside_it(path):
    file = path.parent / "work.yaml"
    file.write_text("schema: archsim.workload/1\nname: mine\nmodel: {graph: ops.yaml}\n")
    graph = lower(load_workload(file)[0])
    assert graph.name == "mine"
    assert graph.blocks == lower(load_workload(path)[0]).blocks


def test_weights_exist_once_a_repeat(path):
    weights = 100 * 8 + 8 * 6 + 8 * 2 * 6
    assert lower(load_workload(path)[0]).facts["parameters"] == 4 * weights


def test_a_vector_op_may_keep_one_result_a_row_or_write_another_type():
    ops = (
        {"kind": "vector", "name": "largest", "rows": 4, "cols": 6, "primitives": {"max": 1},
         "result": "rows"},
        {"kind": "vector", "name": "scale", "rows": 4, "cols": 6, "primitives": {"mul": 1},
         "dtype": "fp8"},
        {"kind": "gemm", "name": "proj", "m": 4, "n": 3, "k": 6, "after": "scale"},
    )  # fmt: skip
    data = {
        "schema": "archsim.workload/1",
        "name": "g",
        "model": {"config": {"architecture": "graph", "ops": list(ops)}},
    }
    graph = lower(load_workload(data)[0])
    assert graph.tensors["largest.out"].bytes == 4 * 2
    assert graph.tensors["scale.out"].bytes == 4 * 6
    assert graph.blocks[0].ops[2].reads[0].tensor == "scale.out"
