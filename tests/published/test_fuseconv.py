"""Are cycles and speed-ups of one-dimensional convolutions those that FuSeConv printed?"""

import pytest

import archsim
from archsim.validation import validate

# array cycles of the plain networks on 64 x 64 cells, of which depthwise convolutions: the closed
# form K + r + c - 1 of the authors' analyticalLatencyModel.py, layer by layer
PLAIN = {
    "mobilenet-v1": (2_521_760, 2_233_024),
    "mobilenet-v2": (2_961_936, 2_660_672),
    "mnasnet-b1": (2_735_928, 2_456_024),
}


def test_every_speedup_of_the_table_is_inside_its_tolerance():
    result = validate("fuseconv")
    assert result.rows == 25
    assert result.passed, [c for c in result.cases if c.status != "pass"]
    assert result.metrics()["speedup"]["mape_pct"] < 0.6
    cut = [c for c in result.cases if c.metric == "params_million"]
    assert [int(100 * c.got + 1e-6) for c in cut] == [round(100 * c.want) for c in cut]


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_network_takes_the_cycles_of_the_closed_form(name):
    workload = {"schema": "archsim.workload/1", "name": name, "model": {"preset": name}}
    ops = archsim.run("fuseconv-64", workload, fidelity="analytic", advice=False).ops
    cycles = {op["op"]: op["compute_cycles"] for op in ops if op["op_class"] in ("conv", "fc")}
    depthwise = sum(n for path, n in cycles.items() if path.endswith("/depthwise"))
    assert (sum(cycles.values()), depthwise) == PLAIN[name]


def test_what_no_variant_is_named_is_unsupported(tmp_path):
    table = tmp_path / "own.csv"
    rows = "MobileNet-V1,Quarter,1,1", "LeNet,Full,1,1"
    table.write_text("network,variant,params_million,speedup\n" + "\n".join(rows) + "\n")
    result = validate("fuseconv", table=table)
    reasons = {c.reason for c in result.cases}
    assert len(result.cases) == 4
    assert {c.status for c in result.cases} == {"unsupported"}
    assert reasons == {
        'column variant expects one of baseline, Full, Half, Full-50, Half-50, got "Quarter"',
        "column network expects one of MobileNet-V1, MobileNet-V2, MnasNet-B1, MobileNet-V3-Small, "
        'MobileNet-V3-Large, got "LeNet"',
    }
