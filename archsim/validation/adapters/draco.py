"""DRACO rows: one layer of MobileNetV1 on a row-stationary array, as a network on `draco-16`."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose, prod
from typing import Any

from archsim.api import run
from archsim.core.data import find
from archsim.core.errors import Unsupported
from archsim.core.yamlio import load_yaml
from archsim.validation.base import Adapter, Row

NETWORK = "mobilenet-v1"
Layer = dict[str, Any]  # of a network of its own, with the `input` that it reads


class Draco(Adapter):
    """Cycles of row-stationary mappings against the DRACO authors' extension of nn-dataflow."""

    kind = "draco"
    ID = "layer"
    NEEDS = ("layer", "MACs_million")

    def run(self, row: Row) -> dict[str, float]:
        """One layer through the same call that users make."""
        layer = self._layer(row)
        image, spec = layer["input"], {k: v for k, v in layer.items() if k != "input"}
        work = {
            "schema": "archsim.workload/1",
            "name": row["layer"],
            "model": {"config": {"architecture": "cnn", "input": image, "layers": [spec]}},
            "dtypes": {"weights": "int16", "activations": "int16"},
        }
        hardware = load_yaml(find("draco-16", "configs")).data
        array = hardware["engines"]["array"]
        for side in ("rows", "cols"):  # a table of another array says so
            if row.get(side):
                array[side] = _whole(row, side)
        if row["layer"].startswith("pool"):
            # a pool has no filters for sets to share: nn-dataflow gives each set a channel
            hardware["mapping"][0]["dataflow"] = "row_stationary_groups"
        report = run(hardware, work, set_=self.set_, fidelity="tile", advice=False)
        return {"cycles": report.ops[0]["compute_cycles"]}

    def _layer(self, row: Row) -> Layer:
        """The layer of the network that a row names.

        Raises:
            Unsupported: for a name that it does not have, or another number of multiply-adds.
        """
        name = row["layer"]
        layers = dict(_layers())
        if name not in layers:
            raise Unsupported(f"{NETWORK} has no layer {name}: it has {', '.join(layers)}")
        layer = layers[name]
        macs = _macs(layer) / 1e6
        try:
            asked = float(row["MACs_million"])
        except ValueError:
            raise Unsupported(f"column MACs_million expects a number, got "
                              f'"{row["MACs_million"]}"') from None  # fmt: skip
        if not isclose(macs, asked, rel_tol=1e-3):
            raise Unsupported(f"{name} of {NETWORK} has {macs:g} million MACs, not {asked:g}")
        return layer


def _layers() -> Iterator[tuple[str, Layer]]:
    """Layers by the names of nn-dataflow: conv1, conv2_dw, conv2_pw, ..., pool1, fc1."""
    model = load_yaml(find(NETWORK, "workloads/models")).data["model"]
    channels, high, wide = model["input"]
    number = 0
    for layer in model["layers"]:
        if layer["kind"] == "conv":
            number += 1
            plain = _conv(channels, (high, wide), layer["out_channels"], layer["kernel"],
                          layer.get("stride", 1), layer.get("padding", 0))  # fmt: skip
            yield f"conv{number}", plain
            channels, high, wide = _out(plain)
        elif layer["kind"] == "separable":
            for i in range(layer.get("count", 1)):
                number += 1
                stride = layer.get("stride", 1) if i == 0 else 1
                depthwise = _conv(channels, (high, wide), channels, 3, stride, 1, "depthwise")
                yield f"conv{number}_dw", depthwise
                channels, high, wide = _out(depthwise)
                pointwise = _conv(channels, (high, wide), layer["out_channels"], 1)
                yield f"conv{number}_pw", pointwise
                channels, high, wide = _out(pointwise)
        elif layer["kind"] == "global_pool":
            yield "pool1", _conv(channels, (high, wide), channels, high, 1, 0, "depthwise")
            high = wide = 1
        elif layer["kind"] == "linear":
            yield "fc1", _conv(channels, (1, 1), layer["out_features"], 1)


def _conv(
    channels: int,
    size: tuple[int, int],
    filters: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    groups: int | str = 1,
) -> Layer:
    return {
        "kind": "conv", "name": "layer", "input": [channels, *size], "out_channels": filters,
        "kernel": kernel, "stride": stride, "padding": padding, "groups": groups,
        "batch_norm": False, "activation": "none",
    }  # fmt: skip


def _out(layer: Layer) -> tuple[int, int, int]:
    """Channels, height and width of what a layer makes."""
    _, high, wide = layer["input"]
    high, wide = (
        (n + 2 * layer["padding"] - layer["kernel"]) // layer["stride"] + 1 for n in (high, wide)
    )
    return layer["out_channels"], high, wide


def _macs(layer: Layer) -> int:
    """Multiply-accumulates of a layer."""
    inner = 1 if layer["groups"] == "depthwise" else layer["input"][0]
    return prod(_out(layer)) * int(inner) * int(layer["kernel"]) ** 2


def _whole(row: Row, column: str) -> int:
    """A whole number above 0.

    Raises:
        Unsupported: for anything else.
    """
    text = row[column]
    if not text.isdigit() or int(text) == 0:
        raise Unsupported(f'column {column} expects a whole number above 0, got "{text}"')
    return int(text)
