"""Does an attention line of an op graph become rotation, append, scores, softmax and values?"""

import pytest

from archsim.core.errors import InputError
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload


def graph(*ops, **dtypes):
    data = {
        "schema": "archsim.workload/1",
        "name": "g",
        "model": {"config": {"architecture": "graph", "ops": list(ops)}},
    }
    return lower(load_workload(data | ({"dtypes": dtypes} if dtypes else {}))[0])


def line(**more):
    given = {"kind": "attention", "name": "a", "batch": 2, "queries": 5, "context": 9, "heads": 6}
    return given | {"kv_heads": 3, "head_dim": 4} | more


def test_query_heads_that_share_keys_are_rows_of_one_product():
    score, softmax, value = graph(line()).blocks[0].ops
    assert [op.op_class for op in (score, softmax, value)] == [
        "attention_score", "softmax", "attention_value",
    ]  # fmt: skip
    assert score.ranks == {"B": 6, "M": 10, "N": 9, "K": 4}
    assert value.ranks == {"B": 6, "M": 10, "N": 4, "K": 9}
    assert softmax.points() == 6 * 10 * 9
    assert all(op.causal and op.queries == 5 for op in (score, softmax, value))


def test_the_cache_is_read_whole_and_lies_in_its_own_type():
    found = graph(line(), kv_cache="fp8")
    assert found.read_bytes(Role.KV_CACHE) == 2 * 2 * 3 * 9 * 4
    assert found.tensors["a.in"].dtype.name == "fp8"  # MMAs want queries as narrow as keys
    assert found.tensors["a.out"].dtype.name == "bf16"


def test_append_rotates_and_writes_the_new_tokens_only():
    append, score, *_ = graph(line(append=True)).blocks[0].ops
    assert append.op_class == "kv_append"
    assert [a.tensor for a in append.writes] == ["a.queries", "a.keys", "a.values"]
    assert [a.touched for a in append.writes] == [None, 2 * 5 * 3 * 4, 2 * 5 * 3 * 4]
    assert graph(line(append=True)).tensors["a.in"].elements == 10 * (6 + 6) * 4
    assert score.reads[0].tensor == "a.queries"


def test_one_tensor_may_serve_as_keys_and_values():
    found = graph(line(shared_kv=True))
    assert found.stored_bytes(Role.KV_CACHE) == 2 * 2 * 3 * 9 * 4
    assert found.read_bytes(Role.KV_CACHE) == 2 * 2 * 3 * 9 * 4


def test_given_keys_are_activations_from_outside():
    found = graph(line(kv="given"))
    assert found.stored_bytes(Role.KV_CACHE) == 0
    assert found.tensors["a.keys"].role is Role.ACTIVATION


def test_a_line_reads_the_projection_before_it_and_hands_its_result_on():
    ops = (
        {"kind": "gemm", "name": "qkv", "m": 10, "n": 48, "k": 8},
        line(after="qkv", append=True, window=3),
        {"kind": "gemm", "name": "out", "m": 10, "n": 8, "k": 24, "after": "a"},
    )
    qkv, append, score, _, value, out = graph(*ops).blocks[0].ops
    assert append.reads[0].tensor == qkv.writes[0].tensor
    assert out.reads[0].tensor == value.writes[0].tensor
    assert score.reach == 3


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"kv_heads": 4}, "6 query heads cannot share 4 key heads evenly"),
        ({"context": 4}, "a context of 4 tokens does not hold 5 new ones"),
        ({"append": True, "kv": "given"}, "append writes to a KV cache, and kv is given"),
        ({"after": "b"}, 'a comes after op "b", which does not come before it'),
    ],
)
def test_a_line_that_contradicts_itself_is_refused(more, text):
    with pytest.raises(InputError, match=text):
        graph(line(**more))


def test_a_projection_of_another_size_is_refused():
    with pytest.raises(InputError, match="a reads 480 elements of qkv, which writes 470"):
        graph({"kind": "gemm", "name": "qkv", "m": 10, "n": 47, "k": 8},
              line(after="qkv", append=True))  # fmt: skip
