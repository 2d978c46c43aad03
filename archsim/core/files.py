"""Writing files so that each is there whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path


def atomic_write(path: Path | str, content: str | bytes | Iterable[str]) -> Path:
    """Write a file through a temporary one beside it, then rename; creates missing folders.

    An interruption leaves the old file, or none, and no temporary one. Content may come in pieces.

    Raises:
        OSError: when the folder cannot be written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    pieces = [content] if isinstance(content, str | bytes) else content
    part = target.with_name(f".{uuid.uuid4().hex}.part")  # two processes may write one file
    try:
        with part.open("wb") as file:
            file.writelines(p.encode() if isinstance(p, str) else p for p in pieces)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return target
