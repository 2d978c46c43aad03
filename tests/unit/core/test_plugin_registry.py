"""Does a room know exactly the plug-ins in its folder, and outsiders through the same door?"""

import importlib.metadata
import subprocess
import sys
from textwrap import dedent
from typing import ClassVar, Literal

import pytest
from pydantic import TypeAdapter

from archsim.core.errors import ArchsimError, InputError
from archsim.core.registry import Registry
from archsim.core.spec import Spec

BASE = """
    class Animal:
        pass
"""
PLUGIN = """
    from typing import Literal
    from {package}.base import Animal
    from archsim.core.spec import Spec

    class {cls}(Animal):
        kind = "{kind}"

        class Spec(Spec):
            kind: Literal["{kind}"] = "{kind}"
            legs: int = 4
"""


def plugin(package, kind, cls="Beast"):
    return dedent(PLUGIN.format(package=package, kind=kind, cls=cls))


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A package with a base, two plug-ins and a private module; and its registry."""
    name = f"room_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "base.py").write_text(dedent(BASE))
    (folder / "cat.py").write_text(plugin(name, "cat"))
    (folder / "dog.py").write_text(plugin(name, "dog") + "\nfrom .cat import Beast as Other\n")
    (folder / "_private.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ())
    base = importlib.import_module(f"{name}.base").Animal
    return Registry(name, base)


def offer(monkeypatch, *loads):
    """Entry points that load these things."""

    class Point:
        def __init__(self, number, load):
            self.name, self.value, self.load = f"p{number}", "v", load

    points = [Point(number, load) for number, load in enumerate(loads)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)


def test_the_plugins_are_the_public_modules_of_the_folder(room):
    assert room.names() == ("cat", "dog")
    assert room.get("cat").__module__.endswith(".cat")
    assert "dog" in room
    assert [kind for kind, _ in room.items()] == ["cat", "dog"]


def test_an_unknown_kind_is_refused_with_the_closest(room):
    with pytest.raises(InputError) as caught:
        room.get("cot")
    assert caught.value.render() == (
        'error[E108]: kind "cot" is not one of cat, dog\n      = help: did you mean "cat"?'
    )


def test_outsiders_offer_a_class_or_a_module(room, monkeypatch):
    cow = type("Cow", (room.base,), {"kind": "cow"})
    module = type(sys)("outside")
    pig = type("Pig", (room.base,), {"kind": "pig", "__module__": "outside"})
    module.Pig = pig
    offer(monkeypatch, lambda: cow, lambda: module, lambda: str, lambda: 5)
    assert room.names() == ("cat", "cow", "dog", "pig")


def test_an_outsider_that_cannot_be_loaded_is_named(room, monkeypatch):
    def load():
        raise ImportError("no such thing")

    offer(monkeypatch, load)
    with pytest.raises(ArchsimError, match='plug-in "p0" cannot be loaded: no such thing'):
        room.names()
    with pytest.raises(ArchsimError, match="cannot be loaded"):  # and it stays an error
        room.names()


def test_one_kind_has_one_plugin(room):
    room.names()
    twin = type("Twin", (room.base,), {"kind": "cat"})
    with pytest.raises(ArchsimError, match=r'kind "cat" is claimed by .*Beast and .*Twin'):
        room.add(twin)


def test_a_plugin_without_a_kind_is_refused(room):
    with pytest.raises(ArchsimError, match="has no kind"):
        room.add(type("Nameless", (room.base,), {}))


def test_a_newcomer_in_a_folder_is_known_while_the_folder_is_scanned(room, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "cow.py").write_text(plugin(room.package, "cow"))
    (folder / "_skipped.py").write_text("raise RuntimeError\n")
    before = room.union()
    with room.scanning(folder) as same:
        assert same.names() == ("cat", "cow", "dog")
        animal = TypeAdapter(room.union()).validate_python({"kind": "cow", "legs": 3})
        assert animal.legs == 3
    assert room.names() == ("cat", "dog")
    assert room.union() is before
    assert not [name for name in sys.modules if name.startswith("archsim_plugin_")]


def test_a_newcomer_that_does_not_import_leaves_nothing_behind(room, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "bad.py").write_text("raise RuntimeError('broken')\n")
    with pytest.raises(RuntimeError, match="broken"), room.scanning(folder):
        pass
    assert room.names() == ("cat", "dog")
    assert not [name for name in sys.modules if name.startswith("archsim_plugin_")]


def test_the_union_of_specs_is_told_apart_by_kind(room):
    adapter = TypeAdapter(room.union())
    assert type(adapter.validate_python({"kind": "dog"})) is room.get("dog").Spec
    assert set(adapter.json_schema()["discriminator"]["mapping"]) == {"cat", "dog"}


class Thing:
    """A base for plug-ins made in a test."""

    kind: ClassVar[str]


class Lonely(Thing):
    """The only plug-in of its room."""

    kind = "lonely"

    class Spec(Spec):
        """Nothing but a kind."""

        kind: Literal["lonely"]


class Liar(Thing):
    """Its spec names another kind."""

    kind = "liar"

    class Spec(Spec):
        """The wrong kind."""

        kind: Literal["honest"]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A registry of `Thing` over a folder without plug-ins."""
    name = f"empty_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ())
    return Registry(name, Thing)


def test_a_union_of_one_is_that_one(empty):
    empty.add(Lonely)
    assert empty.union() is Lonely.Spec


def test_a_spec_that_does_not_carry_its_plugins_kind_is_refused(empty):
    empty.add(Liar)
    with pytest.raises(ArchsimError, match=r'Liar.Spec needs the field kind: Literal\["liar"\]'):
        empty.union()


def test_a_room_without_specs_has_no_union(empty):
    with pytest.raises(ArchsimError, match="no plug-in with a Spec"):
        empty.union()
    with pytest.raises(InputError, match='kind "x" is not one of none'):
        empty.get("x")


def test_errors_registry_and_data_import_no_heavy_library():
    program = (
        "import sys, archsim.core.errors, archsim.core.registry, archsim.core.data;"
        "print([m for m in ('pydantic', 'pint', 'numpy', 'yaml') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
