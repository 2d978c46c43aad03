"""A workload becomes an op graph: the one place that knows which form leads to which builder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from archsim.core.errors import InputError
from archsim.core.yamlio import load_spec
from archsim.ir.graph import OpGraph
from archsim.lowering.cnn import lower_cnn
from archsim.lowering.graph_yaml import lower_graph
from archsim.lowering.hf import READERS, read_config
from archsim.lowering.model import Cnn, ModelFile, Transformer
from archsim.lowering.spec import Decode, Encode, Infer, Prefill, WorkloadSpec, preset_path
from archsim.lowering.topology import lower_topology, read_topology
from archsim.lowering.transformer import lower_transformer


def lower(workload: WorkloadSpec) -> OpGraph:
    """The op graph of a workload, checked.

    Raises:
        InputError: for a phase that does not suit the model, or a model file with a mistake.
        Unsupported: for a model type without a builder.
    """
    graph = _lower(workload)
    graph.check()
    facts = {**graph.facts, "content": _content(workload)}
    return OpGraph(graph.name, graph.blocks, graph.tensors, facts)


def _content(w: WorkloadSpec) -> str | None:
    """Hash of the file that the workload names: a workload says where it is, not what it holds."""
    ref = w.model
    named = ref.hf_config or ref.topology or ref.graph
    path = preset_path(ref.preset) if ref.preset else Path(named) if named else None
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else None


def _lower(w: WorkloadSpec) -> OpGraph:
    ref, source = w.model, ""
    if ref.topology or ref.layers or ref.graph:
        batch = _inputs(w, "a layer list")
        if ref.graph:
            return _named(lower_graph(ref.graph, batch, w.dtypes), w.name)
        layers = list(ref.layers or ()) or read_topology(Path(ref.topology or ""))
        return lower_topology(w.name, layers, batch, w.dtypes)
    model: Transformer | Cnn
    if ref.hf_config:
        model, source = read_config(ref.hf_config), ref.hf_config
    else:
        file = load_model(ref.preset or "")
        model, source = file.model, file.source
    if isinstance(model, Cnn):
        graph = lower_cnn(w.name, model, _inputs(w, "a convolutional network"), w.dtypes)
    else:
        graph = lower_transformer(w.name, model, _tokens(w, model), w.dtypes)
    return OpGraph(
        graph.name, graph.blocks, graph.tensors,
        {**graph.facts, "model": ref.preset or w.name, "source": source},
    )  # fmt: skip


def _named(graph: OpGraph, name: str) -> OpGraph:
    return OpGraph(name, graph.blocks, graph.tensors, graph.facts)


def _inputs(w: WorkloadSpec, what: str) -> int:
    if not isinstance(w.phase, Infer):
        raise InputError(
            f"{what} has no {w.phase.kind} phase",
            code="E202",
            help="phase: {kind: infer, batch: 1}",
            details={"path": "phase"},
        )
    return w.phase.batch


def _tokens(w: WorkloadSpec, model: Transformer) -> Prefill | Decode | Encode:
    wanted = (Encode,) if model.encoder else (Prefill, Decode)
    if isinstance(w.phase, wanted):
        return w.phase
    example = "--phase encode --tokens 512" if model.encoder else (
        "--phase decode --batch 16 --context 2048, or --phase prefill --tokens 2048"
    )  # fmt: skip
    kinds = " or ".join(p.__name__.lower() for p in wanted)
    raise InputError(
        f"{w.name} needs a {kinds} phase, got {w.phase.kind}",
        code="E202",
        help=example,
        details={"path": "phase"},
    )


def load_model(name: str) -> ModelFile:
    """A shipped model.

    Raises:
        InputError: for a name that does not exist or a file with a mistake.
    """
    return load_spec(preset_path(name), ModelFile)[0]


def model_types() -> tuple[str, ...]:
    """Hugging Face model types that have a reader."""
    return tuple(READERS)


def describe(workload: WorkloadSpec) -> dict[str, Any]:
    """What `archsim show` says about a workload: facts of its model, and of its graph in a phase.

    A bare model needs no phase for the facts of the model; they are then at a context of 2048.
    """
    bare = _bare(workload)
    if bare is not None:
        return bare
    graph = lower(workload)
    facts = {k: v for k, v in graph.facts.items() if k not in ("warnings", "content")}
    return {"name": workload.name, **facts, "macs": graph.macs()}


def _bare(w: WorkloadSpec) -> dict[str, Any] | None:
    """Facts of a Transformer without a phase; None where the graph has to be made."""
    if not isinstance(w.phase, Infer) or not (w.model.preset or w.model.hf_config):
        return None
    model: Transformer | Cnn
    if w.model.hf_config:
        model, source = read_config(w.model.hf_config), w.model.hf_config
    else:
        file = load_model(w.model.preset or "")
        model, source = file.model, file.source
    if isinstance(model, Cnn):
        return None
    context = min(2048, model.positions or 2048)
    phase = Encode(kind="encode", tokens=context) if model.encoder else (
        Decode(kind="decode", context=context)
    )  # fmt: skip
    graph = lower_transformer(w.name, model, phase, w.dtypes)
    keep = ("architecture", "layers", "parameters", "macs_per_token", "context",
            "kv_bytes_per_token")  # fmt: skip
    return {"name": w.name, **{k: graph.facts[k] for k in keep}, "source": source}
