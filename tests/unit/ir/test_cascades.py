"""Are passes, lives and footprints of a cascade those that the literature gives by hand?"""

import pytest

from archsim.ir.cascade import Cascade, Einsum, Nest, NestLoop, Operand, footprint, growth
from archsim.ir.cascades import ONE_PASS, THREE_PASS, TWO_PASS

TILE = {"p": 256, "m1": 1, "m0": 256, "e": 64, "f": 64}


@pytest.mark.parametrize(("cascade", "passes"), [(THREE_PASS, 3), (TWO_PASS, 2), (ONE_PASS, 1)])
def test_passes_over_the_keys_follow_from_the_dependences(cascade, passes):
    assert cascade.passes("m1") == passes


def test_scores_are_needed_again_by_the_exponential_and_shares_by_the_division():
    assert THREE_PASS.lives("QK", "m1") == (1, 2)
    assert THREE_PASS.lives("SN", "m1") == (2, 3)
    assert THREE_PASS.lives("A", "m1") == (3, 3)
    assert ONE_PASS.lives("QK", "m1") == (1, 1)


def test_what_only_one_block_of_keys_is_reduced_to_takes_no_other_pass():
    visits = ONE_PASS.visits("m1")
    assert {name for name, n in visits.items() if n > 1} == {"AV"}  # it walks no keys


def test_what_runs_on_is_known_by_its_readers():
    running = {e.name for e in ONE_PASS.einsums if ONE_PASS.running(e.name) == "m1"}
    assert running == {"RM", "RD", "RNV"}


def flat(keys, rows=1024):
    loops = (
        NestLoop("b", 768), NestLoop("p", 4096 // rows), NestLoop("m1", keys // 256),
        NestLoop("p", rows // 256),
    )  # fmt: skip
    return Nest(loops, 2, TILE)


def fusemax(keys, inner=4):
    loops = (
        NestLoop("b", 768), NestLoop("p", 16 // inner), NestLoop("m1", keys // 256),
        NestLoop("p", inner),
    )  # fmt: skip
    return Nest(loops, 4, TILE, {"Q": 2, "K": 3, "V": 3})


@pytest.mark.parametrize("keys", [1024, 16384, 1 << 20])
def test_flat_holds_rows_of_scores_and_fusemax_a_super_block_whatever_the_keys(keys):
    assert footprint(THREE_PASS, flat(keys), "QK") == 1024 * keys
    assert growth(THREE_PASS, flat(keys), "QK", "m1") == 1.0
    live = {name: footprint(ONE_PASS, fusemax(keys), name) for name in ("Q", "K", "RM", "RNV")}
    assert live == {"Q": 1024 * 64, "K": 256 * 64, "RM": 1024, "RNV": 1024 * 64}
    assert all(growth(ONE_PASS, fusemax(keys), name, "m1") == 0.0 for name in live)


def test_unfused_scores_of_all_problems_exist_at_once():
    whole = Nest(flat(4096).loops, 0, TILE)
    assert footprint(THREE_PASS, whole, "QK") == 768 * 4096 * 4096


def test_a_block_of_scores_is_as_large_as_the_loops_inside_the_shared_ones():
    of = fusemax(4096)
    assert footprint(ONE_PASS, of, "QK") == 256 * 256
    assert footprint(ONE_PASS, Nest(of.loops, 3, TILE, of.held), "QK") == 4 * 256 * 256


def test_an_einsum_is_written_as_people_write_it():
    assert ONE_PASS.of("RM").text() == "RM[m1, p] = max(RM[m1-1, p], LM[m1, p])"
    assert THREE_PASS.of("GM").text() == "GM[p] = max(QK[p, m1, m0]) over m1, m0"


def test_a_tensor_that_is_made_twice_is_refused():
    one = Einsum("A", ("p",), "sum", (Operand("X", ("p", "m")),))
    with pytest.raises(ValueError, match="twice: A is made twice"):
        Cascade("twice", (one, one))
