"""Does `explain --sensitivity` name what a machine was starved of, and does its change come true?

Five machines, each short of one thing by construction; the changed one is run from scratch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from archsim.core.yamlio import dump_yaml
from archsim.dse.resources import resources
from archsim.dse.sensitivity import sensitivity
from archsim.report.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Archsim = Callable[..., Done]

MODEL = {
    "architecture": "transformer", "layers": 1, "hidden": 128, "heads": 4, "kv_heads": 4,
    "head_dim": 32, "ffn": 512, "ffn_matrices": 2, "activation": "gelu_tanh", "norm": "layer",
    "position": "none", "vocab": 512,
}  # fmt: skip
BLOCK = {"model": {"config": MODEL}, "phase": {"kind": "prefill", "batch": 1, "tokens": 64}}
SQUARE = {"model": {"layers": [{"name": "fc", "m": 1024, "n": 1024, "k": 1024}]}}
THIN = {"model": {"layers": [{"name": "fc", "m": 8, "n": 2048, "k": 2048}]}}
ASKED = {
    "memory.hbm.bandwidth", "memory.sram.capacity", "engines.vector.lanes", "engines.*.launch",
    "interconnect.node.bandwidth",
}  # fmt: skip
# machine, workload, overrides that starve it, and the resource to blame
FIVE: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str]] = {
    "starved hbm": ("npu", THIN, ("memory.hbm.bandwidth=9 GB/s",), "memory.hbm.bandwidth"),
    "tiny sram": (
        "npu", SQUARE, ("memory.sram.capacity=256 KiB", "memory.hbm.bandwidth=100 GB/s"),
        "memory.sram.capacity",
    ),
    "slow vector unit": ("npu", BLOCK, ("engines.vector.lanes=2",), "engines.vector.lanes"),
    "narrow link": (
        "gpu-hbm3-4", BLOCK, ("interconnect.node.bandwidth=200 MB/s",),
        "interconnect.node.bandwidth",
    ),
    "launch-bound": (
        "npu", THIN, ("engines.array.launch=9 ms", "engines.vector.launch=9 ms"),
        "engines.*.launch",
    ),
}  # fmt: skip


def run(archsim: Archsim, case: str, folder: str, *more: str, fidelity: str = "tile") -> Any:
    """The result of a machine of the table with more settings, simulated from scratch."""
    machine, workload, starved, _ = FIVE[case]
    text = {"schema": "archsim.workload/1", "name": "small", **workload}
    Path("small.yaml").write_text(dump_yaml(text))
    flags = [flag for setting in (*starved, *more) for flag in ("--set", setting)]
    done = archsim(
        "run", machine, "small.yaml", "--fidelity", fidelity, "-o", folder, "-q", "--force", *flags
    )
    assert done.status == 0, done.stderr
    return json.loads((Path(folder) / "result.json").read_text())


@pytest.mark.parametrize("case", FIVE)
def test_the_starved_resource_is_named_and_the_cheapest_change_gains_what_is_said(
    archsim: Archsim, case: str
) -> None:
    before = run(archsim, case, "before")
    report = read_run("before")
    known = [one for one in resources(report.resolved["hardware"]) if one.name in ASKED]
    found = sensitivity(report, among=known)
    by, change = found["bounded_by"], found["changes"][0]
    assert by["resource"] == FIVE[case][3]
    assert by["relieves"] == next(iter(before["stalls"]))  # what the verdict names
    assert change["resources"] == [FIVE[case][3]]
    assert change["gain"] >= 1.1
    after = run(archsim, case, "after", *change["set"])
    assert before["time_ps"] / after["time_ps"] == pytest.approx(change["gain"], rel=1e-9)
    assert after["metrics"]["area_mm2"]["total"] - before["metrics"]["area_mm2"][
        "total"
    ] == pytest.approx(change["added_mm2"])


def test_the_page_shows_bars_causes_changes_and_levels_and_keeps_them(archsim: Archsim) -> None:
    result = run(archsim, "launch-bound", "runs/mine", fidelity="analytic")
    done = archsim("explain", "runs/mine", "--sensitivity", "--workers", "1")
    assert done.status == 0, done.stderr
    share = round(100 * result["stalls"]["kernel_launch"])
    assert "What bounds it: engines.*.launch, now 9 ms (time elasticity 1.00" in done.stdout
    assert f"kernel_launch is {share} % of the time)." in " ".join(done.stdout.split())
    bar = next(line for line in done.stdout.splitlines() if line.endswith("engines.*.launch 9 ms"))
    assert bar.split()[:5] == ["-20.0", "%", "+20.0", "%", "━━━━━│━━━━━"]
    assert "Cheapest first  costs" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[-2:]] == ["bound", "analytic"]
    kept = json.loads(Path("runs/mine/sensitivity.json").read_text())
    assert kept["key"] == result["key"]
    assert kept["rows"][0]["resource"] == "engines.*.launch"
    path, _, value = kept["changes"][0]["set"][0].partition("=")
    assert f"--set {path}='{value}'" in done.stdout
    run(archsim, "launch-bound", "runs/mine", "engines.array.count=4", fidelity="analytic")
    assert not Path("runs/mine/sensitivity.json").exists()  # it was of the run before
