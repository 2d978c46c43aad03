"""Is the architecture as drawn? Imports point downward, files are small, habits are kept.

Reads the package's source with `ast`; nothing but the command line is imported. Run as a script
it prints the line ledger of `make size`.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    Import = tuple[int, str, tuple[str, ...]]

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "archsim"
BUDGET = 300  # lines of one file: more are two ideas

FLOORS = (
    {"core"},
    {"energy", "sim", "ir"},
    {"memory", "interconnect"},
    {"components", "dataflows", "lowering", "parallel"},
    {"report", "system"},
    {"api"},
    {"dse", "serving"},
    {"gym"},
    {"validation"},
    {"cli"},
)
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
UNPLACED = {"testing"}  # may import everything; nothing imports it

PLUGIN_ROOMS = (
    *("components", "memory", "interconnect", "dataflows", "validation/adapters", "cli"),
    *("dse/executors", "dse/samplers"),
    *("lowering/architectures", "lowering/hf", "lowering/transforms", "interconnect/collectives"),
)
LATE = {
    "matplotlib", "networkx", "numba", "numpy", "pandas", "pint", "pydantic", "simpy", "yaml",
}  # fmt: skip

SOURCES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.lru_cache(maxsize=2)  # the tests of a file follow each other; all trees are large
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def room_of(path: Path) -> str:
    """Top-level room of a file; the package's own front door has the empty name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


@functools.cache
def imports_of(path: Path) -> list[Import]:
    """Line, absolute module and imported names of every import in a file."""
    package = path.relative_to(ROOT).with_suffix("").parts
    found: list[Import] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found.append((node.lineno, module, tuple(alias.name for alias in node.names)))
    return found


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import of another room."""
    for line, module, names in imports_of(path):
        first, _, rest = module.partition(".")
        if first != "archsim":
            continue
        if rest:
            yield line, rest.split(".")[0]
        else:  # `from archsim import x`: x is a room, or a name of the front door
            yield from ((line, name) for name in names if name != "__version__")


def breach(own: str, other: str) -> bool:
    """True when a file of room `own` may not import room `other`."""
    if own in ("", *UNPLACED) or own == other:
        return other in UNPLACED and own not in UNPLACED
    return other not in FLOOR or FLOOR[other] >= FLOOR[own]


@functools.cache
def words_together(path: Path) -> list[tuple[int, set[object]]]:
    """Line and constants of every list, tuple or set in a file that has two or more of them."""
    found = [
        (node.lineno, {e.value for e in node.elts if isinstance(e, ast.Constant)})
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.List | ast.Tuple | ast.Set)
    ]
    return [(line, words) for line, words in found if len(words) > 1]


@pytest.fixture(params=SOURCES, ids=name_of, scope="module")  # of a module: file after file
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in SOURCES} - {""}
    assert rooms <= FLOOR.keys() | UNPLACED


def test_imports_point_downward_only(source: Path) -> None:
    own = room_of(source)
    wrong = [
        f"{name_of(source)}:{line}: {own or 'archsim'} may not import {other}"
        for line, other in rooms_imported(source)
        if breach(own, other)
    ]
    assert wrong == []


def test_the_import_rule_refuses_upward_and_sideways() -> None:
    assert breach("core", "ir")
    assert breach("ir", "sim")
    assert breach("report", "system")
    assert breach("api", "testing")
    assert breach("", "testing")
    assert not breach("components", "memory")
    assert not breach("cli", "core")
    assert not breach("testing", "cli")


def test_every_module_says_its_idea(source: Path) -> None:
    text = ast.get_docstring(tree_of(source)) or ""
    first = text.partition("\n\n")[0].replace("\n", " ")
    assert first.endswith((".", "?")), f"{name_of(source)}: no sentence of docstring"


def test_no_file_outgrows_one_idea(source: Path) -> None:
    lines = len(source.read_text().splitlines())
    assert lines <= BUDGET, f"{name_of(source)} has {lines} lines"


def test_nothing_prints_outside_the_command_line(source: Path) -> None:
    if room_of(source) == "cli":
        return
    found = [
        f"{name_of(source)}:{node.lineno}"
        for node in ast.walk(tree_of(source))
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"))
    ]
    assert found == []


def test_nothing_reads_the_environment(source: Path) -> None:
    words = {"environ", "environb", "getenv", "getenvb", "putenv"}
    found = [
        f"{name_of(source)}:{node.lineno}"
        for node in ast.walk(tree_of(source))
        if (isinstance(node, ast.Attribute) and node.attr in words)
        or (isinstance(node, ast.ImportFrom) and words & {a.name for a in node.names})
    ]
    assert found == []


def test_nothing_imports_a_star(source: Path) -> None:
    found = [line for line, _, names in imports_of(source) if "*" in names]
    assert found == []


def test_no_module_rebinds_a_global(source: Path) -> None:
    found = [n.lineno for n in ast.walk(tree_of(source)) if isinstance(n, ast.Global)]
    assert found == []


def test_nothing_is_left_for_later(source: Path) -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplemented\b")
    found = [n for n, text in enumerate(source.read_text().splitlines(), 1) if words.search(text)]
    assert found == []


def test_every_exemption_from_a_check_names_its_rule(source: Path) -> None:
    bare = re.compile(r"#\s*(noqa(?!: [A-Z])|type: ignore(?!\[))")
    found = [n for n, text in enumerate(source.read_text().splitlines(), 1) if bare.search(text)]
    assert found == []


@functools.cache
def plugin_modules(room: str) -> set[str]:
    """Dotted names of a room's plug-in files: public ones that are not its base."""
    found = {
        path
        for path in (PACKAGE / room).glob("*.py")
        if not path.name.startswith("_") and any(map(names_itself, tree_of(path).body))
    }
    return {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found}


def names_itself(node: ast.stmt) -> bool:
    """True for a class that sets `kind` to a word, and for a verb of the command line."""
    if isinstance(node, ast.FunctionDef):
        return node.name == "command"
    if not isinstance(node, ast.ClassDef):
        return False
    return any(
        isinstance(line, ast.Assign)
        and [ast.unparse(target) for target in line.targets] == ["kind"]
        and isinstance(line.value, ast.Constant)
        for line in node.body
    )


@pytest.mark.parametrize("room", PLUGIN_ROOMS)
def test_no_file_lists_the_plug_ins_of_a_room(room: str) -> None:
    plugins = plugin_modules(room)
    wrong = {}
    for path in SOURCES:
        named = set()
        for _, module, names in imports_of(path):
            named |= {module, *(f"{module}.{name}" for name in names)} & plugins
        if len(named) > 1:
            wrong[name_of(path)] = named
    assert wrong == {}


def kinds_of(room: str) -> set[str]:
    """The `kind` words that a room's plug-ins give themselves."""
    return {
        str(line.value.value)
        for path in (PACKAGE / room).glob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.Assign)
        and [ast.unparse(target) for target in line.targets] == ["kind"]
        and isinstance(line.value, ast.Constant)
    }


@pytest.mark.parametrize("room", PLUGIN_ROOMS)
def test_no_file_spells_out_the_kinds_of_a_room(room: str) -> None:
    kinds = kinds_of(room)
    wrong = [
        f"{name_of(path)}:{line}"
        for path in SOURCES
        for line, words in words_together(path)
        if len(kinds & words) > 1
    ]
    assert wrong == []


def test_every_room_with_plug_ins_has_some() -> None:
    empty = [room for room in PLUGIN_ROOMS if not plugin_modules(room)]
    assert empty == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    home = re.compile(r"(?<![\w./-])/(work|root|home|Users)/\w")
    wrong = [
        f"{name_of(path)}:{n}"
        for path in tracked()
        for n, text in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if home.search(text)
    ]
    assert wrong == []


def tracked() -> list[Path]:
    """Text files of the repository that are ours to write."""
    folders = ("archsim", "benchmarks", "configs", "docs", "schemas", "tests", "workloads")
    kinds = {".py", ".md", ".yaml", ".json", ".csv", ".toml"}
    found = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in kinds]
    top = [p for p in ROOT.iterdir() if p.suffix in kinds or p.name == "Makefile"]
    return sorted(p for p in found + top if p.is_file())


def loaded_by(code: str) -> set[str]:
    """Top-level modules in `sys.modules` after some code has run in a fresh Python."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n")[-2].split())


def test_importing_the_command_line_loads_no_late_library() -> None:
    assert loaded_by("import archsim.cli") & LATE == set()


def test_help_loads_only_typer_and_rich_beside_the_standard_library() -> None:
    code = (
        "import contextlib, io, archsim.cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    archsim.cli.main(['--help'])"
    )
    theirs = {"annotated_doc", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
    bare = loaded_by("pass") | set(sys.stdlib_module_names) | {"__main__"}
    assert loaded_by(code) - bare <= theirs | {"archsim"}


def ledger() -> Iterator[str]:
    """Lines of each file, marked when over budget, with the difference to main."""
    changed = subprocess.run(
        ["git", "diff", "--numstat", "main", "--", "archsim"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    ).stdout  # fmt: skip
    difference = {}
    for line in changed.splitlines():
        added, removed, name = line.split("\t")
        difference[name] = int(added) - int(removed) if added != "-" else 0
    total = 0
    for path in SOURCES:
        lines = len(path.read_text().splitlines())
        total += lines
        delta = f"{difference[name_of(path)]:+d}" if name_of(path) in difference else ""
        mark = "  over budget" if lines > BUDGET else ""
        yield f"{lines:6d} {delta:>6}  {name_of(path)}{mark}"
    yield f"{total:6d} {sum(difference.values()):+6d}  {len(SOURCES)} files, budget {BUDGET} a file"


if __name__ == "__main__":
    sys.stdout.write("\n".join(ledger()) + "\n")
