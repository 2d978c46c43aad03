"""Do conflicts counted in closed form or by arrays equal those counted word by word?"""

from math import gcd

from hypothesis import assume, given
from hypothesis import strategies as st

from archsim.memory.banks import SWEPT, Access, Banks, cycles, requests, strided_requests, sweep


@st.composite
def some_banks(draw):
    xor = draw(st.booleans())
    count = draw(st.sampled_from([1, 2, 4, 8, 16]) if xor else st.integers(1, 20))
    width = draw(st.sampled_from([8, 16, 24, 64, 128]))
    return Banks(count, width, width * draw(st.integers(1, 5)), draw(st.integers(1, 3)), xor)


@st.composite
def accesses(draw):
    radix = draw(
        st.lists(st.tuples(st.integers(1, 6), st.integers(0, 900)), min_size=1, max_size=4)
    )
    return Access(
        tuple(radix),
        draw(st.integers(1, 40)),
        draw(st.sampled_from([1, 4, 8, 16, 32])),
        draw(st.integers(0, 3000)),
        draw(st.integers(0, 50)),
    )


def place(radix, number):
    """Offset of a number written in a mixed radix."""
    at = 0
    for extent, stride in radix[:-1]:
        at += number % extent * stride
        number //= extent
    return at + number * radix[-1][1]


def by_hand(banks, access, moved=(0,)):
    """Words asked of each bank, one bit at a time."""
    words = set()
    for base in moved:
        for lane in range(access.lanes):
            low = access.base_bits + base + place(access.radix, access.first + lane)
            words |= {bit // banks.width_bits for bit in range(low, low + access.element_bits)}
    asked = [0] * banks.count
    for word in words:
        chunk = word * banks.width_bits // banks.interleave_bits
        upper = chunk // banks.count % banks.count if banks.xor else 0
        asked[chunk % banks.count ^ upper] += 1
    return asked


def waits(banks, asked):
    """Cycles of an access, and those of its words spread over all banks."""
    taken = -(-max(asked) // banks.ports)
    return taken, max(1, -(-sum(asked) // (banks.count * banks.ports)))


@given(some_banks(), accesses())
def test_an_access_asks_of_each_bank_the_distinct_words_that_its_lanes_touch(banks, access):
    asked = by_hand(banks, access)
    assert requests(banks, access).tolist() == asked
    assert cycles(banks, access) == waits(banks, asked)[0]


@given(some_banks(), st.integers(0, 60), st.integers(1, 70))
def test_the_closed_form_of_a_stride_is_what_its_lanes_ask_for(banks, stride_words, lanes):
    known = strided_requests(banks, stride_words, lanes)
    access = Access(((0, stride_words * banks.width_bits),), lanes, banks.width_bits)
    if known is not None:
        assert known == max(by_hand(banks, access))
    chunk = banks.interleave_bits // banks.width_bits
    regular = stride_words % chunk == 0 or (stride_words and chunk % stride_words == 0)
    assert (known is None) == (stride_words > 0 and (banks.xor or not regular))


@given(st.integers(1, 64), st.integers(1, 200), st.integers(1, 200))
def test_a_stride_visits_the_banks_over_their_common_divisor(count, stride, lanes):
    banks = Banks(count, 32, 32)
    visited = count // gcd(count, stride)
    asked = requests(banks, Access(((0, stride * 32),), lanes, 32))
    assert (asked > 0).sum() == min(visited, lanes)
    assert cycles(banks, Access(((0, stride * 32),), lanes, 32)) == -(-lanes // visited)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 150))
def test_an_xor_serves_every_power_of_two_up_to_the_banks_without_conflict(b, k, lanes):
    stride = 1 << min(k, b)
    access = Access(((0, stride * 32),), lanes, 32)
    assert cycles(Banks(1 << b, 32, 32, xor=True), access) == -(-lanes // (1 << b))


@given(
    some_banks(),
    accesses(),
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 700)), min_size=1, max_size=3),
    st.integers(1, 60),
    st.integers(1, 3),
)
def test_a_stream_takes_what_its_accesses_take_one_by_one(banks, access, stream, count, together):
    stream = tuple(stream)
    got = sweep(banks, access, stream, count, together)
    want = [0, 0, 0]
    for i in range(count):
        moved = [place(stream, i * together + j) for j in range(together)]
        asked = by_hand(banks, access, moved)
        taken, least = waits(banks, asked)
        want = [want[0] + taken, want[1] + sum(asked), want[2] + taken - least]
    assert [got.cycles, got.words, got.conflict_cycles] == want
    assert got.accesses == count


@given(some_banks(), accesses(), st.integers(1, 40))
def test_a_stream_of_one_stride_goes_on_as_it_began(banks, access, stride_words):
    stream = ((0, stride_words * banks.width_bits),)
    period = banks.recur(stream[0][1])
    assume(period <= SWEPT)  # longer ones repeat a mean
    one, three = (sweep(banks, access, stream, n * period) for n in (1, 3))
    assert three.cycles == 3 * one.cycles
    assert three.words == 3 * one.words


@given(some_banks(), accesses())
def test_more_ports_never_slow_an_access_and_as_many_as_lanes_end_all_conflicts(banks, access):
    def at(ports):
        return cycles(
            Banks(banks.count, banks.width_bits, banks.interleave_bits, ports, banks.xor), access
        )

    assert at(2) <= at(1)
    assert at(access.lanes * (access.element_bits + 1)) == 1
