"""Writes the generated part of the documentation: schemas, reference pages, README's transcript.

`make docs` runs it; a test compares what is committed with what it would write. The texts come from
the field docs of the specs and from the command line's own help, so there is nothing to keep up.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from archsim.cli import _app
from archsim.core.spec import json_schema
from archsim.dse.spec import ExploreSpec
from archsim.gym.spec import GymSpec
from archsim.lowering.spec import WorkloadSpec
from archsim.serving.batching import ServingSpec
from archsim.serving.composition import CompositionSpec
from archsim.system.spec import hardware_spec
from archsim.testing.notebooks import executed

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def pages() -> dict[str, str]:
    """Text of every generated file, by path from the root of the repository."""
    schemas = {
        "hardware": json_schema(hardware_spec()),
        "workload": json_schema(WorkloadSpec),
        "composition": json_schema(CompositionSpec),
        "serving": json_schema(ServingSpec),
        "explore": json_schema(ExploreSpec),
        "gym": json_schema(GymSpec),
    }
    found = {"docs/reference/cli.md": commands()}
    for kind, schema in schemas.items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        found[f"schemas/{kind}.v1.json"] = text + "\n"
        found[f"docs/reference/{kind}.md"] = manual(kind, schema)
    return found


def commands() -> str:
    """The help of the program and of each verb."""
    app = _app.build()
    parts = ["# Command line\n", "Generated from the program's help by `make docs`.\n"]
    for verb in ("", *_app.verbs()):
        name = f"archsim {verb}".strip()
        arguments = [verb, "--help"] if verb else ["--help"]
        text = CliRunner().invoke(app, arguments, prog_name="archsim").stdout.rstrip()
        parts.append(f"## {name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def manual(kind: str, schema: dict[str, Any]) -> str:
    """Every key of a file kind, part by part, with what its field docs say."""
    parts = [
        f"# {kind.capitalize()} files\n",
        "Generated from the fields of the description by `make docs`. Quantities are texts with a "
        "unit,\nsuch as `80 GiB` or `1.2 TB/s`.\n",
        *section("The file", schema, schema.get("$defs", {})),
    ]
    for name, part in schema.get("$defs", {}).items():
        if "properties" in part:
            parts += section(title_of(name), part, schema.get("$defs", {}))
    return "\n".join(parts)


def title_of(name: str) -> str:
    """Readable form of a schema's own name for a part: `memory.dram` for a kind of component."""
    path = name.removeprefix("archsim__").removesuffix("__Spec").split("__")
    return ".".join(path[:2])


def section(title: str, part: dict[str, Any], parts: dict[str, Any]) -> Iterator[str]:
    """One part of a file as a table of its keys."""
    yield f"## {title}\n"
    if part.get("description"):
        yield part["description"] + "\n"
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, field in part.get("properties", {}).items():
        needed = key in part.get("required", ())
        default = "needed" if needed else f"`{json.dumps(field['default'])}`" if (
            field.get("default") not in (None, "", {}, [])) else ""  # fmt: skip
        said = field.get("description") or parts.get(name_of(field), {}).get("description", "")
        meaning = " ".join(said.split()).replace("|", "\\|")
        rows.append(f"| `{key}` | {value_of(field)} | {default} | {meaning} |")
    yield "\n".join(rows) + "\n"


def name_of(field: dict[str, Any]) -> str:
    """The schema's own name of the part that a key holds, or nothing."""
    return str(field.get("$ref", "")).rpartition("/")[2]


def value_of(field: dict[str, Any]) -> str:
    """What a key takes, in a few words."""
    choices = field.get("anyOf") or field.get("oneOf")
    inner = field.get("additionalProperties")
    if choices:
        words = [value_of(c) for c in choices if c.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    if isinstance(inner, dict):
        return f"by name: {value_of(inner)}"
    if field.get("type") == "array":
        return f"list of {value_of(field.get('items', {}))}"
    return plain_value_of(field)


def plain_value_of(field: dict[str, Any]) -> str:
    """The same for a value that holds no others."""
    if "const" in field or "enum" in field:
        return ", ".join(f"`{word}`" for word in field.get("enum") or [field["const"]])
    if "examples" in field:
        return "such as " + " or ".join(f"`{e}`" for e in field["examples"])
    if "$ref" in field:
        return title_of(name_of(field))
    return str(field.get("type", "anything"))


def with_transcripts(text: str) -> str:
    """A document with the output of each `$ archsim` line in its console blocks made anew."""

    def again(block: re.Match[str]) -> str:
        arguments = shlex.split(block["line"])[1:]
        done = CliRunner().invoke(_app.build(), arguments, prog_name="archsim")
        return f"```console\n$ {block['line']}\n{done.stdout}```"

    shown = re.compile(r"```console\n\$ (?P<line>archsim .+)\n(?P<output>(?!\$|```)(.*\n)+?)```")
    return shown.sub(again, text)


def written() -> dict[str, str]:
    """Everything that `make docs` writes: the generated pages, and README's transcripts."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return {**pages(), "README.md": with_transcripts((ROOT / "README.md").read_text())}


def notebooks() -> dict[str, str]:
    """The example notebooks with their outputs made anew."""
    books = sorted((ROOT / "docs" / "examples").glob("*.ipynb"))
    return {str(path.relative_to(ROOT)): executed(path) for path in books}


if __name__ == "__main__":
    for path, text in {**written(), **notebooks()}.items():
        file = ROOT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text() if file.exists() else ""
        file.write_text(text)
        sys.stdout.write(f"{'same   ' if before == text else 'written'} {path}\n")
