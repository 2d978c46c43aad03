"""Does every cascade compute attention on every nest, and are mistakes in either of them caught?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.ir.cascade import Cascade, Nest, NestLoop, Operand, footprints, growth
from archsim.ir.cascades import CASCADES, ONE_PASS, THREE_PASS, TWO_PASS
from archsim.testing.cascades import cascade_mappings, moved_bytes
from archsim.testing.functional import UnsoundMappingError
from archsim.testing.functional_cascade import Execution, execute_cascade

KEYS_LOOP = 2  # place of the loop over blocks of keys in these nests


@settings(max_examples=30, deadline=None)
@given(mapping=cascade_mappings())
def test_every_mapping_computes_attention_and_moves_what_its_closed_form_says(mapping):
    entered = execute_cascade(mapping)
    spilled = any("spilled" in word for word in mapping.traffic())
    if not spilled:
        dtypes = mapping.problem.dtypes
        assert moved_bytes(mapping) == {
            word: sum_of_tiles(n, dtypes[word]) for word, n in entered.items()
        }


def sum_of_tiles(elements, dtype):
    return int(elements * dtype.stored_bits / 8)


def nest(shared, steps, tile, problems=1):
    p_out, m, p_in = steps
    high, wide, e, f = tile
    loops = (
        NestLoop("b", problems), NestLoop("p", p_out), NestLoop("m1", m), NestLoop("p", p_in)
    )  # fmt: skip
    held = {"Q": 2, "K": 3, "V": 3}
    return Nest(loops, shared, {"p": high, "m1": 1, "m0": wide, "e": e, "f": f}, held)


def arrays(of, seed=0):
    rng, size = np.random.default_rng(seed), of.extents()
    rows, keys = size["p"], size["m1"] * size["m0"]
    b = of.loops[0].steps
    return {
        "Q": rng.normal(size=(b, rows, size["e"])),
        "K": rng.normal(size=(b, keys, size["e"])),
        "V": rng.normal(size=(b, keys, size["f"])),
    }


def defined(inputs):
    scores = inputs["Q"] @ inputs["K"].transpose(0, 2, 1)
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    return shares / shares.sum(axis=2, keepdims=True) @ inputs["V"]


SMALL = st.integers(1, 4)


@settings(max_examples=60, deadline=None)
@given(
    cascade=st.sampled_from(CASCADES),
    shared=st.sampled_from([0, 2, 3, 4]),
    steps=st.tuples(SMALL, st.integers(2, 4), SMALL),
    tile=st.tuples(SMALL, SMALL, SMALL, SMALL),
    problems=st.integers(1, 3),
)
def test_every_cascade_on_whole_tiles_holds_at_its_peak_just_what_its_footprint_says(
    cascade, shared, steps, tile, problems
):
    if cascade is ONE_PASS:
        shared = max(shared, 3)  # what runs on along the keys shares their loop
    of = nest(shared, steps, tile, problems)
    run = Execution(cascade, of, arrays(of))
    assert np.allclose(run.run(), defined(run.inputs))
    live = footprints(cascade, of)
    # results leave tile by tile, whatever room there is for them
    held = [name for name in run.peak if name != cascade.result]
    assert {name: run.peak[name] for name in held} == {name: live[name] for name in held}


@settings(max_examples=40, deadline=None)
@given(steps=st.tuples(SMALL, SMALL, SMALL), shared=st.sampled_from([3, 4]))
def test_what_the_one_pass_cascade_holds_does_not_grow_with_the_keys(steps, shared):
    of = nest(shared, steps, (8, 8, 4, 4))
    assert {growth(ONE_PASS, of, name, "m1") for name in footprints(ONE_PASS, of)} == {0.0}


@pytest.mark.parametrize(("cascade", "linear"), [(THREE_PASS, "QK SN A"), (TWO_PASS, "QK SN")])
@pytest.mark.parametrize("shared", [2, 3])
def test_what_other_cascades_hold_of_scores_grows_as_the_keys_do(cascade, linear, shared):
    of = nest(shared, (2, 4, 2), (8, 8, 4, 4))
    grown = {name for name in footprints(cascade, of) if growth(cascade, of, name, "m1") == 1.0}
    wanted = set(linear.split())
    # with keys in the shared loops a share that is used up in the pass that makes it needs no row
    assert grown == (wanted if shared == 2 else wanted - {"A" if "A" in wanted else "SN"})


def mutated(cascade, name, change):
    einsums = tuple(change(e) if e.name == name else e for e in cascade.einsums)
    return replace(cascade, einsums=einsums)


def _forgets_the_correction(e):
    return replace(e, inputs=(e.inputs[0],))


def _takes_the_local_maximum(e):
    return replace(e, inputs=(e.inputs[0], Operand("LM", ("m1", "p"))))


def _reads_this_iteration(e):
    return replace(e, inputs=(replace(e.inputs[0], before=""), e.inputs[1]))


def _swaps(e):
    return replace(e, inputs=e.inputs[::-1])


CHANGES = {
    "sum without correction": ("SPD", _forgets_the_correction),
    "numerator without correction": ("SPNV", _forgets_the_correction),
    "maximum of the block alone": ("SLN", _takes_the_local_maximum),
    "correction upside down": ("PRM", _swaps),
}


@pytest.mark.parametrize("mistake", CHANGES)
def test_a_cascade_with_a_mistake_computes_something_else(mistake):
    of = nest(4, (2, 3, 2), (3, 3, 4, 4))
    run = Execution(mutated(ONE_PASS, *CHANGES[mistake]), of, arrays(of))
    try:
        got = run.run()
    except (UnsoundMappingError, RuntimeWarning):  # or no numbers at all
        return
    assert not np.allclose(got, defined(run.inputs))


def test_a_value_of_this_iteration_is_refused_before_it_is_made():
    with pytest.raises(ValueError, match="SPD reads RD before it is made"):
        mutated(ONE_PASS, "SPD", _reads_this_iteration)


class OnePassOnly(Cascade):
    """A cascade that takes all its Einsums for those of one pass."""

    def visits(self, rank):
        """A pass too few."""
        return dict.fromkeys(super().visits(rank), 1) | {self.result: 1}


def test_passes_that_are_merged_read_what_is_not_complete():
    of = nest(3, (2, 3, 2), (3, 3, 4, 4))
    merged = OnePassOnly(THREE_PASS.name, THREE_PASS.einsums)
    with pytest.raises(UnsoundMappingError, match=r"after 1 of 3 blocks|not held"):
        Execution(merged, of, arrays(of)).run()


class SmallRooms(Cascade):
    """A cascade that takes its running values for values of one iteration."""

    def running(self, tensor):
        """None runs on."""
        return ""


def test_a_nest_that_holds_less_than_the_cascade_needs_is_unsound():
    of = nest(4, (2, 3, 2), (3, 3, 4, 4))
    forgetful = SmallRooms(ONE_PASS.name, ONE_PASS.einsums, ONE_PASS.starts)
    with pytest.raises(UnsoundMappingError, match=r"not held|more than its footprint"):
        Execution(forgetful, of, arrays(of)).run()


@pytest.mark.parametrize("lost", [1, KEYS_LOOP, 3])
def test_a_dropped_step_of_any_loop_is_caught(lost):
    whole = nest(4, (2, 3, 2), (3, 3, 4, 4))
    inputs = arrays(whole)
    loops = list(whole.loops)
    loops[lost] = replace(loops[lost], steps=loops[lost].steps - 1)
    run = Execution(ONE_PASS, replace(whole, loops=tuple(loops)), inputs)
    with pytest.raises(UnsoundMappingError):
        run.run()
