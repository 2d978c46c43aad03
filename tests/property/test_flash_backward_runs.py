"""Do laws, both engines and folds hold for any attention whose backward pass stays on chip?"""

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.ir.flash_backward import FlashBackwardMapping
from archsim.report.account import account
from archsim.system.bound import bound
from archsim.system.record import record
from archsim.system.simulate import timed

BACKWARD = "layer.backward/attn.score.again"


@st.composite
def steps(draw):
    """A training step of a thin decoder: grouped heads or not, a window or not."""
    kv_heads = draw(st.sampled_from([1, 2, 3]))
    config = {
        "architecture": "transformer", "layers": draw(st.integers(1, 2)), "hidden": 48,
        "heads": kv_heads * draw(st.integers(1, 3)), "kv_heads": kv_heads,
        "head_dim": draw(st.sampled_from([8, 16, 20])), "ffn": 32, "ffn_matrices": 2,
        "activation": "relu", "norm": "rms", "position": "rope", "vocab": 40,
    }  # fmt: skip
    if draw(st.booleans()):
        config["sliding_window"] = draw(st.sampled_from([5, 30]))
    phase = {"kind": "train", "batch": draw(st.integers(1, 2)), "tokens": draw(st.integers(2, 60))}
    return {
        "schema": "archsim.workload/1", "name": "w", "model": {"config": config}, "phase": phase,
    }  # fmt: skip


@st.composite
def machines(draw):
    """The npu with less memory on chip, and a deeper pipeline of tiles or not."""
    data = api.load_hardware("npu").to_data()
    data["memory"]["sram"]["capacity"] = draw(st.sampled_from(["96 KiB", "512 KiB", "32 MiB"]))
    data["engines"]["array"] |= {"rows": 16, "cols": 16, "count": draw(st.sampled_from([1, 4]))}
    data["interconnect"]["dma"]["depth"] = draw(st.sampled_from([1, 2, 3]))
    return data


@settings(max_examples=8, deadline=None)
@given(hardware=machines(), work=steps())
def test_any_backward_pass_on_chip_keeps_the_laws_and_both_engines_agree(hardware, work):
    plan = api.place_only(hardware, work)
    (block,) = [b for b in plan.blocks if b.block.name == "layer.backward"]
    (stage,) = [s for s in block.stages if s.path == BACKWARD]
    mapping = stage.mapping
    assert isinstance(mapping, FlashBackwardMapping)
    runs = {
        (engine, exact): timed(plan, fidelity="tile", engine=engine, exact=exact)
        for engine in ("compiled", "simpy")
        for exact in (False, True)
    }
    assert len({run.time_ps for run in runs.values()}) == 1
    done = record(plan, bound(plan), runs["compiled", False])
    counts = account(done).by_stage[[s.path for s in done.stages].index(BACKWARD)]
    moved = sum(n for key, n in counts.items() if key.startswith("dram."))
    assert moved == block.block.count * sum(mapping.traffic().values())
