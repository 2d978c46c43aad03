"""What people read when a workload of several networks is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.core.errors import InputError
from archsim.lowering.spec import load_workload

HEAD = "schema: archsim.workload/1\nname: two\nmodel:\n  networks:\n"


@pytest.mark.parametrize(
    ("lines", "place", "message", "help_text"),
    [
        (
            "    a: resnet-50-infer\n", "5:5",
            "several networks are two or more", "one is a `preset:`",
        ),
        (
            "    a: resnet-50-infer\n    b: resnet-51-infer\n", "6:8",
            'network b: no file, no shipped workload and no model "resnet-51-infer"',
            'did you mean "resnet-50-infer"?',
        ),
        (
            "    a: resnet-50-infer\n    b.c: resnet-50-infer\n", "6:10",
            'network "b.c" is no name: letters, digits, _ and - only', None,
        ),
        (
            "    a: resnet-50-infer\n    b: bert-base\n", "6:8", "network b needs a phase",
            "write the workload out, with `phase:`",
        ),
        (
            "    a: resnet-50-infer\n    b: edge-vision\n", "6:8",
            "network b is several networks itself", None,
        ),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_read_is_shown_where_it_is_named(
    tmp_path: Path, lines: str, place: str, message: str, help_text: str | None
) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(HEAD + lines)
    with pytest.raises(InputError) as caught:
        load_workload(file)
    found = caught.value.diagnostics[0]
    assert (f"{found.line}:{found.column}", found.message, found.help) == (
        place, message, help_text,
    )  # fmt: skip


def test_a_batch_is_that_of_each_network() -> None:
    with pytest.raises(InputError) as caught:
        load_workload("edge-vision", batch=4)
    assert "networks that run at once have a batch each" in caught.value.render()


@pytest.mark.parametrize("setting", ["dtypes.weights=int4", "sparsity={weights: [{density: 0.5}]}"])
def test_options_beside_networks_are_refused(setting: str) -> None:
    key = setting.partition(".")[0].partition("=")[0]
    with pytest.raises(InputError) as caught:
        load_workload("edge-vision", set_=[f"workload.{setting}"])
    assert caught.value.message == f"{key} has no effect here: each network has its own"
