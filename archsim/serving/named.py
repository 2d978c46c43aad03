"""What a description names: a shipped model, or a file beside it."""

from __future__ import annotations

from pathlib import Path

from archsim.core.document import Document
from archsim.core.errors import nearest
from archsim.lowering.model import models


def model_of(document: Document, name: str, path: tuple[str | int, ...]) -> str:
    """A shipped model's name, or the path of a file beside the description.

    Args:
        document: the description.
        name: that it says.
        path: where it says so.

    Raises:
        InputError: E201 where it is neither.
    """
    beside = (document.file.parent if document.file else Path()) / name
    if name in models():
        return name
    if beside.exists():
        return str(beside)
    close = nearest(name, models())
    hint = f'did you mean "{close}"?' if close else "see `archsim list models`"
    raise document.error(path, "E201", f'no model and no file is named "{name}"', help=hint)
