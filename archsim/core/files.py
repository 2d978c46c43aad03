"""Writing files so that each is there whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def atomic_write(path: Path | str, content: str | bytes) -> Path:
    """Write a file through a temporary one beside it, then rename; creates missing folders.

    An interruption leaves the old file, or none, and no temporary one.

    Raises:
        OSError: when the folder cannot be written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    part = target.with_name(f".{uuid.uuid4().hex}.part")  # two processes may write one file
    try:
        part.write_bytes(data)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return target
