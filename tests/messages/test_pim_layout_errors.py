"""Is the error helpful when matrices do not fit the banks that an engine inside them reads?"""

from __future__ import annotations

import pytest

import archsim
from archsim.core.errors import ArchsimError


def refused(batch, keys, capacity, monkeypatch, folder):
    monkeypatch.chdir(folder)
    with open("m.yaml", "w") as file:
        file.write(
            "extends: duplex-1\nname: m\n"
            f"memory: {{hbm: {{stacks: 1, capacity: {capacity}}}}}\n"
            f"layout: {{inside: {{weights: null, keys: {keys}}}}}\n"
            "dispatch: [{ops: attention, run_on: pim}]\n"
        )
    work = {
        "schema": "archsim.workload/1", "name": "w", "model": {"preset": "gpt2-small"},
        "phase": {"kind": "decode", "batch": batch, "context": 1024},
    }  # fmt: skip
    with pytest.raises(ArchsimError) as caught:
        archsim.run("m.yaml", work, fidelity="analytic", advice=False)
    return caught.value.render()


def test_e401_a_layout_whose_padding_is_more_than_the_memory(tmp_path, monkeypatch):
    assert refused(256, "row", "16 GiB", monkeypatch, tmp_path) == (
        "m.yaml:4:18: error[E401]: w needs 40.76 GiB of hbm, 31.50 GiB of it padding of matrices "
        "that are read there; it holds 16.00 GiB\n"
        "    4 | layout: {inside: {weights: null, keys: row}}\n"
        "      |                  ^\n"
        "      = help: another layout, fewer ops inside it, a smaller batch, or "
        "--set memory.hbm.capacity=..."
    )


def test_e401_a_layout_that_does_not_fit_the_banks(tmp_path, monkeypatch):
    assert refused(12000, "row", "800 GiB", monkeypatch, tmp_path) == (
        "m.yaml:4:40: error[E401]: layer/attn.score on pim: the matrices take 576000 rows of each "
        "bank, padding included, and there are 65536\n"
        "    4 | layout: {inside: {weights: null, keys: row}}\n"
        "      |                                        ^^^\n"
        "      = help: layout: {inside: {keys: ...}} other than row, a smaller batch, or "
        "dispatch it to another engine"
    )


def test_e401_matrices_that_fit_the_banks_in_no_layout(tmp_path, monkeypatch):
    assert refused(120000, "null", "8 TiB", monkeypatch, tmp_path) == (
        "error[E401]: layer/attn.score on pim: the matrices take 5760000 rows of each bank, "
        "padding included, and there are 65536\n"
        "      = help: a smaller batch, or dispatch it to another engine"
    )
