"""SCALE-Sim topologies: a CSV of GEMMs or convolutions, each layer an op of its own."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archsim.core.errors import Diagnostic, InputError
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.ir.tensor import Role
from archsim.lowering.cnn import ConvSize, Shape, conv
from archsim.lowering.parts import Parts
from archsim.lowering.spec import DTypes

GEMM = ("m", "n", "k")
CONV = (
    "ifmap_height", "ifmap_width", "filter_height", "filter_width", "channels", "num_filter",
    "strides",
)  # fmt: skip
Layer = Mapping[str, int | str]


def read_topology(path: Path) -> list[Layer]:
    """Layers of a SCALE-Sim CSV: GEMM (`Layer, M, N, K`) or conv (`Layer name, IFMAP Height, …`).

    A trailing comma, spaces and any case of the heads are accepted, and a second stride column.

    Raises:
        InputError: E101 for heads of neither form, E105 for a cell that is not a number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", code="E003") from None
    lines = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if len(lines) < 2:
        raise _wrong(path, 1, "E102", "a head and at least one layer are needed")
    heads = [_head(cell) for cell in lines[0]]
    form = GEMM if set(GEMM) <= set(heads) else CONV
    missing = [h for h in form if h not in heads]
    if missing:
        raise _wrong(path, 1, "E101", f"the head lacks {', '.join(missing)}; "
                     "GEMM needs Layer, M, N, K; conv needs Layer name, IFMAP Height, "
                     "IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
                     "Strides")  # fmt: skip
    layers: list[Layer] = []
    for number, row in enumerate(lines[1:], 2):
        layer: dict[str, int | str] = {"name": row[0].strip() or f"layer{number - 1}"}
        for head in form:
            at = heads.index(head)
            cell = row[at].strip() if at < len(row) else ""
            if not re.fullmatch(r"[0-9]+", cell) or int(cell) < 1:
                raise _wrong(path, number, "E105", f'{head} expects a positive whole number, '
                             f'got "{cell}"')  # fmt: skip
            layer[head] = int(cell)
        if form is CONV and len(row) > (at := heads.index("strides")) + 1:
            second = row[at + 1].strip()
            if re.fullmatch(r"[1-9][0-9]*", second):
                layer["strides_w"] = int(second)
        layers.append(layer)
    return layers


def _head(cell: str) -> str:
    word = re.sub(r"[^a-z0-9]+", "_", cell.strip().lower()).strip("_")
    return {"stride": "strides", "num_filters": "num_filter", "layer_name": "layer"}.get(word, word)


def _wrong(path: Path, line: int, code: str, message: str) -> InputError:
    return InputError.of([Diagnostic(code, message, str(path), line, 1)])


def lower_topology(name: str, layers: Sequence[Layer], batch: int, dtypes: DTypes) -> OpGraph:
    """Layers as independent ops: each input comes from memory, each result goes there.

    SCALE-Sim counts windows that stick out at the far edge: its output is ceil((in - filter +
    stride) / stride), and such a window reads what lies inside only.
    """
    parts = Parts(dtypes)
    ops = []
    for i, layer in enumerate(layers):
        label = f"{i:03d}.{layer.get('name', 'layer')}".replace(" ", "_")
        ops.append(_gemm(parts, label, layer, batch) if "m" in layer else
                   _conv(parts, label, layer, batch))  # fmt: skip
    graph = OpGraph(name, (Block("layers", 1, tuple(ops)),), parts.tensors, {})
    parameters = sum(t.elements for t in parts.tensors.values() if t.role is Role.WEIGHT)
    facts: dict[str, Any] = {
        "architecture": "topology",
        "layers": len(ops),
        "parameters": parameters,
        "macs_per_token": None,
        "macs_per_input": graph.macs() // batch,
        "kv_bytes_per_token": None,
        "output_tokens": None,
        "phase": {"kind": "infer", "batch": batch},
        "warnings": [],
    }
    return OpGraph(name, graph.blocks, graph.tensors, facts)


def _gemm(parts: Parts, label: str, layer: Layer, batch: int) -> Op:
    m, n, k = (int(layer[x]) for x in GEMM)
    source = parts.tensor(f"{label}.in", (batch * m, k))
    out = parts.tensor(f"{label}.out", (batch * m, n))
    return parts.linear(label, "gemm", source, out, (batch * m, n, k))


def _conv(parts: Parts, label: str, layer: Layer, batch: int) -> Op:
    high, wide, taps_h, taps_w, channels, filters, stride = (int(layer[x]) for x in CONV)
    across = int(layer.get("strides_w", stride))
    source = Shape(parts.tensor(f"{label}.in", (batch, channels, high, wide)), channels, high, wide)
    size = ConvSize(filters, (taps_h, taps_w), (stride, across), ceil=True)
    return conv(parts, label, source, size, batch)[0]
