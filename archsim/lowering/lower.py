"""A workload becomes an op graph, checked, with the facts that reports quote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from archsim.core.asked import Asked
from archsim.core.errors import InputError
from archsim.core.yamlio import sha256_of
from archsim.ir.graph import Block, OpGraph
from archsim.ir.tensor import Role
from archsim.lowering.architectures.base import Architecture
from archsim.lowering.flags import SELDOM, usage
from archsim.lowering.hf.base import model_types
from archsim.lowering.kv import KvOptions
from archsim.lowering.model import load_model, models
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase
from archsim.lowering.routing import Routing
from archsim.lowering.spec import WorkloadSpec, architecture_of, load_workload, resolve

__all__ = ["describe", "lower", "lower_once", "model_types", "models"]

MIXED = (Role.WEIGHT, Role.ACTIVATION)  # roles of which rules may speak
KEPT = 8  # graphs of the workloads lowered last: those of one study
LARGEST = 2**62  # points of a graph; counters are 64-bit integers


def lower(workload: WorkloadSpec) -> OpGraph:
    """The op graph of a workload, checked.

    Its facts: those of `Architecture.facts`, and model, architecture, source, phase, warnings.

    Raises:
        InputError: for a phase that is missing or does not suit the model, or sizes beyond 64 bits.
        Unsupported: for a model type without a builder.
    """
    spec = resolve(workload)
    architecture = architecture_of(spec)
    if spec.phase is None:
        kinds = [k for k in architecture.phases if k not in SELDOM]
        known = (usage(kind, {"batch": 16} if kind == "decode" else {}) for kind in kinds)
        raise InputError(f"{spec.name} needs a phase", code="E102", help=", or ".join(known))
    return _graph(spec, architecture, spec.phase)


def lower_once(workload: WorkloadSpec) -> OpGraph:
    """The same for a workload that `load_workload` returned, whose graph is kept for the next time.

    Raises:
        ArchsimError: as `lower`.
    """
    named = workload.model.preset  # its numbers are in a file that may change
    numbers = load_model(named).model_dump_json() if named else ""
    content = json.dumps(workload.to_data(), sort_keys=True), numbers
    kept = _kept(Asked.of(content, partial(lower, workload)))
    return replace(kept, facts=deepcopy(dict(kept.facts)))  # reports hand them on to people


@lru_cache(maxsize=KEPT)
def _kept(asked: Asked[OpGraph]) -> OpGraph:
    return asked.answer()


def _graph(spec: WorkloadSpec, architecture: Architecture, phase: AnyPhase) -> OpGraph:
    diagonal = spec.scores == "block_diagonal"
    parts = Parts(spec.dtypes, spec.routing, sparsity=spec.sparsity, block_diagonal=diagonal)
    blocks = tuple(_of_phase(b, phase.kind) for b in architecture.blocks(phase, parts))
    graph = OpGraph(spec.name, blocks, parts.tensors)
    points = sum(block.count * op.points() for block, op in graph.ops())
    if points > LARGEST:
        points, most = max(
            (block.count * op.points(), f"{block.name}/{op.name}") for block, op in graph.ops()
        )
        message = f"{spec.name} has more points than 64 bits count"
        help_text = f"{most} has most of them: {points:.1e}"
        raise InputError(message, code="E107", help=help_text)
    graph.check()
    warnings = list(architecture.warnings(phase))
    if spec.model.ignored:
        listed = ", ".join(spec.model.ignored)
        has, it = ("has", "it") if len(spec.model.ignored) == 1 else ("have", "them")
        warnings.append(("W101", f"{listed} of config.json {has} no effect: nothing reads {it}"))
    if spec.dtypes.kv_cache and not architecture.keeps_cache:
        warnings.append(("W101", "dtypes.kv_cache has no effect: the model keeps no KV cache"))
    if spec.kv != KvOptions() and not architecture.keeps_cache:
        warnings.append(("W101", "kv has no effect: the model keeps no KV cache"))
    for i, rule in enumerate(spec.dtypes.mixed or ()):
        if not any(rule.covers(t.name) for t in parts.tensors.values() if t.role in MIXED):
            names = rule.tensors if isinstance(rule.tensors, str) else ", ".join(rule.tensors)
            text = f'dtypes.mixed[{i}] has no effect: no weight or activation is named "{names}"'
            warnings.append(("W101", text))
    idle = spec.sparsity.idle(list(parts.tensors.values())) if spec.sparsity else []
    warnings += [("W101", f"{path} has no effect: no such tensor") for path in idle]
    if parts.block_diagonal and not any(t.endswith("spread") for t in parts.tensors):
        warnings.append(("W101", "scores has no effect: no product of scores has several heads"))
    if spec.routing != Routing() and architecture.routed(phase) is None:
        warnings.append(("W101", "routing has no effect: the model has no experts"))
    facts = {
        "model": spec.model.preset or spec.name,
        "architecture": architecture.kind,
        **({"transform": spec.transform.to_data()} if spec.transform else {}),
        **_origin(spec),
        "phase": phase.to_data(),
        **architecture.facts(graph, phase, spec.dtypes),
        "weight_bytes": graph.stored_bytes(Role.WEIGHT),
        "kv_cache_bytes": graph.stored_bytes(Role.KV_CACHE),
        "warnings": warnings,
    }
    return OpGraph(graph.name, graph.blocks, graph.tensors, facts)


def _of_phase(block: Block, kind: str) -> Block:
    """A block whose ops are of a phase, those that are of one already aside."""
    ops = (op if op.phase else replace(op, phase=kind) for op in block.ops)
    return replace(block, ops=tuple(ops))


def _origin(spec: WorkloadSpec) -> dict[str, str | None]:
    """Source of a preset, and the hash of its numbers: a workload says its name only."""
    if not spec.model.preset:
        return {"source": "", "content": None}
    file = load_model(spec.model.preset)
    return {"source": file.source, "content": sha256_of(file.model.to_data())}


def describe(workload: WorkloadSpec | str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """What `archsim show` says: name, parameters, macs_per_token, kv_bytes_per_token, ...

    A model without a phase is counted at one sequence with a context of 2048, or as long as its
    positions allow; `context` says which.

    Raises:
        ArchsimError: as `load_workload` and `lower`.
    """
    given = workload if isinstance(workload, WorkloadSpec) else load_workload(workload)[0]
    spec = resolve(given)
    if spec.phase is None:  # a trace is of a phase, and so is what sequences share
        spec = spec.model_copy(update={"routing": Routing(), "kv": spec.kv.of_model()})
    architecture = architecture_of(spec)
    graph = _graph(spec, architecture, spec.phase or architecture.default_phase())
    facts = {k: v for k, v in graph.facts.items() if k not in ("warnings", "content")}
    if spec.phase is None:  # counts of a step say nothing of a model
        for key in ("phase", "macs", "macs_causal", "output_tokens", "kv_cache_bytes"):
            facts.pop(key, None)
    about = spec.description
    if spec.model.preset:
        about = about or load_model(spec.model.preset).description
    return {"name": spec.name, "description": about, **facts}
