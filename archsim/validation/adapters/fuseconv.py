"""FuSeConv rows: a network on a plain array against a variant of it on one with weight links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archsim.api import run
from archsim.core.data import find
from archsim.core.errors import Unsupported
from archsim.core.yamlio import load_yaml
from archsim.validation.base import Adapter, Row

PRESETS = {
    "MobileNet-V1": "mobilenet-v1",
    "MobileNet-V2": "mobilenet-v2",
    "MnasNet-B1": "mnasnet-b1",
    "MobileNet-V3-Small": "mobilenet-v3-small-fuseconv",
    "MobileNet-V3-Large": "mobilenet-v3-large-fuseconv",
}
# layers that the authors replaced in their 50 % variants, from the networks they published
# (iitm-sysdl/FuSeConv): the `fuse` column of each file named here
HALF_OF_LAYERS = {
    "mobilenet-v1": ("stage1", "stage2", "stage3"),  # mobilenetv1hybrid.py at 8dfd72f1
    "mobilenet-v2": ("stage2", "stage3", "stage4"),  # mobilenetv2fusedHybrid.py at 343a1fe5
    "mnasnet-b1": ("stage2", "stage3", "stage4"),  # mnasnethybrid.py at 48e61efe
    # mobilenetv3fusedHybrid.py at 3f83621c, both
    "mobilenet-v3-small-fuseconv": ("block3", "block5", "block7", "block8"),
    "mobilenet-v3-large-fuseconv": ("block[2-8]",),
}
TIMED = ("conv", "fc")  # op classes whose cycles FuSeConv counts, squeeze and excitation included


class FuSeConvRows(Adapter):
    """Speed-ups of networks with one-dimensional convolutions, and their parameters."""

    kind = "fuseconv"
    NEEDS = ("network", "variant")

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that runs each plain network once."""
        super().__init__(set_)
        self._plain: dict[str, tuple[int, int]] = {}  # cycles and parameters of networks as is

    def label(self, row: Row) -> str:
        """Network and variant."""
        return f"{row['network']} {row['variant']}"

    def run(self, row: Row) -> dict[str, float]:
        """Array cycles without the transform over those with it."""
        preset = _known(row, "network", PRESETS)
        transform = _transform(row, preset)
        if preset not in self._plain:
            self._plain[preset] = self._cycles(preset, None)
        plain = self._plain[preset]
        cycles, parameters = self._cycles(preset, transform) if transform else plain
        return {"speedup": plain[0] / cycles, "params_million": parameters / 1e6}

    def _cycles(self, preset: str, transform: dict[str, Any] | None) -> tuple[int, int]:
        """Array cycles of a network, and its parameters."""
        workload: dict[str, Any] = {
            "schema": "archsim.workload/1",
            "name": preset,
            "model": {"preset": preset},
            "dtypes": {"weights": "fp16", "activations": "fp16"},
        }
        if transform:
            workload["transform"] = transform
        hardware = _machine(broadcasts=transform is not None)
        report = run(hardware, workload, set_=self.set_, fidelity="analytic", advice=False)
        cycles = sum(op["compute_cycles"] for op in report.ops if op["op_class"] in TIMED)
        return cycles, int(report.result["model"]["parameters"])


def _machine(*, broadcasts: bool) -> dict[str, Any]:
    """The shipped machine, with its weight links or without."""
    data = load_yaml(find("fuseconv-64", "configs")).data
    if not broadcasts:
        data["engines"]["array"]["row_broadcast"] = False
        data["mapping"] = [rule for rule in data["mapping"] if rule["ops"] == "*"]
    return dict(data)


def _transform(row: Row, preset: str) -> dict[str, Any] | None:
    """The transform of a row's variant; None for the network as it is."""
    if row["variant"] == "baseline":
        return None
    variants = ("Full", "Half")
    which, _, share = row["variant"].partition("-")
    if which not in variants or share not in ("", "50"):
        words = ["baseline", *variants, *(f"{word}-50" for word in variants)]
        raise Unsupported(
            f'column variant expects one of {", ".join(words)}, got "{row["variant"]}"'
        )
    transform: dict[str, Any] = {"kind": "fuseconv", "variant": which.lower()}
    if share:
        transform["layers"] = list(HALF_OF_LAYERS[preset])
    return transform


def _known(row: Row, column: str, words: dict[str, str]) -> str:
    """What a word of a column stands for.

    Raises:
        Unsupported: for any other word.
    """
    text = row[column]
    if text not in words:
        raise Unsupported(f'column {column} expects one of {", ".join(words)}, got "{text}"')
    return words[text]
