"""Is the error helpful? Machines of several chips, plans that do not fit them, shares too large."""

from textwrap import dedent

import pytest

import archsim
from archsim.core.errors import ArchsimError

NODE = "  node: {kind: switch, devices: 8, bandwidth: 45 GB/s, latency: 1 us}\n"
PLAN = "parallel: {tensor: 8}\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(network="", plan="", extra="", status=3):
    with open("m.yaml", "w") as file:
        links = f"interconnect:\n{network}" if network else ""
        file.write(f"extends: npu\nname: m\n{links}{extra}")
    with open("w.yaml", "w") as file:
        file.write(
            "schema: archsim.workload/1\nname: w\nmodel: {preset: gpt2-small}\n"
            f"phase: {{kind: decode, batch: 8, context: 64}}\n{plan}"
        )
    with pytest.raises(ArchsimError) as caught:
        archsim.run("m.yaml", "w.yaml", fidelity="analytic")
    assert caught.value.exit_code == status
    return caught.value.render()


def says(text):
    return dedent(text).strip("\n")


def test_e203_a_plan_for_a_machine_of_one_device():
    assert refused(plan=PLAN) == says("""
        w.yaml:5:11: error[E203]: parallel divides the work over 8 devices, and m is one device
            5 | parallel: {tensor: 8}
              |           ^
              = help: add a network between chips under interconnect, such as {kind: switch, devices: 8, ...}, or leave parallel out
        """)  # noqa: E501


def test_e203_a_plan_of_more_devices_than_there_are_is_placed_in_the_workload():
    assert refused(NODE, "parallel: {tensor: 4}\n") == says("""
        w.yaml:5:20: error[E203]: the parallel plan takes 4 devices (tensor 4), and the machine has 8
            5 | parallel: {tensor: 4}
              |                    ^
              = help: the product of tensor, context, expert, data, pipeline must be 8, such as {tensor: 4, data: 2} or {tensor: 2, data: 4} or {data: 8}
        """)  # noqa: E501


def test_e202_a_network_that_joins_one_device():
    assert refused(NODE.replace("8", "1", 1)) == says("""
        m.yaml:4:9: error[E202]: interconnect.node joins 1 device, and a network joins two or more
            4 |   node: {kind: switch, devices: 1, bandwidth: 45 GB/s, latency: 1 us}
              |         ^
              = help: leave the network out for a machine of one device
        """)


def test_e202_two_networks_between_chips():
    assert refused(NODE + NODE.replace("node", "pods")) == says("""
        m.yaml:5:9: error[E202]: interconnect has 2 networks between chips: node, pods
            5 |   pods: {kind: switch, devices: 8, bandwidth: 45 GB/s, latency: 1 us}
              |         ^
              = help: levels of one are written as one network of kind hierarchical
        """)


def test_e401_says_whose_share_is_too_large():
    small = "memory: {hbm: {capacity: 10 MB}}\n"
    found = refused(NODE, "parallel: {tensor: 4, data: 2}\n", small, status=5)
    assert found.startswith("error[E401]: each of 8 devices: w needs ")
    staged = "parallel: {tensor: 4, pipeline: 2}\n"
    found = refused(NODE, staged, small, status=5)
    assert found.startswith("error[E401]: each of the 4 devices from 0 on (stage0): w ")


def test_e302_an_exchange_in_a_graph_for_one_device():
    line = {"kind": "collective", "name": "x", "pattern": "all_reduce", "devices": 2, "elements": 8}
    work = {"schema": "archsim.workload/1", "name": "w",
            "model": {"config": {"architecture": "graph", "ops": [line]}}}  # fmt: skip
    with pytest.raises(ArchsimError) as caught:
        archsim.run("npu", work)
    assert caught.value.render() == says("""
        error[E302]: ops/x is an exchange between devices, and npu is one device
              = help: add a network between chips under interconnect: see `archsim list links`
        """)


def test_w204_a_rule_that_sends_an_exchange_elsewhere_is_never_heard():
    rule = 'dispatch: [{ops: "*", run_on: array}, {ops: comm_tensor, run_on: array}]\n'
    with open("m.yaml", "w") as file:
        file.write(f"extends: npu\nname: m\ninterconnect:\n{NODE}{rule}")
    found = archsim.run(
        "m.yaml", "gpt2-small", phase="decode", batch=8, context=64, fidelity="analytic",
        set_=["workload.parallel={tensor: 4, data: 2}"], advice=False,
    )  # fmt: skip
    assert "W204 dispatch[1] never matched an op of this workload" in found.warnings
