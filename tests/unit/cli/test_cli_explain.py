"""Does `explain` print an exchange and its settings as a person would write them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.cli._reasons import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Archsim = Callable[..., Done]

FOUND = {
    "metric": "m", "value": 1, "unit": "", "formula": "f", "parts": [], "ops": [],
    "rules": [{"rule": "mapping[0]", "line": 3, "says": {"ops": ["a", "b"], "keep": True}}],
    "settings": [
        {"path": "interconnect.net.options", "line": 7, "source": "", "value": {
            "step": "1 us", "orders": {"sum": ["ring", "tree"]}, "low": {"in": {"share": 0.2}},
        }},
        {"path": "interconnect.net.reduces", "line": 9, "source": "", "value": False},
    ],
}  # fmt: skip


def test_settings_within_settings_are_lines_of_their_own() -> None:
    assert (
        text(FOUND)
        == """\
m = 1
  = f

Rules that cover it; for each option the first wins
  mapping[0], line 3: ops: [a, b], keep: true

Settings, by line of config.resolved.yaml
    7  interconnect.net.options: step 1 us
       interconnect.net.options.orders: sum [ring, tree]
       interconnect.net.options.low.in: share 0.2
    9  interconnect.net.reduces: false"""
    )


def test_an_exchange_is_explained_by_the_network_and_by_no_mapping_rule(archsim: Archsim) -> None:
    plan = ("--set", "workload.parallel.tensor=8")
    assert archsim("run", "h100x8", "llama-3-8b-decode", *plan, "-o", "run").status == 0
    said = archsim("explain", "run", "layer/attn.out.all_reduce").stdout
    head = said.splitlines()[1]
    assert "; all_reduce over tensor (8 devices, ring): ring: 17." in head
    assert "\nRules that cover it" not in said
    assert "\nsize_bytes        128.00 KiB" in said
    assert "{" not in said
