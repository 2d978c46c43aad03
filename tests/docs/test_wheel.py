"""Does the package work away from its repository, with what the wheel carries?"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, unpacked into a folder of its own."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_the_wheel_carries_machines_models_tables_and_the_typing_mark(site: Path) -> None:
    for name in (
        "_data/configs/npu.yaml",
        "_data/workloads/models/llama-3-8b.yaml",
        "energy/tables/7nm.yaml",
        "memory/standards/HBM2_2.0Gbps.yaml",
        "validation/tables/scalesim_reference.csv",
        "py.typed",
    ):
        assert (site / "archsim" / name).is_file(), name


def test_a_run_works_from_an_empty_folder_with_the_wheel_alone(site: Path, tmp_path: Path) -> None:
    code = "import archsim.cli as c; print(c.__file__); c.main(['run','npu','gpt2-small-prefill'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    assert (tmp_path / "runs").is_dir()
