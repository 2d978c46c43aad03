"""What `doctor` looks at; each look is a function that returns one finding."""

import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

from archsim import __version__

LEAST_PYTHON = (3, 11)
MACHINE, WORKLOAD = "npu", "gpt2-small-prefill"  # the self-test: small, and every room takes part


@dataclass(frozen=True)
class Finding:
    """One line of the report; `fail` makes the verb fail, `note` does not."""

    status: Literal["ok", "note", "fail"]
    what: str
    found: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def examine() -> Iterator[Finding]:
    """Every finding, cheap ones first."""
    yield Finding("ok", "archsim", f"{__version__} in {Path(__file__).parent.parent}")
    new_enough = sys.version_info >= LEAST_PYTHON
    yield Finding("ok" if new_enough else "fail", "python", platform.python_version())
    yield Finding("ok", "machine", f"{_cores()} cores, {_memory()} of memory")
    yield from _libraries()
    yield _cache()
    yield _self_test()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    from archsim.core.units import format_bytes

    return format_bytes(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _libraries() -> Iterator[Finding]:
    """Every library that archsim or one of its extras asks for, with its version."""
    from packaging.requirements import Requirement

    try:
        needs = requires("archsim") or []
    except PackageNotFoundError:
        yield Finding("note", "libraries", "archsim is not installed, only on the path")
        return
    for text in needs:
        need = Requirement(text)
        extra = str(need.marker).split('"')[1] if "extra" in str(need.marker or "") else ""
        name = f"{need.name} [{extra}]" if extra else need.name
        try:
            have = version(need.name)
        except PackageNotFoundError:
            pip = f'pip install "archsim[{extra}]"' if extra else "pip install archsim"
            yield Finding("note" if extra else "fail", name, f"absent; {pip}")
            continue
        fits = need.specifier.contains(have, prereleases=True)
        yield Finding("ok" if fits else "fail", name, have if fits else f"{have}, not {text}")


def _cache() -> Finding:
    """Where numba keeps compiled code: beside the module, or in the user's cache folder."""
    package = Path(__file__).parent.parent
    if os.access(package, os.W_OK):
        return Finding("ok", "compiled cache", f"beside the modules in {package}")
    home = Path.home() / ".cache"
    folder = next((p for p in (home, home.parent) if p.exists()), home)
    if os.access(folder, os.W_OK):
        return Finding("ok", "compiled cache", f"in {home}")
    return Finding("note", "compiled cache", "nowhere writable: each start compiles for a second")


def _self_test() -> Finding:
    """A real model on a real machine, both engines: the same picosecond."""
    from archsim import api
    from archsim.core.errors import ArchsimError

    start = time.perf_counter()
    try:
        first, second = (api.run(MACHINE, WORKLOAD, engine=e) for e in ("compiled", "simpy"))
    except ArchsimError as error:
        return Finding("fail", "self-test", error.render())
    took = f"{time.perf_counter() - start:.1f} s"
    # how much was folded is the engine's affair; everything else must be equal
    if any(first.result[key] != second.result[key] for key in first.result if key != "fold"):
        return Finding("fail", "self-test", "the two engines disagree")
    return Finding("ok", "self-test", f"{WORKLOAD} on {MACHINE}, both engines agree, {took}")
