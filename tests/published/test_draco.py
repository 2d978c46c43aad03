"""Are cycles of row-stationary layers those of nn-dataflow, and is Eyeriss as busy as its paper?"""

import pytest

import archsim
from archsim.core.data import find
from archsim.core.yamlio import load_yaml
from archsim.validation import validate

# AlexNet's convolutions: input, filters, kernel, stride, padding, groups
ALEXNET = {
    "conv1": ((3, 227, 227), 96, 11, 4, 0, 1),
    "conv2": ((96, 27, 27), 256, 5, 1, 2, 2),
    "conv3": ((256, 13, 13), 384, 3, 1, 1, 1),
    "conv4": ((384, 13, 13), 384, 3, 1, 1, 2),
    "conv5": ((384, 13, 13), 256, 3, 1, 1, 2),
}
# Chen et al. (JSSC 2017), table V, batch 4: elements at work, processing time in ms
EYERISS = {
    "conv1": (154, 16.5), "conv2": (135, 39.2), "conv3": (156, 21.8),
    "conv4": (156, 16.0), "conv5": (156, 10.0),
}  # fmt: skip
# Chen et al. (ISCA 2016), figure 10, batch 16 on 16 x 16 elements, in 1e9 MAC energies: ALU, DRAM
# and registers, as nn-dataflow (stanford-mast/nn_dataflow, test_nn_dataflow.py) reproduces them
ENERGY = {
    "conv1": (1.69, 2.46, 6.75), "conv2": (3.58, 2.27, 14.33), "conv3": (2.39, 2.02, 9.57),
    "conv4": (1.79, 1.57, 7.18), "conv5": (1.20, 1.05, 4.78),
}  # fmt: skip


def layer(hardware, name, batch):
    image, filters, kernel, stride, padding, groups = ALEXNET[name]
    conv = {
        "kind": "conv", "name": name, "out_channels": filters, "kernel": kernel,
        "stride": stride, "padding": padding, "groups": groups,
        "batch_norm": False, "activation": "none",
    }  # fmt: skip
    work = {
        "schema": "archsim.workload/1",
        "name": name,
        "model": {"config": {"architecture": "cnn", "input": list(image), "layers": [conv]}},
        "dtypes": {"weights": "int16", "activations": "int16", "accumulators": "int16"},
        "phase": {"kind": "infer", "batch": batch},
    }
    return archsim.run(hardware, work, fidelity="tile", advice=False)


def test_every_row_of_the_table_is_exact():
    result = validate("draco")
    assert result.rows == 28
    assert result.passed, [c for c in result.cases if c.status != "pass"]
    assert result.metrics()["cycles"]["exact"] == 28


def test_other_arrays_follow_the_rule_of_sets_and_a_row_of_another_network_is_refused(tmp_path):
    # one pass of 3 x 56 elements on 16 x 16; with 32 columns 4 of the 10 stacks of 3 rows suffice
    table = tmp_path / "own.csv"
    rows = (
        "conv2_dw,3.612672,32,32,10752", "conv4_pw,51.380224,8,14,458752",
        "conv1,10.838016,16,16,64512", "conv99,1,16,16,1", "conv2_dw,4,16,16,1",
    )  # fmt: skip
    table.write_text("layer,MACs_million,rows,cols,cycles\n" + "\n".join(rows) + "\n")
    result = validate("draco", table=table)
    status = {c.id: (c.got, c.status) for c in result.cases if c.reason is None}
    assert status == {
        "conv2_dw": (10752, "pass"), "conv4_pw": (458752, "pass"), "conv1": (64512, "pass"),
    }  # fmt: skip
    reasons = [c.reason for c in result.cases if c.reason]
    assert reasons[0].startswith("mobilenet-v1 has no layer conv99: it has conv1, conv2_dw,")
    assert reasons[1] == "conv2_dw of mobilenet-v1 has 3.61267 million MACs, not 4"


@pytest.mark.parametrize("name", EYERISS)
def test_elements_at_work_on_alexnet_are_those_of_eyeriss(name):
    (op,) = layer("eyeriss", name, 4).ops
    active, time_ms = EYERISS[name]
    at_work = op["macs"] / op["compute_cycles"]
    # the paper counts elements that a set is given; its last pass over 55 rows leaves some idle
    assert at_work == pytest.approx(active * 55 / 56 if name == "conv1" else active)
    # the chip also ramps up, loads filters and waits: 4 to 16 % more than its array needs
    assert 0.83 < op["compute_cycles"] / 200e3 / time_ms < 0.97


@pytest.mark.parametrize("name", ENERGY)
def test_energy_by_level_is_near_the_published_split(name):
    hardware = load_yaml(find("draco-16", "configs")).data
    report = layer(hardware, name, 16)
    (op,), counts = report.ops, report.result["counts"]
    words = sum(op[f"dram_{t}_bytes"] for t in ("in", "weight", "out", "partial")) / 2
    registers = (counts["register.read"] + counts["register.write"]) / 2
    alu, dram, held = ENERGY[name]
    assert op["macs"] / 1e9 == pytest.approx(alu, abs=0.01)
    # other tiles, and inputs that leave registers between neighbouring pixels come back
    assert 0.6 < 200 * words / 1e9 / dram < 1.3
    assert 1.0 <= registers / 1e9 / held < 1.45
