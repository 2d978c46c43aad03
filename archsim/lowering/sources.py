"""The forms that a workload comes in: names and files become one document, paths numbers.

The flags of a phase, which are laid over it, are in `flags`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.core.data import find, names
from archsim.core.document import Document
from archsim.core.errors import Diagnostic, InputError, nearest
from archsim.core.yamlio import load_yaml
from archsim.lowering.architectures.layers import Layers
from archsim.lowering.model import models

if TYPE_CHECKING:
    from archsim.lowering.routing import Routed, Routing
    from archsim.lowering.spec import ModelRef

SCHEMA = "archsim.workload/1"
SUFFIXES = {".csv": "topology", ".onnx": "onnx"}  # of files that are a model's form by themselves
SERVED = {"workloads/serving": "serve", "workloads/compositions": "compose"}  # verbs that do
SCHEMAS = {"archsim.graph": "graph", "archsim.stream": "stream"}


def open_source(source: str | Path | Mapping[str, Any]) -> Document:
    """A workload's document, whatever it is made from.

    Raises:
        InputError: E003 for a name or path that does not exist, E001 and E002 as `load_yaml`.
    """
    if isinstance(source, Mapping):
        return Document.of(dict(source))
    path = Path(source)
    if path.is_dir() and (path / "config.json").is_file():
        path = path / "config.json"
    if path.is_file():
        return _of_file(path)
    name = str(source)
    if name in names("workloads"):
        return load_yaml(find(name, "workloads"))
    if name in models():
        return _wrapped(name, {"preset": name})
    verb = next((verb for folder, verb in SERVED.items() if name in names(folder)), None)
    if verb:
        message = f"{name} is no workload but a description of many"
        raise InputError(message, code="E003", help=f"archsim {verb} HARDWARE {name}")
    close = nearest(name, (*names("workloads"), *models()))
    help_text = f'did you mean "{close}"?' if close else "see `archsim list models`"
    raise InputError(
        f'no file, no shipped workload and no model "{name}"', code="E003", help=help_text
    )


def _of_file(path: Path) -> Document:
    """What a file is: its suffix, or what it says of itself."""
    form = SUFFIXES.get(path.suffix.lower())
    if form is not None:
        return _wrapped(path.stem, {form: str(path)})
    document = load_yaml(path)
    schema = document.data.get("schema") if isinstance(document.data, dict) else None
    if schema is None and path.suffix.lower() == ".json":
        name = path.resolve().parent.name if path.stem == "config" else path.stem
        return _wrapped(name or path.stem, {"hf_config": str(path)})
    form = SCHEMAS.get(str(schema).partition("/")[0])
    if form is not None:
        return _wrapped(path.stem, {form: str(path)})
    if str(schema).startswith("archsim.model/") and path.stem in models():
        return _wrapped(path.stem, {"preset": path.stem})
    return document


def _wrapped(name: str, model: dict[str, Any]) -> Document:
    return Document.of({"schema": SCHEMA, "name": name, "model": model})


def inlined(ref: ModelRef, document: Document) -> ModelRef:
    """A model whose files are read: a preset's name, or the numbers of an architecture.

    Raises:
        InputError: E201 for a file, E108 for a preset that does not exist, and what the file holds.
        Unsupported: for a model type without a builder.
    """
    if ref.preset is not None and ref.preset not in models():
        close = nearest(ref.preset, models())
        raise document.error(
            ("model", "preset"),
            "E108",
            f'preset "{ref.preset}" is not a shipped model',
            help=f'did you mean "{close}"?' if close else "`archsim list models` lists them",
        )
    config: Any = ref.config
    ignored = ref.ignored
    if ref.layers is not None:
        config = Layers(layers=ref.layers)
    elif ref.hf_config is not None:
        from archsim.lowering.hf.base import fields_unread, read_config

        found = load_yaml(_beside(("model", "hf_config"), ref.hf_config, document))
        config, ignored = read_config(found), fields_unread(found) or None
    elif ref.topology is not None:
        from archsim.lowering.topology import read_topology

        config = read_topology(_beside(("model", "topology"), ref.topology, document), ref.format)
    elif ref.onnx is not None:
        from archsim.lowering.onnx_import import read_onnx

        config = read_onnx(_beside(("model", "onnx"), ref.onnx, document), ref.dims, ref.maps)
    elif ref.graph is not None:
        from archsim.lowering.graph_yaml import read_graph

        config = read_graph(_beside(("model", "graph"), ref.graph, document))
    elif ref.stream is not None:
        from archsim.lowering.stream_yaml import read_stream

        config = read_stream(_beside(("model", "stream"), ref.stream, document))
    elif ref.networks is not None:
        from archsim.lowering.networks import read_networks

        config = read_networks(ref.networks, document)
    return ref if ref.preset else type(ref)(config=config, ignored=ignored)


def traced(routing: Routing, routed: Routed, document: Document) -> Routing:
    """A routing whose file is read, and whose counts fit what the model routes.

    Raises:
        InputError: E201 for a file that does not exist, and what the trace holds.
    """
    from archsim.lowering.routing_trace import check_counts, read_trace

    if routing.file is not None:
        counts = read_trace(_beside(("routing", "file"), routing.file, document), routed)
        return routing.model_copy(update={"file": None, "counts": counts})
    found = (
        [
            document.diagnostic(("routing", "counts", row), code, message, help=help_text)
            for row, code, message, help_text in check_counts(routing.counts, routed)
        ]
        if routing.counts is not None
        else []
    )
    if found:
        raise InputError.of(found)
    return routing


def _beside(key: tuple[str, str], name: str, document: Document) -> Path:
    """A file that a workload names: relative to its own file, or to the present folder."""
    own = document.file.parent / name if document.file else None
    for path in (own, Path(name)):
        if path is not None and "\0" not in name and path.is_file():
            return path
    message = f'{key[1]} names "{name}", which does not exist'
    if document.mark(key).source.name is None:
        raise InputError.of([Diagnostic("E003", message)])
    raise document.error(key, "E201", message)
