"""Runs a notebook and gives back its text, with outputs that depend on its code alone."""

from __future__ import annotations

from pathlib import Path


def executed(path: Path) -> str:
    """The text of a notebook's file after every cell has run; the first that fails raises."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(book, timeout=120, kernel_name="python3", record_timing=False)
    client.execute()
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            if "text/html" in output.get("data", {}):
                output.data.pop("text/plain", None)  # long, and nobody is shown it
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return str(nbformat.writes(book)).rstrip() + "\n"  # type: ignore[no-untyped-call]
