"""Does any workload, however damaged, end in a graph or an explained refusal?"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.document import Document
from archsim.core.yamlread import read_text
from archsim.lowering.graph_yaml import read_graph
from archsim.lowering.hf.base import read_config
from archsim.lowering.lower import describe, lower
from archsim.lowering.spec import load_workload
from archsim.lowering.topology import read_topology
from archsim.testing.fuzz import damaged_data, damaged_text, refusal
from archsim.testing.fuzz import settings as overrides

TRANSFORMER = {
    "architecture": "transformer", "layers": 2, "hidden": 8, "heads": 4, "kv_heads": 2,
    "head_dim": 4, "ffn": 16, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "learned", "positions": 64, "vocab": 32, "tied": True,
}  # fmt: skip
CNN = {
    "architecture": "cnn",
    "input": [3, 32, 32],
    "layers": [
        {"kind": "conv", "name": "stem", "out_channels": 8, "kernel": [3, 3], "padding": 1},
        {"kind": "pool", "name": "pool", "kernel": 2, "stride": 2},
        {"kind": "bottleneck", "name": "body", "width": 4, "out_channels": 16, "count": 2},
        {"kind": "global_pool", "name": "mean"},
        {"kind": "linear", "name": "fc", "out_features": 10},
    ],
}
OPS: dict[str, Any] = {
    "ops": [
        {"kind": "gather", "name": "look", "rows": 4, "cols": 8, "table_rows": 16},
        {"kind": "gemm", "name": "proj", "m": 4, "n": 6, "k": 8, "after": "look"},
        {"kind": "vector", "name": "act", "rows": 4, "cols": 6, "primitives": {"exp": 1},
         "after": ["proj"]},
        {"kind": "conv", "name": "conv", "channels": 3, "height": 8, "width": 8,
         "out_channels": 4, "kernel": 3, "dilation": 2},
        {"kind": "move", "name": "copy", "rows": 4, "cols": 6, "after": "act"},
    ],
}  # fmt: skip
ROWS = [
    {"name": "a", "m": 4, "n": 5, "k": 6},
    {"name": "b", "ifmap_height": 8, "ifmap_width": 8, "filter_height": 3, "filter_width": 3,
     "channels": 2, "num_filter": 4, "strides": 2},
]  # fmt: skip


def workload(model: dict[str, Any], phase: dict[str, Any] | None = None) -> dict[str, Any]:
    dtypes = {"weights": "bf16", "kv_cache": "fp8"}
    return {
        "schema": "archsim.workload/1", "name": "w", "model": model, "phase": phase,
        "dtypes": dtypes,
    }  # fmt: skip


WORKLOADS = [
    workload({"preset": "gpt2-small"}, {"kind": "decode", "batch": 2, "context": 16}),
    workload({"config": TRANSFORMER}, {"kind": "decode", "context": [3, 3, 9]}),
    workload({"config": TRANSFORMER}, {"kind": "prefill", "batch": 2, "tokens": 5}),
    workload({"config": CNN}, {"kind": "infer", "batch": 2}),
    workload({"config": {"architecture": "graph", "repeat": 3, **OPS}}, {"kind": "infer"}),
    workload({"layers": ROWS}, {"kind": "infer", "batch": 2}),
]
CONFIG = {
    "model_type": "llama", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 16, "vocab_size": 32, "hidden_act": "silu",
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "head_dim": None,
}  # fmt: skip
CSV = (
    "Layer name, IFMAP H, IFMAP W, FH, FW, C, N, Strides,\nConv1,8,8,3,3,2,4,1,\nb,4,4,1,1,2,4,2,\n"
)


def document(data: Any) -> Document:
    return read_text(json.dumps(data, ensure_ascii=False), "file")


def built(data: Any) -> None:
    spec, _ = load_workload(data)
    describe(spec)
    if spec.phase is not None:
        lower(spec).check()


def test_the_undamaged_workloads_are_fine() -> None:
    for data in WORKLOADS:
        built(data)
    read_graph(document({"schema": "archsim.graph/1", **OPS}))
    read_config(document(CONFIG))


@given(st.sampled_from(WORKLOADS).flatmap(damaged_data))
@settings(max_examples=300, deadline=None)
def test_a_damaged_workload_is_built_or_refused(data: Any) -> None:
    if isinstance(data, dict):
        error = refusal(lambda: built(data))
        assert error is None or error.exit_code in (3, 4)


@given(st.sampled_from(WORKLOADS), st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_override_is_applied_or_refused(data: Any, draw: st.DataObject) -> None:
    setting = draw.draw(overrides(data))
    error = refusal(lambda: lower(load_workload(data, set_=[setting])[0]))
    assert error is None or error.exit_code in (3, 4)


@given(damaged_data(CONFIG))
@settings(max_examples=150, deadline=None)
def test_a_damaged_config_is_built_or_refused(data: Any) -> None:
    error = refusal(lambda: read_config(document(data)))
    assert error is None or error.exit_code in (3, 4)


@given(damaged_data({"schema": "archsim.graph/1", **OPS}))
@settings(max_examples=150, deadline=None)
def test_a_damaged_op_graph_is_built_or_refused(data: Any) -> None:
    error = refusal(lambda: built(workload({"config": read_graph(document(data)).to_data()})))
    assert error is None or error.exit_code in (3, 4)


@given(damaged_text(CSV))
@settings(max_examples=200, deadline=None)
def test_a_damaged_topology_is_built_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.csv"
        path.write_text(text, encoding="utf-8", newline="", errors="surrogatepass")
        error = refusal(lambda: (read_topology(path), built(str(path))))
    assert error is None or error.exit_code in (3, 4)
