"""Where plug-ins are found: a room's own folder and the entry points of outsiders, by one door.

A plug-in is a class that extends its room's base and names itself with `kind`. There is no list of
them anywhere: the folder is the list. What a plug-in must be able to do is said by the base class.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import zlib
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from archsim.core.errors import ArchsimError, InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = TypeVar("T")


class Registry(Generic[T]):
    """The plug-ins of one room, found when first asked for.

    Args:
        package: Dotted name of the room; every module in it but `base` and private ones is read.
        base: Class that plug-ins extend.
        group: Entry-point group in which outsiders offer a plug-in class or a module of them.
    """

    def __init__(self, package: str, base: type[T], group: str = "archsim.plugins") -> None:
        self.package, self.base, self.group = package, base, group
        self._found: dict[str, type[T]] = {}
        self._scanned = False
        self._unions: dict[tuple[str, tuple[type[T], ...]], Any] = {}

    def add(self, cls: type[T]) -> type[T]:
        """Take in one plug-in class; the same door for built-ins and outsiders.

        Raises:
            ArchsimError: when it has no `kind`, or the kind is taken by another class.
        """
        kind = getattr(cls, "kind", None)
        if not isinstance(kind, str) or not kind:
            raise ArchsimError(f"plug-in {_name(cls)} has no kind")
        other = self._found.setdefault(kind, cls)
        if other is not cls:
            raise ArchsimError(f'kind "{kind}" is claimed by {_name(other)} and {_name(cls)}')
        return cls

    def get(self, kind: str) -> type[T]:
        """The plug-in of a kind.

        Raises:
            InputError: E108 with the closest kind.
        """
        found = self._all()
        if kind not in found:
            close = nearest(kind, found)
            raise InputError(
                f'kind "{kind}" is not one of {", ".join(sorted(found)) or "none"}',
                code="E108",
                help=f'did you mean "{close}"?' if close else None,
            )
        return found[kind]

    def names(self) -> tuple[str, ...]:
        """All kinds, sorted."""
        return tuple(sorted(self._all()))

    def items(self) -> tuple[tuple[str, type[T]], ...]:
        """All kinds and classes, sorted by kind."""
        return tuple(sorted(self._all().items()))

    def classes(self) -> tuple[type[T], ...]:
        """All classes, sorted by kind: what a cache that depends on the plug-ins is keyed by."""
        return tuple(cls for _, cls in self.items())

    def __contains__(self, kind: object) -> bool:
        return kind in self._all()

    def union(self, discriminator: str = "kind") -> Any:
        """Annotated union of every plug-in's `Spec`, told apart by one key; follows new plug-ins.

        Raises:
            ArchsimError: when no plug-in has a `Spec`.
        """
        from functools import reduce
        from operator import or_
        from typing import Annotated

        from pydantic import Field

        key = (discriminator, self.classes())
        if key not in self._unions:
            specs = [_spec_of(cls, discriminator) for cls in key[1] if "Spec" in cls.__dict__]
            if not specs:
                raise ArchsimError(f"{self.package} has no plug-in with a Spec")
            self._unions[key] = (
                specs[0]
                if len(specs) == 1  # a union of one is that one; there is nothing to tell apart
                else Annotated[reduce(or_, specs), Field(discriminator=discriminator)]
            )
        return self._unions[key]

    @contextmanager
    def scanning(self, folder: Path) -> Iterator[Registry[T]]:
        """While the block runs, the plug-ins in a folder's .py files are known too."""
        before = dict(self._all())
        modules: list[str] = []
        try:
            for path in sorted(folder.glob("*.py")):
                if not path.name.startswith("_"):
                    module = _load(path)
                    modules.append(module.__name__)
                    self._collect(module)
            yield self
        finally:
            self._found = before
            for name in modules:
                sys.modules.pop(name, None)

    def _all(self) -> dict[str, type[T]]:
        """Kind to class; reads the folder and the entry points the first time."""
        if not self._scanned:
            self._scanned = True
            try:
                self._scan()
            except BaseException:
                self._scanned = False
                self._found = {}
                raise
        return self._found

    def _scan(self) -> None:
        from importlib.metadata import entry_points

        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            if module.name != "base" and not module.name.startswith("_"):
                self._collect(importlib.import_module(f"{self.package}.{module.name}"))
        for point in sorted(entry_points(group=self.group), key=lambda p: (p.name, p.value)):
            try:
                offered = point.load()
            except Exception as error:
                raise ArchsimError(f'plug-in "{point.name}" cannot be loaded: {error}') from error
            if isinstance(offered, ModuleType):
                self._collect(offered)
            elif isinstance(offered, type) and issubclass(offered, self.base):
                self.add(offered)

    def _collect(self, module: ModuleType) -> None:
        """Add the classes that a module defines itself, not those it imports."""
        for _, cls in inspect.getmembers(module, inspect.isclass):
            own = cls.__module__ == module.__name__ and "kind" in cls.__dict__
            if own and issubclass(cls, self.base) and cls is not self.base:
                self.add(cls)


def _name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _spec_of(cls: type[Any], discriminator: str) -> Any:
    """A plug-in's Spec, once it is known to carry the plug-in's own kind."""
    spec = cls.__dict__["Spec"]
    field = spec.model_fields.get(discriminator)
    if field is None or getattr(field.annotation, "__args__", ()) != (cls.__dict__["kind"],):
        wanted = f'{discriminator}: Literal["{cls.__dict__["kind"]}"]'
        raise ArchsimError(f"{_name(cls)}.Spec needs the field {wanted}")
    return spec


def _load(path: Path) -> ModuleType:
    """Import a file by its path, under a name of its own."""
    name = f"archsim_plugin_{zlib.crc32(str(path.resolve()).encode()):08x}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # it is one for every .py file, and has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations of a module are looked up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
