"""Does writing new elements take as long as a channel's scheduler takes for the same writes?"""

from __future__ import annotations

import pytest

from archsim.ir.pim import Product
from archsim.ir.problem import Extents
from archsim.memory.pim.command_set import load_set
from archsim.memory.pim.lane_program import Access, lane_program
from archsim.memory.pim.lane_rules import lane_rules
from archsim.memory.pim.lanes import run_lane
from archsim.memory.pim.layouts_access import append
from archsim.memory.pim.products import PimDevice
from archsim.memory.standard import Standard, load_standard

SETS = {
    "Logic-PIM": ("HBM3_5.2Gbps", 67),  # nRCDWR 19, nCWL + nBL + nWR 29, nRP 19
    "HBM-PIM": ("HBM2_PIM_2.0Gbps", 50),
    "Newton": ("HBM2_NeuPIMs_2.0Gbps", 50),
}


def written(standard: Standard, name: str, rows: int, each: int, banks: list[int]) -> int:
    """Ticks of one channel for rows in turn in some banks, with so many accesses each."""
    writes = tuple(
        Access(0, True, banks[i % len(banks)], i // len(banks))
        for i in range(rows) for _ in range(each)
    )  # fmt: skip
    return run_lane(lane_program(standard, load_set(name), [], writes)).host_ticks


@pytest.mark.parametrize("name", SETS)
def test_a_key_of_each_matrix_takes_as_long_as_its_writes_on_the_channel(name: str) -> None:
    memory, cycle = SETS[name]
    standard, commands = load_standard(memory), load_set(name)
    twice = written(standard, name, 20, 1, [0]) - written(standard, name, 10, 1, [0])
    assert twice == 10 * cycle  # the next row waits for a write to recover
    device = PimDevice.of(standard, commands, macs_per_unit=16, unit_clock_hz=1e9, refresh=False)
    matrices = 8 * device.banks.at_once * device.banks.turns * device.banks.sets
    keys = (Extents(matrices * device.channels, 1, 1, 128),)
    found = append(device, Product(keys, 16, 16, 16, "interleaved", dealt=True), "n")
    accesses = found.write_bytes // device.banks.access_bytes // device.channels
    assert found.activates == matrices * device.channels
    sizes = lane_rules(standard, commands).groups
    banks = sorted(range(sizes[0]), key=lambda b: (b % sizes[-2], b // sizes[-2]))
    lane = written(standard, name, matrices, accesses // matrices, banks)
    assert found.banks_ps / device.tick_ps == pytest.approx(lane, rel=0.15)
