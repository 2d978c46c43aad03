"""Does a report of devices simulated once say what one of devices simulated each says?"""

from math import prod

import pytest

import archsim
from archsim.ir.parallel import AXES
from archsim.system.spec import load_hardware
from archsim.testing.pods import SWITCH

DECODE = {"kind": "decode", "batch": 8, "context": 256}
PREFILL = {"kind": "prefill", "batch": 1, "tokens": 256}
TRAIN = {"kind": "train", "batch": 8, "tokens": 64}
CASES = {
    "tensor x pipeline": ("npu", DECODE, {"tensor": 4, "pipeline": 2, "microbatches": 2}, []),
    "a straggler": ("npu", DECODE, {"tensor": 4, "data": 2}, [{"device": 3, "clock": 0.5}]),
    "kernels, and training": (
        "h100", TRAIN, {"data": 2, "pipeline": 2, "microbatches": 2, "schedule": "1f1b"}, [],
    ),
    "a ring of contexts": ("npu", PREFILL, {"context": 4}, []),
    "interleaved stages": (
        "npu", TRAIN,
        {"pipeline": 2, "microbatches": 4, "schedule": "interleaved", "virtual_stages": 2}, [],
    ),
    "a slow link": ("npu", DECODE, {"tensor": 4}, [{"link": [1, 4], "bandwidth": 0.5}]),
}  # fmt: skip


def told(name, *, exact):
    chip, phase, plan, faults = CASES[name]
    hardware = load_hardware(chip)[0].to_data()
    devices = prod(plan.get(axis, 1) for axis in AXES)
    hardware["interconnect"]["node"] = {**SWITCH, "devices": devices}
    hardware["faults"] = faults
    workload = {"schema": "archsim.workload/1", "name": "w", "model": {"preset": "gpt2-small"},
                "phase": phase, "parallel": plan}  # fmt: skip
    report = archsim.run(hardware, workload, fidelity="tile", exact=exact, advice=False)
    return dict(leaves(report.result))


def leaves(data, path=""):
    """Every number and word of a result by path, but folds and what is said of one class alone."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key not in ("fold", "units", "by_resource") and "@" not in str(key):
                yield from leaves(value, f"{path}.{key}")
    elif isinstance(data, list | tuple):
        for i, value in enumerate(data):
            yield from leaves(value, f"{path}[{i}]")
    else:
        yield path, data


@pytest.mark.parametrize("name", CASES)
def test_folded_and_exact_pods_are_reported_alike(name):
    folded, exact = told(name, exact=False), told(name, exact=True)
    assert folded.keys() == exact.keys()
    close = {k: pytest.approx(v, rel=1e-9) for k, v in exact.items() if isinstance(v, float)}
    assert {k: v for k, v in folded.items() if v != close.get(k, exact[k])} == {}
    assert folded[".time_ps"] == exact[".time_ps"]
