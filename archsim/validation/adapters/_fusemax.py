"""What both FuseMax suites share: models, lengths, machines, and what searches have settled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from archsim.core.data import find
from archsim.core.errors import Unsupported
from archsim.core.yamlio import load_yaml
from archsim.validation.base import Row

BATCH = 64  # FuseMax, section 6
CLOCK_HZ = 940e6


@dataclass(frozen=True)
class Model:
    """One layer: model width, heads, elements of a head, inner width of the feed-forward part."""

    heads: int
    head_dim: int
    ffn: int

    @property
    def hidden(self) -> int:
        """Model width."""
        return self.heads * self.head_dim


# BERT base, Transformer-XL large, T5 small, XLM: configurations of the released models
MODELS = {
    "BERT": Model(12, 64, 3072),
    "TrXL": Model(16, 64, 4096),
    "T5": Model(8, 64, 2048),
    "XLM": Model(16, 128, 8192),
}
DATAFLOWS = {
    "unfused": "attention_unfused",
    "flat": "flat",
    "cascade": "fusemax_cascade",
    "arch": "fusemax_architecture",
    "binding": "fusemax",
}
ON_FUSEMAX = ("arch", "binding")  # the other configurations run on FLAT's machine
LENGTH = re.compile(r"([1-9][0-9]*)([KM])")
K = 1024
# Mapping searches of FuseMax's artifact chose these by head width and tokens; they do not follow
# from sizes. Elsewhere the dataflows choose by their own rules.
HELD_BY_FLAT = {
    (64, 64 * K): ("out",),
    (128, K): ("k",),
    (128, 4 * K): ("k",),
    (128, 16 * K): ("q",),
    (128, 64 * K): ("q", "out"),
}
ROWS_OF_UNFUSED = {(64, 256 * K): 32 * K, (128, 256 * K): 16 * K}
CASCADE_ROOM = "16 MiB"  # its tiles are those of the machine with half the buffer


def model(row: Row) -> Model:
    """The model of a row.

    Raises:
        Unsupported: for one whose sizes are not known.
    """
    if row["model"] not in MODELS:
        raise Unsupported(f'column model expects one of {", ".join(MODELS)}, got "{row["model"]}"')
    return MODELS[row["model"]]


def tokens(row: Row) -> int:
    """Tokens of a sequence: 1K is 1024.

    Raises:
        Unsupported: for a text that is no such length.
    """
    found = LENGTH.fullmatch(row["seq_len"])
    if found is None:
        raise Unsupported(f'column seq_len expects a length such as 4K, got "{row["seq_len"]}"')
    return int(found[1]) * {"K": K, "M": K * K}[found[2]]


def machine(config: str, of: Model, length: int, counts: str = "exact") -> dict[str, Any]:
    """The shipped machine with the dataflow of a configuration and what searches settled for it."""
    name = "fusemax" if config in ON_FUSEMAX else "flat"
    data = load_yaml(find(name, "configs")).data
    rule: dict[str, Any] = {"ops": "attention", "dataflow": DATAFLOWS[config]}
    settled: dict[str, Any] = {} if counts == "exact" else {"counts": counts}
    at = (of.head_dim, length)
    if config == "flat" and at in HELD_BY_FLAT:
        settled["held"] = list(HELD_BY_FLAT[at])
    if config == "unfused" and at in ROWS_OF_UNFUSED:
        settled["query_rows"] = ROWS_OF_UNFUSED[at]
    if config == "cascade":
        settled["room"] = CASCADE_ROOM
    if settled:
        rule["cascade"] = settled
    data["mapping"][0] = rule
    return dict(data)


def workload(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """An op graph in which every value has 16 bits, sums too."""
    half = dict.fromkeys(("weights", "activations", "kv_cache", "accumulators"), "bf16")
    return {
        "schema": "archsim.workload/1",
        "name": "layer",
        "model": {"config": {"architecture": "graph", "ops": lines}},
        "dtypes": half,
    }


def attention(of: Model, length: int, **more: Any) -> dict[str, Any]:
    """Attention of all heads over whole sequences, unmasked, keys and values given in memory."""
    return {
        "name": "attention",
        "kind": "attention",
        "batch": BATCH,
        "heads": of.heads,
        "head_dim": of.head_dim,
        "queries": length,
        "context": length,
        "kv": "given",
        "causal": False,
        **more,
    }
