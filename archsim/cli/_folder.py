"""Where a run is written: a folder named by day and content, never over another run unasked."""

import time
from pathlib import Path

import typer


def refuse_to_replace(output: str | None, *, force: bool) -> None:
    """Stop before any work when the chosen folder already holds something.

    Raises:
        BadParameter: when it exists and is not empty, unless `force` is given.
    """
    if output is None or force:
        return
    folder = Path(output)
    if folder.is_file():
        raise typer.BadParameter(f"{output} is a file", param_hint="--output")
    if folder.is_dir() and any(folder.iterdir()):
        raise typer.BadParameter(
            f"{output} is not empty; --force replaces its files", param_hint="--output"
        )


def run_folder(parent: str, key: str) -> Path:
    """The folder of a run below another: named by the day and the first 8 letters of its key."""
    return Path(parent) / f"{time.strftime('%Y%m%d')}-{key[:8]}"
