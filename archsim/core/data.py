"""Where the shipped hardware and workload files lie, and how a name becomes a path.

In a wheel they lie inside the package, in a checkout beside it. Reading them is not done here.
"""

from __future__ import annotations

from pathlib import Path

from archsim.core.errors import InputError, nearest

MOST_NAMES = 12  # that an error lists
_PACKAGE = Path(__file__).resolve().parents[1]


def data_dir(name: str) -> Path:
    """Folder of the shipped files of a kind: `configs`, `workloads` or a folder below them."""
    inside = _PACKAGE / "_data" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def names(*kinds: str) -> tuple[str, ...]:
    """Names of the shipped files in some folders, sorted."""
    return tuple(sorted({p.stem for kind in kinds for p in data_dir(kind).glob("*.yaml")}))


def find(name: str | Path, *kinds: str) -> Path:
    """Path of a file: the file itself where it exists, else the shipped one of that name.

    Args:
        name: A path, or a name such as `npu`.
        kinds: Folders of shipped files to look in, in order, such as `configs`.

    Raises:
        InputError: E003 with the closest name.
    """
    path = Path(name)
    if path.is_file():
        return path
    for kind in kinds:
        shipped = data_dir(kind) / f"{name}.yaml"
        if path.name == str(name) and shipped.is_file():
            return shipped
    known = names(*kinds)
    close = nearest(str(name), known)
    if close:
        help_text: str | None = f'did you mean "{close}"?'
    elif len(known) > MOST_NAMES:
        help_text = f"none of the {len(known)} shipped names is like it: see `archsim list`"
    else:
        help_text = f"shipped: {', '.join(known)}" if known else None
    raise InputError(f'no file and no shipped name "{name}"', code="E003", help=help_text)
