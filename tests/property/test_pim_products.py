"""Do products inside a memory keep what any computation must: bytes, bounds, order?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.core.errors import Unmappable
from archsim.ir.pim import Layout, Product
from archsim.ir.problem import Extents
from archsim.memory.pim.products import PimDevice

DEVICES = {
    "AiM": PimDevice.of("GDDR6_AiM", "AiM", macs_per_unit=16, unit_clock_hz=1e9),
    "HBM-PIM": PimDevice.of("HBM2_PIM_2.0Gbps", "HBM-PIM", macs_per_unit=16, unit_clock_hz=3e8),
    "AttAcc": PimDevice.of("HBM3_PIM_5.2Gbps", "AttAcc", 5, macs_per_unit=16, unit_clock_hz=666e6),
    "AttAccBG": PimDevice.of("HBM3_PIM_5.2Gbps", "AttAccBG", macs_per_unit=16, unit_clock_hz=1e9),
    "Newton": PimDevice.of("HBM2_NeuPIMs_2.0Gbps", "Newton", macs_per_unit=32, unit_clock_hz=1e9),
    "Logic-PIM": PimDevice.of(
        "HBM3_5.2Gbps", "Logic-PIM", 5, macs_per_unit=512, unit_clock_hz=650e6
    ),
}
"""One device of each command set."""

extents = st.builds(
    Extents,
    b=st.integers(1, 40),
    m=st.integers(1, 12),
    n=st.integers(1, 5000),
    k=st.integers(1, 5000),
)
products = st.builds(
    Product,
    cases=st.lists(extents, min_size=1, max_size=3).map(tuple),
    matrix_bits=st.sampled_from((4.25, 8.0, 16.0)),
    in_bits=st.sampled_from((8.0, 16.0)),
    out_bits=st.just(16.0),
    layout=st.sampled_from(("row", "column", "interleaved")),
    dealt=st.booleans(),
)


@pytest.mark.parametrize("name", DEVICES)
@given(product=products)
@settings(max_examples=12, deadline=None)
def test_every_byte_is_read_and_every_tick_has_a_reason(name: str, product: Product) -> None:
    device = DEVICES[name]
    try:
        work = device.work(product)
    except Unmappable:
        assume(False)
    assert work.banks_ps >= work.bound_ps
    assert sum(work.waits_ps.values()) == work.banks_ps
    assert min(work.waits_ps.values()) >= 0
    assert 0 <= work.bus_ps <= work.banks_ps
    bits = sum(e.b * e.n * e.k for e in product.cases) * product.matrix_bits
    assert bits / 8 <= work.matrix_bytes <= min(work.read_bytes, work.stored_bytes)
    assert work.input_bytes >= sum(e.b * e.m * e.k for e in product.cases) * product.in_bits / 8
    assert work.result_bytes >= sum(e.b * e.m * e.n for e in product.cases) * product.out_bits / 8
    assert 0 < work.bank_utilisation <= 1
    assert 0 <= work.row_hit_rate < 1


@pytest.mark.parametrize("name", DEVICES)
@given(
    e=extents,
    layout=st.sampled_from(("row", "interleaved")),
    rank=st.sampled_from("bmnk"),
    dealt=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_twice_of_anything_takes_no_less_time(
    name: str, e: Extents, layout: Layout, rank: str, dealt: bool
) -> None:
    device = DEVICES[name]
    one = Product((e,), 16, 16, 16, layout, dealt)
    two = replace(one, cases=(replace(e, **{rank: 2 * e.of(rank)}),))
    assert device.work(two).banks_ps >= device.work(one).banks_ps
