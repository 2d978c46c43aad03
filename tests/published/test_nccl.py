"""Are measured collectives inside a node of GPUs met within their tolerance?"""

import pytest

from archsim.validation import validate
from archsim.validation.adapters.nccl import PATTERNS, Nccl
from archsim.validation.suite import HERE, load_suite, read_table

EVERY = 6  # of the rows: the whole table is run by `archsim validate`


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    lines = (HERE / "tables" / load_suite("nccl").table).read_text().splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    path = tmp_path_factory.mktemp("nccl") / "rows.csv"
    path.write_text("\n".join([rows[0], *rows[1::EVERY]]) + "\n")
    return validate("nccl", path)


def row(gpu="H100-SXM", collective="all_reduce", num_gpus=8, message_elements=1 << 27):
    return {
        "gpu": gpu, "collective": collective, "num_gpus": str(num_gpus),
        "message_elements": str(message_elements),
    }  # fmt: skip


def us(**more):
    return Nccl().run(row(**more))["latency_us"]


def test_measured_collectives_are_met_and_better_than_by_a_fitted_roofline(sample):
    assert sample.passed, [c for c in sample.cases if c.status != "pass"][:5]
    metrics = sample.metrics()
    for gpu in ("A100", "H100"):
        for pattern in set(PATTERNS.values()):
            found = metrics[f"latency_us.{gpu}.{pattern}"]
            assert found["beats_scaled_roofline"], (gpu, pattern, found)
        assert abs(metrics[f"latency_us.{gpu}"]["bias_pct"]) < 5


def test_every_row_has_a_machine_a_pattern_and_a_size_class():
    for each in read_table(HERE / "tables" / load_suite("nccl").table):
        gpu, by_pattern, by_size, both = Nccl().beside(each).groups
        assert by_pattern.startswith(gpu)
        assert both == f"{by_pattern}.{by_size.removeprefix(gpu + '.')}"


def test_the_switch_of_eight_h100_adds_up_long_buffers():
    # the measured 1087.61 us are 0.96 of the link by the bytes of a ring
    assert us() == pytest.approx(1087.61, rel=0.02)
    plain = Nccl(("interconnect.node.reduces=false",)).run(row())["latency_us"]
    assert plain > 1.25 * us()
    assert us(num_gpus=2) < us(num_gpus=4)


def test_nodes_known_by_datasheets_alone_are_predicted():
    assert us(gpu="H200-SXM") == us()
    assert us(gpu="B200-SXM") < us()


def test_a_collective_or_gpu_that_is_not_shipped_is_unsupported(tmp_path):
    path = tmp_path / "other.csv"
    rows = [row(gpu="L40S"), row(collective="barrier"), row(num_gpus=1)]
    lines = [",".join([*each.values(), "10"]) for each in rows]
    path.write_text("\n".join([",".join([*rows[0], "latency_us"]), *lines]) + "\n")
    result = validate("nccl", path)
    assert (result.unsupported, result.passed) == (3, False)


def test_four_a100_joined_in_pairs_meet_an_all_reduce_measured_elsewhere():
    from archsim.api import run

    # LLMCompass at 2e015fd2, figure 5h: bytes and microseconds on four A100
    measured = {1024: 13.02, 1 << 20: 60.75, 1 << 26: 532.3, 1 << 30: 7219.2}
    for size, want in measured.items():
        line = {"kind": "collective", "name": "x", "pattern": "all_reduce", "devices": 4,
                "elements": size // 2}  # fmt: skip
        report = run("a100x4", {
            "schema": "archsim.workload/1", "name": "x",
            "model": {"config": {"architecture": "graph", "ops": [line]}},
            "dtypes": {"weights": "fp16", "activations": "fp16"}, "parallel": {"tensor": 4},
        }, fidelity="tile")  # fmt: skip
        assert report.result["time_ps"] / 1e6 == pytest.approx(want, rel=0.25)


@pytest.mark.parametrize(
    ("node", "chip"),
    [("a100x4", "a100"), ("a100x8", "a100"), ("h100x8", "h100"), ("h200x8", "h200"),
     ("b200x8", "b200")],
)  # fmt: skip
def test_the_chips_of_a_shipped_node_are_the_shipped_chip(node, chip):
    from archsim.system.spec import load_hardware

    whole, alone = (load_hardware(name)[0].to_data() for name in (node, chip))
    assert whole["interconnect"].pop("node")
    own = {key for key in whole["provenance"] if key.startswith("interconnect.node")}
    whole["provenance"] = {k: v for k, v in whole["provenance"].items() if k not in own}
    for text in ("name", "description"):
        assert whole.pop(text) != alone.pop(text)
    assert whole == alone
