"""Answers of searches kept between runs, by content; never needed for an answer to be right.

One small JSON file an answer, in the user's cache folder, named by the hash of everything that the
search read. A file that is damaged, or cannot be read or written, counts as absent. Files are
written whole or not at all, so that several runs may write at once and be interrupted.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import archsim
from archsim.core.files import atomic_write

SCHEMA = "archsim.mapping-cache/1"


def folder() -> Path | None:
    """Where answers lie; None where the user has no home."""
    try:
        return Path.home() / ".cache" / "archsim" / "mappings"
    except RuntimeError:
        return None


def key_of(content: object) -> str:
    """Hash of what a search reads, of this version and of the package's own text."""
    text = f"{archsim.__version__}|{_code()}|{content!r}"
    return hashlib.sha256(text.encode()).hexdigest()


def load(key: str) -> dict[str, Any] | None:
    """The answer of a key, or None."""
    place = folder()
    if place is None:
        return None
    try:
        stored = json.loads((place / f"{key}.json").read_text(encoding="utf-8"))
        answer = stored["answer"]
        whole = stored["schema"] == SCHEMA and stored["key"] == key
        if whole and stored["sum"] == _sum(answer) and isinstance(answer, dict):
            return answer
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def save(key: str, answer: dict[str, Any]) -> None:
    """Keep an answer, if that is possible."""
    place = folder()
    if place is None:
        return
    stored = {"schema": SCHEMA, "key": key, "sum": _sum(answer), "answer": answer}
    try:
        atomic_write(place / f"{key}.json", json.dumps(stored, sort_keys=True))
    except OSError:
        return


def _sum(answer: object) -> str:
    return hashlib.sha256(json.dumps(answer, sort_keys=True).encode()).hexdigest()


@cache
def _code() -> str:
    """Hash of the package's sources: a search that was changed has other answers."""
    total = hashlib.sha256()
    root = Path(archsim.__file__).parent
    for path in sorted(root.rglob("*.py")):
        total.update(str(path.relative_to(root)).encode())
        total.update(path.read_bytes())
    return total.hexdigest()
