"""Is the error helpful? Faults that say too much, too little, or of what is not there."""

from textwrap import dedent

import pytest

import archsim
from archsim.core.errors import ArchsimError

NODE = "interconnect:\n  node: {kind: torus, dims: [2, 4], bandwidth: 45 GB/s, latency: 1 us}\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(fault, node=NODE, status=3):
    with open("m.yaml", "w") as file:
        file.write(f"extends: npu\nname: m\n{node}faults:\n  - {fault}\n")
    with pytest.raises(ArchsimError) as caught:
        archsim.run("m.yaml", "gpt2-small", phase="decode", batch=8, context=64)
    assert caught.value.exit_code == status
    return caught.value.render()


CASES = {
    "{clock: 50 %}": """
        m.yaml:6:5: error[E202]: a fault is of a device or of a link
            6 |   - {clock: 50 %}
              |     ^
              = help: device: 3
        """,
    "{device: 1}": """
        m.yaml:6:5: error[E202]: a fault says what is slow, or that it is missing
            6 |   - {device: 1}
              |     ^
              = help: clock: 50 %, or missing: true
        """,
    "{device: 1, bandwidth: 50 %}": """
        m.yaml:6:5: error[E202]: a device has no bandwidth
            6 |   - {device: 1, bandwidth: 50 %}
              |     ^
              = help: memory_bandwidth: 50 %
        """,
    "{link: [0, 1], clock: 50 %}": """
        m.yaml:6:5: error[E202]: a link has no clock
            6 |   - {link: [0, 1], clock: 50 %}
              |     ^
              = help: bandwidth: 50 %
        """,
}


@pytest.mark.parametrize("fault", CASES)
def test_e202_a_fault_that_says_what_cannot_be(fault):
    assert refused(fault) == dedent(CASES[fault]).strip("\n")


def test_e201_a_link_that_the_network_does_not_have():
    expected = """
        m.yaml:6:12: error[E201]: faults[0].link is from 0 to 5, and node has no such link
            6 |   - {link: [0, 5], missing: true}
              |            ^
              = help: 0 is joined to 1, 2, 6
        """
    assert refused("{link: [0, 5], missing: true}") == dedent(expected).strip("\n")


def test_e201_a_device_that_the_network_does_not_have():
    expected = """
        m.yaml:6:14: error[E201]: faults[0].device is 8, and node has 8 devices
            6 |   - {device: 8, clock: 50 %}
              |              ^
              = help: devices are numbered from 0 to 7
        """
    assert refused("{device: 8, clock: 50 %}") == dedent(expected).strip("\n")


def test_e202_faults_of_a_lone_device():
    expected = """
        m.yaml:4:3: error[E202]: faults are of devices on a network, and m is one device
            4 |   - {device: 0, clock: 50 %}
              |   ^
              = help: add a network between chips under interconnect
        """
    assert refused("{device: 0, clock: 50 %}", node="") == dedent(expected).strip("\n")


def test_e401_a_job_that_a_missing_device_ends():
    expected = """
        m.yaml:6:26: error[E401]: the job does not survive: device 3 is missing, and the plan needs all 8
            6 |   - {device: 3, missing: true}
              |                          ^^^^
              = help: a network of the devices that are left, and a plan for as many
        """  # noqa: E501
    assert refused("{device: 3, missing: true}", status=5) == dedent(expected).strip("\n")


def test_e401_a_job_that_a_missing_link_ends():
    switch = (
        "interconnect:\n  node: {kind: switch, devices: 8, bandwidth: 45 GB/s, latency: 1 us}\n"
    )
    expected = """
        m.yaml:6:12: error[E401]: the job does not survive: without the missing links of node no way leads from device 0 to device 3
            6 |   - {link: [3, 8], missing: true}
              |            ^
              = help: a network with more than one way between any two devices
        """  # noqa: E501
    found = refused("{link: [3, 8], missing: true}", node=switch, status=5)
    assert found == dedent(expected).strip("\n")
