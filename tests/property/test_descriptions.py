"""Does every description, however damaged, end in an answer or in a clear refusal?"""

import copy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archsim
from archsim.core.data import find
from archsim.core.yamlio import load_yaml
from archsim.testing.fuzz import damaged_data, damaged_text, refusal
from archsim.testing.fuzz import settings as override

MACHINE = load_yaml(find("npu", "configs")).data
TEXT = find("npu", "configs").read_text()
WORKLOAD = {
    "schema": "archsim.workload/1",
    "name": "tiny",
    "model": {"layers": [{"name": "a", "m": 8, "n": 16, "k": 32}]},
    "dtypes": {"weights": "bf16", "activations": "bf16", "kv_cache": "bf16"},
}
RELAXED = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def ends(hardware, workload, set_=()):
    """Run, and let anything through that is not an ArchsimError."""
    refusal(lambda: archsim.run(hardware, workload, set_=set_, advice=False))


@RELAXED
@given(damaged_data(MACHINE))
def test_a_damaged_machine_ends_in_an_answer_or_a_refusal(machine):
    ends(machine if isinstance(machine, dict) else {"schema": machine}, WORKLOAD)


@RELAXED
@given(text=damaged_text(TEXT))
def test_a_damaged_file_ends_in_an_answer_or_a_refusal(tmp_path, text):
    path = tmp_path / "machine.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    ends(str(path), WORKLOAD)


@RELAXED
@given(override(MACHINE))
def test_any_override_ends_in_an_answer_or_a_refusal(setting):
    ends(copy.deepcopy(MACHINE), WORKLOAD, [setting])


@RELAXED
@given(damaged_data(WORKLOAD))
def test_a_damaged_workload_ends_in_an_answer_or_a_refusal(workload):
    ends("npu", workload if isinstance(workload, dict) else {"schema": workload})


sizes = st.sampled_from([1, 2, 3, 7, 128, 1000])


@RELAXED
@given(
    rows=sizes, cols=sizes, count=sizes, lanes=sizes,
    capacity=st.sampled_from(["1 B", "1 KiB", "64 KiB", "1 GiB"]),
    bandwidth=st.sampled_from(["0 GB/s", "1 B/s", "1 GB/s", "1 EB/s", "3 B/cycle"]),
    clock=st.sampled_from(["0 Hz", "1 Hz", "333 MHz", "1 THz"]),
    latency=st.sampled_from(["0 s", "1 ps", "1 s"]),
)  # fmt: skip
def test_extreme_machines_end_in_an_answer_or_a_refusal(
    rows, cols, count, lanes, capacity, bandwidth, clock, latency
):
    machine = copy.deepcopy(MACHINE)
    machine["clocks"]["core"] = clock
    machine["engines"]["array"] |= {"rows": rows, "cols": cols, "count": count}
    machine["engines"]["vector"]["lanes"] = lanes
    machine["memory"]["sram"]["capacity"] = capacity
    machine["memory"]["hbm"] |= {"bandwidth": bandwidth, "latency": latency}
    ends(machine, WORKLOAD)
