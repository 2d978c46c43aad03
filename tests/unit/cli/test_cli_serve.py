"""Does `serve` print what a batch does in every form, and write its stages?"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

FILE = """\
schema: archsim.serving/1
name: t
model: gpt2-small
batch: 4
lengths: {kind: fixed, prompt_tokens: 16, output_tokens: 8}
stages: 40
start: even
"""


@pytest.fixture
def served(archsim):
    Path("s.yaml").write_text(FILE)
    return lambda *flags: archsim("serve", "h100", "s.yaml", "--fidelity", "analytic", *flags)


def test_the_text_begins_with_the_answer_and_fits_a_pipe(served):
    done = served("--sample", "20")
    lines = done.stdout.splitlines()
    assert lines[0] == "t on h100: gpt2-small, batch 4, fidelity analytic"
    assert " tokens/s; a request gets one every " in lines[2]
    assert max(map(len, lines)) <= 80
    for title in ("in ms", "rate", "busy", "40 stages, 20 with a prompt (50.0%;", "Largest batch"):
        assert any(line.startswith(title) for line in lines)
    assert sum("standard error" in line for line in lines) == 4
    assert done.stderr.splitlines()[-1].startswith("stage 2 of 2, ")


def test_a_folder_holds_the_result_and_every_stage(served):
    done = served("--fit", "20", "--format", "json", "-o", "there")
    data = json.loads(done.stdout)
    assert data == json.loads(Path("there/result.json").read_text())
    assert data["schema"] == "archsim.served/1"
    rows = list(csv.DictReader(Path("there/stages.csv").read_text().splitlines()))
    assert len(rows) == 40
    assert sum(int(row["decoding"]) + int(row["prompts"]) for row in rows) == 160
    assert sum(row["simulated"] == "True" for row in rows) == data["stages"]["simulated"] == 20
    assert served("-o", "there").status == 2


def test_an_interrupted_run_says_what_it_knows_and_ends_as_one(served, monkeypatch):
    from archsim.serving.stages import Stages

    run = Stages._run

    def stop(self, works, many):
        yield next(run(self, works, many))
        raise KeyboardInterrupt

    monkeypatch.setattr(Stages, "_run", stop)
    done = served()
    assert done.status == 130
    assert "Interrupted: this is what the stages known so far say." in done.stdout
