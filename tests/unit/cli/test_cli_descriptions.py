"""Do `check` and `show` read files of what is served, alone and with a machine?"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

SERVING = """\
schema: archsim.serving/1
name: t
model: gpt2-small
batch: 4
lengths: {kind: fixed, prompt_tokens: 16, output_tokens: 8}
stages: 16
start: even
provenance: {batch: assumed}
"""


@pytest.fixture
def file() -> str:
    Path("s.yaml").write_text(SERVING)
    return "s.yaml"


def test_files_of_each_kind_are_told_apart(archsim, file):
    done = archsim("check", file, "samba-coe", "--set", "composition.requests.batch=4")
    assert done.status == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows == [["s.yaml", "serving", "t"], ["samba-coe", "composition", "samba-coe"]]


def test_a_batch_is_tried_on_a_machine(archsim, file):
    sets = ("--set", "serving.batch=9", "--set", "memory.hbm.capacity=243 MiB")
    done = archsim("check", "npu", file, *sets)
    assert done.status == 5
    assert "error[E401]: a batch of 9 does not fit: the machine holds " in done.stderr
    sets = ("--set", "dispatch=[{ops: moe_expert, run_on: array}]", *sets[2:])
    done = archsim("check", "npu", file, *sets)
    assert done.stderr == "warning: W204 dispatch[0] never matched an op of t\n"


def test_overrides_that_reach_no_file_are_refused(archsim, file):
    done = archsim("check", "npu", "--set", "serving.batch=2")
    assert done.status == 3
    assert done.stderr == (
        "--set serving.batch=2: error[E601]: no serving among the files that it could change\n"
    )
    assert archsim("check", file, "--set", "workload.parallel.tensor=1").status == 0


def test_show_prints_a_description_that_loads_again(archsim, file):
    text = archsim("show", file, "--set", "serving.batch=8").stdout
    assert text.startswith("t\n\nmodel: gpt2-small\nbatch: 8\n")
    assert text.endswith("Provenance\nbatch  assumed\n")
    Path("again.yaml").write_text(archsim("show", file, "--format", "yaml").stdout)
    assert yaml.safe_load(Path("again.yaml").read_text())["name"] == "t"
    assert archsim("check", "again.yaml").status == 0
    assert archsim("show", "samba-coe").stdout.startswith("samba-coe: 150 experts")
    done = archsim("show", file, "--batch", "3")
    assert done.status == 2
    assert "a serving file has no phase" in done.stderr


def test_a_template_of_a_batch_is_served_as_it_is_written(archsim):
    assert archsim("new", "serving", "mine").stderr == "next: archsim serve h100 mine.yaml\n"
    done = archsim("check", "h100", "mine.yaml")
    assert (done.status, done.stderr) == (0, "")


def test_what_is_served_is_no_workload_and_no_run(archsim, file):
    done = archsim("run", "npu", "mixtral-closed-loop")
    assert done.stderr == (
        "error[E003]: mixtral-closed-loop is no workload but a description of many\n"
        "      = help: archsim serve HARDWARE mixtral-closed-loop\n"
    )
    archsim("serve", "npu", file, "--fidelity", "analytic", "-o", "there")
    done = archsim("explain", "there")
    assert done.stderr == (
        "error[E003]: there is not the folder of a run: its result is archsim.served/1\n"
        "      = help: archsim run writes one with -o\n"
    )
