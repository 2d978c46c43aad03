"""Is the generated part of the documentation what the code says now?"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = (
    "docs/reference/cli.md",
    "docs/reference/hardware.md",
    "docs/reference/workload.md",
    "docs/reference/composition.md",
    "docs/reference/serving.md",
    "docs/reference/explore.md",
    "docs/reference/gym.md",
    "schemas/hardware.v1.json",
    "schemas/workload.v1.json",
    "schemas/composition.v1.json",
    "schemas/serving.v1.json",
    "schemas/explore.v1.json",
    "schemas/gym.v1.json",
)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("refresh", Path(__file__).parent / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, str] = module.pages()
    return found


@pytest.mark.parametrize("path", GENERATED)
def test_the_committed_page_is_the_generated_one(pages: dict[str, str], path: str) -> None:
    assert (ROOT / path).read_text() == pages[path], "run `make docs`"


def test_no_page_is_left_out(pages: dict[str, str]) -> None:
    assert sorted(pages) == sorted(GENERATED)


def test_every_key_of_a_description_says_what_it_means(pages: dict[str, str]) -> None:
    for path in (page for page in GENERATED if page.endswith(".md") and "cli" not in page):
        silent = [
            line
            for line in pages[path].splitlines()
            if line.startswith("| `") and line.endswith("|  |") and "`kind`" not in line
        ]
        assert silent == []
