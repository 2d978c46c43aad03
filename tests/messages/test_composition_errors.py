"""Is the error helpful when a composition cannot be served as described?"""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.core.errors import ArchsimError
from archsim.serving.compose import compose

FILE = """\
schema: archsim.composition/1
name: t
experts:
  - {name: chat, model: gpt2-small, count: 3}
  - {name: code, model: gpt2-medium}
requests: {count: 8, prompt_tokens: 16, output_tokens: 2, mix: {kind: uniform}}
"""
CASES = {
    "no requests": (
        ("npu-host", "count: 8", "count: 0"), (),
        "c.yaml:6:19: error[E107]: requests.count must be greater than 0, got 0\n"
        "    6 | requests: {count: 0, prompt_tokens: 16, output_tokens: 2, mix: {kind: uniform}}\n"
        "      |                   ^",
    ),
    "no experts": (
        ("npu-host", FILE[FILE.index("experts:"):FILE.index("requests")], "experts: []\n"), (),
        "c.yaml:3:10: error[E107]: an empty list says nothing to run\n"
        "    3 | experts: []\n"
        "      |          ^",
    ),
    "two of a name": (
        ("npu-host", "name: code", "name: chat-1"), (),
        'c.yaml:1:1: error[E202]: two experts are named "chat-1"\n'
        "    1 | schema: archsim.composition/1\n"
        "      | ^\n"
        "      = help: give each its own name",
    ),
    "unknown model": (
        ("npu-host", "gpt2-medium", "gpt2-mediun"), (),
        'c.yaml:5:25: error[E201]: no model and no file is named "gpt2-mediun"\n'
        "    5 |   - {name: code, model: gpt2-mediun}\n"
        "      |                         ^^^^^^^^^^^\n"
        '      = help: did you mean "gpt2-medium"?',
    ),
    "unknown mix": (
        ("npu-host", "uniform", "zipff"), (),
        'c.yaml:6:71: error[E108]: kind "zipff" is not one of trace, uniform, zipf\n'
        "    6 | requests: {count: 8, prompt_tokens: 16, output_tokens: 2, mix: {kind: zipff}}\n"
        "      |                                                                       ^^^^^\n"
        '      = help: did you mean "zipf"?',
    ),
    "unknown expert in a trace": (
        ("npu-host", "{kind: uniform}", "{kind: trace, file: asked.txt}"), (),
        'asked.txt:3:1: error[E201]: no expert is named "chat-9"\n'
        "    3 | chat-9  # gone\n"
        "      | ^^^^^^\n"
        '      = help: did you mean "chat-2"?',
    ),
    "a trace of nobody": (
        ("npu-host", "{kind: uniform}", "{kind: trace, file: empty.txt}"), (),
        'c.yaml:6:84: error[E102]: trace "empty.txt" names no expert\n'
        "    6 | requests: {count: 8, prompt_tokens: 16, output_tokens: 2, mix: {kind: trace, "
        "file: empty.txt}}\n"
        "      | " + " " * 83 + "^^^^^^^^^",
    ),
    "a trace that is not there": (
        ("npu-host", "{kind: uniform}", "{kind: trace, file: none.txt}"), (),
        'c.yaml:6:84: error[E003]: trace "none.txt" cannot be read: No such file or directory\n'
        "    6 | requests: {count: 8, prompt_tokens: 16, output_tokens: 2, mix: {kind: trace, "
        "file: none.txt}}\n"
        "      | " + " " * 83 + "^^^^^^^^",
    ),
    "an expert beyond the nearest memory": (
        ("npu-host", "", ""), ("memory.hbm.capacity=512 MiB",),
        "error[E401]: gpt2-medium does not run from hbm alone: it takes 678.37 MiB, "
        "hbm holds 512.00 MiB: short by 166.37 MiB\n"
        "      = help: narrower weights, a smaller batch, or more devices",
    ),
    "an expert beside the router": (
        ("npu-host", "experts:", "router: {model: gpt2-medium}\nexperts:"),
        ("memory.hbm.capacity=1 GiB",),
        "error[E401]: expert code takes 676.77 MiB of the device, where hbm has 345.54 MiB left of "
        "1.00 GiB\n"
        "      = help: the router takes 676.77 MiB, passes at work 1.69 MiB; more devices or "
        "smaller weights leave more",
    ),
    "no memory behind": (
        ("npu", "", ""), ("memory.hbm.capacity=1 GiB",),
        "error[E401]: 4 experts take 1.36 GiB of the device, hbm has 1022.31 MiB for them, and no "
        "memory lies behind it\n"
        "      = help: add a memory with a dma from it to hbm, or more devices",
    ),
    "too little memory behind": (
        ("npu-host", "", ""), ("memory.hbm.capacity=1 GiB", "memory.host.capacity=1 GiB"),
        "error[E401]: 4 experts take 1.36 GiB of the device, and host holds 1.00 GiB\n"
        "      = help: --set memory.host.capacity=..., or more devices",
    ),
    "unlike shares": (
        ("npu-host", "requests:", "parallel: {pipeline: 2}\nrequests:"),
        ("interconnect.node={kind: switch, devices: 2, bandwidth: 100 GB/s, latency: 1 us}",),
        "error[E203]: the plan gives devices 2 different shares of gpt2-small\n"
        "      = help: compositions are of models that all devices share alike: parallel.tensor",
    ),
    "a setting out of bounds": (
        ("npu-host", "", ""), ("composition.requests.batch=0",),
        "--set composition.requests.batch=0: error[E107]: requests.batch must be greater than 0, "
        "got 0",
    ),
    "a setting that is none": (
        ("npu-host", "", ""), ("composition.requests.bach=2",),
        "--set composition.requests.bach=2: error[E601]: no such setting\n"
        '      = help: did you mean `composition.requests.batch`?',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_error_says_where_what_and_what_to_do(
    case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine, old, new), sets, text = case
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(FILE.replace(old, new, 1) if old else FILE)
    Path("asked.txt").write_text("chat-0\n\nchat-9  # gone\n")
    Path("empty.txt").write_text("# nobody\n")
    with pytest.raises(ArchsimError) as caught:
        compose(machine, "c.yaml", set_=sets)
    assert caught.value.render() == text
