"""`archsim doctor`: is this machine ready? Python, cores, memory, libraries, cache, a self-test."""

from typing import Any

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim doctor",
    "archsim doctor --format json",
)


def command(fmt: o.TableOrJson = "table") -> None:
    """Check this installation and run a short self-test."""
    from archsim.cli import _health
    from archsim.core.errors import EXIT_FAULT

    found: list[dict[str, Any]] = [check.to_dict() for check in _health.examine()]
    if fmt == "json":
        out.result(out.json_text(found))
    else:
        out.result(out.table_text([(c["status"], c["what"], c["found"]) for c in found]))
    if any(c["status"] == "fail" for c in found):
        raise typer.Exit(EXIT_FAULT)
