"""Is every family of mappings executed against numpy, and is every mistake in one caught?"""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings

from archsim.core.errors import Unmappable
from archsim.ir.mapping import Mapping
from archsim.ir.nest_fused import FusedNest, FusedProblem, fused_problem
from archsim.ir.problem import problem
from archsim.ir.tensor import DTYPES
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.testing.families import MATRIX, changed
from archsim.testing.functional import UnsoundMappingError, execute
from archsim.testing.functional_fused import execute_fused, fused_nests
from archsim.testing.mutations import MISTAKES, complaint
from archsim.testing.problems import gemm
from archsim.testing.proofs import proofs, prove
from benchmarks.proof import drawn

PROOFS = {proof.name: proof for proof in proofs()}
CASES = {"cascades of Einsums": 4}


@pytest.mark.parametrize("name", list(PROOFS))
def test_every_mapping_of_a_family_computes_its_op_and_every_mistake_is_caught(name):
    found = prove(PROOFS[name], CASES.get(name, 12), 4)
    assert found.drawn == CASES.get(name, 12)
    assert sum(found.tried.values()) > 0
    assert found.passed == []
    assert found.caught == found.tried


def test_few_cases_of_any_family_are_enough_to_try_some_mistakes():
    assert drawn("cascades of Einsums", 5, 5) == 5
    assert drawn("cascades of Einsums", 100, 5) == 25
    assert drawn("any loop nest", 3, 5) == 3
    found = prove(PROOFS["cascades of Einsums"], drawn("cascades of Einsums", 5, 5), 5)
    assert sum(found.tried.values()) > 0
    assert found.caught == found.tried


def test_all_families_are_there():
    assert {
        "weight_stationary", "output_stationary", "input_stationary", "row_broadcast",
        "flash attention", "flash attention, blocks", "flash attention, backward", "any loop nest",
        "row_stationary, spatial", "fused feed-forward", "cascades of Einsums", "stream graphs",
    } <= set(PROOFS)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(nest=fused_nests())
def test_a_fused_feed_forward_block_computes_it_and_moves_what_its_closed_form_says(nest):
    assert execute_fused(nest) == nest.traffic()


def block(name, prefix):
    graph = lower(load_workload(name)[0])
    ops = [op for b in graph.blocks for op in b.ops]
    names = [f"{prefix}.{part}" for part in ("gate", "up", "act", "down")]
    chosen = [op for name in names for op in ops if op.name == name]
    return fused_problem(chosen, graph.tensors)


def test_the_block_of_a_model_keeps_its_hidden_tensors_on_chip():
    p = block("llama-3-8b-prefill", "ffn")
    assert (p.cases, p.k, p.f, p.n, p.firsts) == (((1, 2048),), 4096, 14336, 4096, 2)
    tile = {"b": 1, "m": 512, "f": 256, "k": 512, "n": 1024}
    nest = FusedNest(p, "array", tile, frozenset({"in", "out"}))
    nest.check(48 << 20)
    moved = nest.traffic()
    assert moved["in"] == (2048 * 4096, 0)
    assert moved["out"] == (0, 2048 * 4096)
    assert moved["first"] == (2 * 4 * 4096 * 14336, 0)  # once for each tile of rows
    assert "hidden" not in moved  # op by op it would be written and read again
    assert "hidden = activation of the sums" in nest.render()


def test_the_experts_of_a_layer_are_a_ragged_block():
    p = block("mixtral-8x7b-prefill", "moe")
    assert sum(b * m for b, m in p.cases) == 4096
    assert p.firsts == 2


def test_a_fused_block_that_does_not_fit_is_refused_with_its_parts():
    p = FusedProblem("up", ((1, 64),), 32, 48, 16, 1, dict.fromkeys(
        ("in", "hidden", "out", "first", "last"), DTYPES["int8"]), 32)  # fmt: skip
    nest = FusedNest(p, "array", {"b": 1, "m": 64, "f": 48, "k": 32, "n": 16})
    with pytest.raises(Unmappable) as caught:
        nest.check(4096)
    assert caught.value.message == (
        "up: tiles need 20736 bytes on chip (in 2048, first 1536, hidden 15360, last 768, "
        "out 1024), 4096 are free"
    )
    with pytest.raises(Unmappable, match="rank k is missed"):
        replace(nest, tile={"b": 1, "m": 64, "f": 48, "n": 16}).check(1 << 20)


def test_ops_that_are_no_feed_forward_block_are_refused():
    graph = lower(load_workload("llama-3-8b-prefill")[0])
    ops = {op.name: op for b in graph.blocks for op in b.ops}
    wrong = [ops[name] for name in ("ffn.gate", "attn.out", "ffn.act", "ffn.down")]
    with pytest.raises(Unmappable, match="are no feed-forward block"):
        fused_problem(wrong, graph.tensors)


def one_mapping(**fields):
    given = {"order": ("b", "m", "n", "k"), "tile": {"b": 1, "m": 8, "n": 8, "k": 40}}
    return Mapping(
        problem(*gemm(1, 32, 24, 40), 32), "array", "weight_stationary", "weight",
        **(given | fields), keep=frozenset(), buffers={},
    )  # fmt: skip


def test_a_sum_that_starts_from_what_memory_holds_is_noticed():
    mapping = one_mapping()
    steps = MISTAKES["sum never begins"](MATRIX, mapping, list(mapping.tiles()), Random(1))
    mutant = changed(mapping, tiles=lambda _: iter(steps), **MATRIX.hooks)
    assert complaint(MATRIX, mutant, mapping) == "gemm: the mapping computes something else"


def test_products_that_are_missing_where_inputs_are_zero_are_noticed():
    mapping = one_mapping()
    steps = list(mapping.tiles())
    last = replace(steps[-1], ranges={**steps[-1].ranges, "k": (0, 39)})
    mutant = changed(mapping, tiles=lambda _: iter([*steps[:-1], last]))
    with pytest.raises(UnsoundMappingError, match="gemm: 30656 products, the op has 30720"):
        execute(mutant)
