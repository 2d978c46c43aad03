"""Do the templates run as they are written, and is nothing replaced unasked?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import archsim as package
from archsim.components.base import engines
from archsim.testing.contracts import EngineContract


@pytest.mark.parametrize(
    ("kind", "hardware", "workload"),
    [
        ("hardware", "mine.yaml", "llama-3-8b-decode"),
        ("workload", "npu", "mine.yaml"),
        ("model", "npu", "mine.yaml"),
    ],
)
def test_a_template_runs_as_it_is_written(archsim, kind, hardware, workload) -> None:
    done = archsim("new", kind, "mine")
    assert (done.status, done.stdout) == (0, "wrote mine.yaml\n")
    report = package.run(hardware, workload)
    assert "mine" in (report.result["inputs"][k]["name"] for k in ("hardware", "workload"))
    assert not report.result["warnings"]


def test_a_component_template_is_an_engine_that_passes_the_contract(archsim) -> None:
    assert archsim("new", "component", "my_engine").status == 0
    with engines.scanning(Path("my_engine")):
        contract = type("Mine", (EngineContract,), {"plugin": engines.get("my_engine")})()
        for promise in (n for n in dir(contract) if n.startswith("test_")):
            getattr(contract, promise)()
    assert 'my_engine = "my_engine:Engine"' in Path("my_engine/pyproject.toml").read_text()
    assert "archsim_plugin" not in " ".join(sys.modules)


def test_a_file_that_exists_is_replaced_only_by_force(archsim) -> None:
    archsim("new", "hardware", "mine")
    Path("mine.yaml").write_text("kept")
    done = archsim("new", "hardware", "mine")
    assert (done.status, Path("mine.yaml").read_text()) == (2, "kept")
    assert "mine.yaml exists; --force replaces it" in done.stderr
    assert archsim("new", "hardware", "mine", "--force").status == 0
    assert Path("mine.yaml").read_text() != "kept"


@pytest.mark.parametrize("name", ["1st", "a/b", "a b", ""])
def test_a_name_that_no_file_can_have_is_refused(archsim, name: str) -> None:
    assert archsim("new", "hardware", name).status == 2
