"""Knuth's two generators as the reference simulator starts them, for runs equal to its own.

TAOCP volume 2, section 3.6, the version of 2002 (public domain). Fractions are multiples of 2^-52,
so both are integers here: 30 bits that are subtracted, and 52 bits that are added.
"""

from __future__ import annotations

from archsim.interconnect.flit_random import KEPT, LAGS, MADE

INTEGER_BITS, FRACTION_BITS = 30, 52
LONG, SHORT = LAGS
SPREAD = 70  # streams of two seeds are 2^70 numbers apart
SEED_MASK = (1 << 30) - 1


def started(seed: int, *, fractions: bool) -> list[int]:
    """A generator for `flit_random.replayed`, about to make its first batch.

    Args:
        seed: of which the low 30 bits count.
        fractions: 52 bits of a fraction instead of a 30-bit integer.
    """
    bits = FRACTION_BITS if fractions else INTEGER_BITS
    sign, mask = (1 if fractions else -1), (1 << bits) - 1
    x = _first(seed, bits, fractions=fractions)
    power, rounds = seed & SEED_MASK, SPREAD - 1
    while rounds:
        _square(x, sign, mask)
        if power & 1:
            _times_z(x, sign, mask)
        if power:
            power >>= 1
        else:
            rounds -= 1
    state = x[SHORT:LONG] + x[:SHORT]
    for _ in range(10):  # warm up
        state = _after(state, 2 * LONG - 1, sign, mask)
    return [KEPT, sign, *state, *([0] * MADE)]


def _first(seed: int, bits: int, *, fractions: bool) -> list[int]:
    """The polynomial that the seed's power of z is applied to, with room for its square."""
    top = 1 << bits
    x = []
    low = 2 * ((seed & SEED_MASK) + 2) if fractions else (seed + 2) & (top - 2)
    for _ in range(LONG):
        x.append(low)
        low <<= 1
        if low >= top:
            low -= top - 2
    x[1] += 1  # one odd coefficient
    return x + [0] * (LONG - 1)


def _square(x: list[int], sign: int, mask: int) -> None:
    for j in range(LONG - 1, 0, -1):
        x[2 * j], x[2 * j - 1] = x[j], 0
    for j in range(2 * LONG - 2, LONG - 1, -1):
        x[j - (LONG - SHORT)] = (x[j - (LONG - SHORT)] + sign * x[j]) & mask
        x[j - LONG] = (x[j - LONG] + sign * x[j]) & mask


def _times_z(x: list[int], sign: int, mask: int) -> None:
    x[1 : LONG + 1] = x[:LONG]
    x[0] = x[LONG]
    x[SHORT] = (x[SHORT] + sign * x[LONG]) & mask


def _after(state: list[int], count: int, sign: int, mask: int) -> list[int]:
    """The state once `count` numbers have been made."""
    x = list(state)
    for j in range(LONG, count + LONG):
        x.append((x[j - LONG] + sign * x[j - SHORT]) & mask)
    return x[count:]
