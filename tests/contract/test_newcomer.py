"""Can somebody add one of each kind by touching one place, and run them together?"""

import textwrap

import archsim
import archsim.memory.standard as standards
from archsim.components.base import engines
from archsim.core.data import find
from archsim.core.yamlio import load_yaml
from archsim.dataflows.base import dataflows
from archsim.interconnect.base import links
from archsim.lowering import model as workloads
from archsim.memory.base import memories

ENGINE = '''
from typing import Literal
from archsim.components.systolic_array import SystolicArray


class TwiceArray(SystolicArray):
    """A systolic array that streams two elements a cycle."""

    kind = "twice_array"

    class Spec(SystolicArray.Spec):
        """As a systolic array."""

        kind: Literal["twice_array"] = "twice_array"

    def cost(self, tiles, dtype):
        """Half the cycles."""
        from dataclasses import replace
        whole = super().cost(tiles, dtype)
        return replace(whole, cycles=-(-whole.cycles // 2))
'''
DATAFLOW = '''
from archsim.dataflows.base import Dataflow


class NoLocalReuse(Dataflow):
    """Weights stay, rows and columns exchanged."""

    kind = "no_local_reuse"
    stationary = "weight"
    row_rank = "k"
    col_rank = "n"
'''
MEMORY = '''
from typing import Literal
from archsim.memory.dram import Dram


class SlowDram(Dram):
    """A DRAM at half its peak."""

    kind = "slow_dram"

    class Spec(Dram.Spec):
        """As a dram."""

        kind: Literal["slow_dram"] = "slow_dram"

    @property
    def bytes_per_s(self):
        """Half."""
        return self.peak_bytes_per_s / 2
'''
NETWORK = '''
from typing import Literal
import numpy as np
from archsim.interconnect.base import Topology, WiredSpec


class Star(Topology):
    """Devices around the first of them."""

    kind = "star"

    class Spec(WiredSpec):
        """Devices."""

        kind: Literal["star"] = "star"

        devices: int
        """Devices."""

    def ends(self):
        """To the first device and back."""
        others = np.arange(1, self.spec.devices)
        middle = np.zeros_like(others)
        return self.spec.devices, np.append(others, middle), np.append(middle, others)
'''
STANDARD = """
schema: archsim.dram-standard/1
name: TOY_1Gbps
bytes_per_s: 128 GB/s
capacity_bytes: 64 GiB
latency_s: 50 ns
streaming_efficiency: 90 %
energy: hbm2
source: {all: assumed}
"""
MODEL = """
schema: archsim.model/1
name: toy-llm
source: made up
expect: {parameters: 1}
model: {architecture: transformer, layers: 3, hidden: 256, heads: 4, kv_heads: 2, head_dim: 64,
        ffn: 512, ffn_matrices: 3, activation: silu, norm: rms, position: rope, vocab: 1000}
"""


def test_one_file_each_is_enough_for_an_engine_a_dataflow_a_memory_a_network_a_standard_and_a_model(
    tmp_path, monkeypatch
):
    rooms = {}
    files = {"engine": ENGINE, "flow": DATAFLOW, "memory": MEMORY, "network": NETWORK}
    for room, text in files.items():
        rooms[room] = tmp_path / room
        rooms[room].mkdir()
        (rooms[room] / f"my_{room}.py").write_text(textwrap.dedent(text))
    (tmp_path / "TOY_1Gbps.yaml").write_text(STANDARD)
    (tmp_path / "toy-llm.yaml").write_text(MODEL)
    monkeypatch.setattr(standards, "FOLDER", tmp_path)
    monkeypatch.setattr(workloads, "data_dir", lambda _: tmp_path)
    machine = load_yaml(find("npu", "configs")).data
    machine["engines"]["array"]["kind"] = "twice_array"
    machine["memory"]["hbm"] = {"kind": "slow_dram", "standard": "TOY_1Gbps", "stacks": 2}
    node = {"kind": "star", "devices": 2, "bandwidth": "50 GB/s", "latency": "1 us"}
    machine["interconnect"]["node"] = node
    machine["mapping"] = [{"ops": "*", "dataflow": "no_local_reuse"}]
    del machine["provenance"]
    with (
        engines.scanning(rooms["engine"]),
        dataflows.scanning(rooms["flow"]),
        memories.scanning(rooms["memory"]),
        links.scanning(rooms["network"]),
    ):
        report = archsim.run(machine, "toy-llm", phase="decode", batch=2, context=64)
        assert "twice_array" in engines.names()
    assert "twice_array" not in engines.names()
    assert {row["dataflow"] for row in report.ops if row["macs"]} == {"no_local_reuse"}
    assert report.metrics["network"]["kind"] == "star"
    # 2 stacks of 128 GB/s, of which half: what is moved takes at least that long on two devices
    moved = report.result["traffic"]["hbm"]["total_bytes"] / 2
    assert report.metrics["time_s"] >= moved / 128e9
