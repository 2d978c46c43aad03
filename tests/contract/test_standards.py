"""Does every DRAM standard give the peak of its pins, a source for each number, and a run?"""

import re

import pytest

import archsim
from archsim.core.data import find
from archsim.core.errors import InputError
from archsim.core.yamlio import load_yaml
from archsim.memory.standard import load_standard, standard_names

PINS = {"HBM": 1024, "DDR": 64}  # data pins of a stack, of a module


@pytest.mark.parametrize("name", standard_names())
def test_its_peak_is_its_pins_at_their_rate(name):
    rate = float(re.search(r"_(\d+(?:\.\d+)?)", name)[1])
    gigabits = rate if name.startswith("HBM") else rate / 1000
    standard = load_standard(name)
    assert standard.bytes_per_s == pytest.approx(PINS[name[:3]] * gigabits * 1e9 / 8)


@pytest.mark.parametrize("name", standard_names())
def test_every_number_says_where_it_comes_from(name):
    standard = load_standard(name)
    numbers = {"bytes_per_s", "capacity_bytes", "latency_s", "streaming_efficiency", "energy"}
    assert set(standard.source) == numbers
    assert standard.name == name
    assert 10e-9 < standard.latency_s < 200e-9


@pytest.mark.parametrize("name", standard_names())
def test_a_memory_bound_run_gets_its_streaming_share_of_the_peak(name):
    machine = load_yaml(find("npu", "configs")).data
    machine["memory"]["hbm"] = {"kind": "dram", "standard": name, "stacks": 1, "capacity": "64 GiB"}
    report = archsim.run(machine, "llama-3-8b-decode")
    standard = load_standard(name)
    share = report.result["metrics"]["utilization"]["by_resource"]["hbm"]
    assert share <= standard.streaming_efficiency
    assert share == pytest.approx(standard.streaming_efficiency, rel=0.02)


def test_a_standard_and_a_flat_bandwidth_together_are_refused():
    machine = load_yaml(find("npu", "configs")).data
    machine["memory"]["hbm"]["standard"] = "HBM2_2.0Gbps"
    with pytest.raises(InputError, match="either standard or bandwidth"):
        archsim.run(machine, "llama-3-8b-decode")
