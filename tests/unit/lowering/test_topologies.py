"""Is a SCALE-Sim topology read as SCALE-Sim reads it?"""

import pytest

from archsim.ir.op import Kind
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.lowering.topology import read_topology

CONV_HEAD = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, "
    "Num Filter, Strides,\n"
)
ALEXNET_CONV1 = "Conv1, 224, 224, 11, 11, 3, 96, 4,\n"


@pytest.fixture
def topology(tmp_path):
    def write(text):
        path = tmp_path / "layers.csv"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "Layer, M, N, K,\nqkt, 512, 256, 64,\n",
        "Layer,M,N,K\nqkt,512,256,64\n",
        "qkt,512,256,64",
        "\ufefflayer name , M , N , K , \r\n\r\nqkt , 512 , 256 , 64 , ,\r\n",
    ],
    ids=["with commas", "without", "no head", "spaces, blank lines and a byte order mark"],
)
def test_a_product_is_read_however_it_is_written(topology, text):
    (row,) = read_topology(topology(text)).layers
    assert (row.name, row.m, row.n, row.k) == ("qkt", 512, 256, 64)


def test_a_convolution_may_have_a_second_stride(topology):
    one, two = (
        read_topology(topology(CONV_HEAD + row)).layers[0]
        for row in (ALEXNET_CONV1, "Conv1,224,224,11,11,3,96,4,2\n")
    )
    assert (one.strides, one.strides_w) == (4, None)
    assert (two.strides, two.strides_w) == (4, 2)


def test_the_form_may_be_stated(topology):
    path = topology("a, 1, 2, 3,\n")
    assert read_topology(path, "gemm") == read_topology(path)


def test_output_size_counts_windows_that_stick_out(topology):
    graph = lower(load_workload(topology(CONV_HEAD + ALEXNET_CONV1))[0])
    (op,) = graph.blocks[0].ops
    assert op.ranks["OH"] == -(-(224 - 11 + 4) // 4) == 55
    assert op.window.pad == (0, 0)
    exact = lower(load_workload(topology(CONV_HEAD + "c, 8, 8, 3, 3, 1, 1, 2,"))[0])
    (op,) = exact.blocks[0].ops
    assert op.ranks["OH"] == 4  # 3 windows fit, the fourth begins at 6 and sticks out
    assert op.reads[0].touched is None


def test_a_large_stride_touches_less_than_the_input(topology):
    graph = lower(load_workload(topology(CONV_HEAD + "c, 9, 9, 1, 1, 2, 5, 4,"))[0])
    assert graph.blocks[0].ops[0].reads[0].touched == 2 * 3 * 3


def test_rows_are_independent_ops_of_one_block(topology):
    graph = lower(load_workload(topology("L,M,N,K\na,4,5,6\na,7,8,9\n"))[0])
    assert [op.name for op in graph.blocks[0].ops] == ["a", "a#2"]
    assert [op.kind for op in graph.blocks[0].ops] == [Kind.GEMM, Kind.GEMM]
    assert graph.macs() == 4 * 5 * 6 + 7 * 8 * 9
    assert not {a.tensor for _, o in graph.ops() for a in o.writes} & {
        a.tensor for _, o in graph.ops() for a in o.reads
    }
    assert graph.facts["layers"] == 2


def test_words_are_bytes_unless_the_workload_says_otherwise(topology):
    path = topology("L,M,N,K\na,4,5,6\n")
    spec, _ = load_workload(path)
    assert set(spec.dtypes.to_data().values()) == {"int8"}
    assert lower(spec).read_bytes(Role.WEIGHT) == 30
    data = {
        "schema": "archsim.workload/1", "name": "t", "model": {"topology": str(path)},
        "dtypes": {"weights": "bf16"},
    }  # fmt: skip
    assert lower(load_workload(data)[0]).read_bytes(Role.WEIGHT) == 60


def test_a_batch_is_more_rows_of_a_product_and_more_images(topology):
    text = CONV_HEAD + "c, 8, 8, 3, 3, 2, 4, 1,"
    one, three = (lower(load_workload(topology(text), batch=b)[0]) for b in (1, 3))
    assert three.macs() == 3 * one.macs()
    assert three.read_bytes(Role.WEIGHT) == one.read_bytes(Role.WEIGHT)
