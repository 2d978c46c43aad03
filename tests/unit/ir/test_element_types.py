"""Do packed elements and their scales add up, in a tensor, in a tile and in a whole run?"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archsim.ir.problem import problem
from archsim.ir.tensor import DTYPES, DType, Role, Tensor, block_format
from archsim.lowering.lower import lower
from archsim.lowering.phase import BlockFormat, DTypes
from archsim.lowering.spec import load_workload
from archsim.testing.problems import gemm


@pytest.mark.parametrize(
    ("name", "elements", "expected"),
    [
        ("bf16", 3, 6),
        ("int4", 3, 2),
        ("int3", 8, 3),
        ("int2", 5, 2),
        ("fp4", 7, 4),
        ("mxfp4", 64, 34),  # 32 bytes and two scales
        ("mxfp4", 33, 19),  # 16.5 bytes and two scales
        ("mxfp8", 32, 33),
        ("nvfp4", 16, 9),
        ("int4g128", 256, 133),  # 128 bytes and two of 20 bits
        ("mxfp6", 32, 25),
        ("tf32", 3, 12),  # stored as fp32
        ("fp8_e5m2", 5, 5),
        ("ternary", 5, 2),
    ],
)
def test_a_tensor_is_its_elements_and_a_scale_for_each_block(name, elements, expected):
    assert DTYPES[name].bytes(elements) == expected
    assert Tensor("t", (elements,), DTYPES[name], Role.WEIGHT).bytes == expected


def test_forms_of_storage_compute_at_a_wider_type():
    found = {name: d.computes_as for name, d in DTYPES.items() if d.computes_as != name}
    assert found == {
        "int3": "bf16", "int2": "bf16", "mxfp4": "bf16", "mxfp8": "fp8", "nvfp4": "bf16",
        "int4g128": "bf16", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "mxfp6": "fp8",
        "ternary": "int8",
    }  # fmt: skip


def test_a_workload_makes_up_a_form_of_storage():
    form = BlockFormat(bits=3, group=64, scale_bytes=2)
    assert DTypes(weights=form).of(Role.WEIGHT) == DType("int3g64s2", 3, 64, 16, "bf16")
    assert block_format(3, 64, 2, "bf16").bytes(128) == 48 + 4


@pytest.mark.parametrize(
    ("form", "elements", "expected"),
    [
        ({"bits": 5.25}, 32, 21),
        ({"bits": 5.25}, 33, 22),  # 173.25 bits, the last one of a group that is not full
        ({"bits": 4}, 7, 4),
        ({"bits": 6, "group": 128, "scale_bytes": 1}, 128, 97),  # 6.0625 bits
        ({"bits": 4.5, "group": 64}, 64, 38),  # 36 bytes and a scale
    ],
)
def test_bits_may_be_a_mean_of_several_widths(form, elements, expected):
    found = DTypes(weights=BlockFormat(**form)).of(Role.WEIGHT)
    assert found.bytes(elements) == expected
    assert found.computes_as == "bf16"


def test_rules_give_tensors_a_type_of_their_own_and_the_first_wins():
    types = DTypes.model_validate(
        {
            "weights": "bf16", "activations": "bf16",
            "mixed": (
                {"tensors": "ffn.*.weight", "dtype": "int4g128"},
                {"tensors": ("*.weight", "x"), "dtype": "int8"},
            ),
        }
    )  # fmt: skip
    assert types.of(Role.WEIGHT, "ffn.up.weight").name == "int4g128"
    assert types.of(Role.WEIGHT, "attn.qkv.weight").name == "int8"
    assert types.of(Role.ACTIVATION, "hidden").name == "bf16"
    assert types.of(Role.WEIGHT).name == "bf16"


def test_weights_and_cache_in_made_up_forms_are_counted_with_their_scales():
    form = {"bits": 4, "group": 64, "scale_bytes": 2}
    data = {
        "schema": "archsim.workload/1", "name": "w", "model": {"preset": "llama-3-8b"},
        "phase": {"kind": "decode", "context": 128},
        "dtypes": {"weights": form, "kv_cache": form},
    }  # fmt: skip
    found = lower(load_workload(data)[0])
    assert found.stored_bytes(Role.WEIGHT) == 8030261248 // 64 * 34
    assert found.facts["kv_bytes_per_token"] == 65536 // 64 * 34
    assert found.stored_bytes(Role.KV_CACHE) == 128 * 65536 // 64 * 34


def weights(dtype):
    op, tensors = gemm(1, 4, 48, 96)
    tensors = {name: Tensor(name, t.shape, dtype, t.role) for name, t in tensors.items()}
    return problem(op, tensors, 32), tensors[op.reads[1].tensor]


@given(
    bits=st.integers(1, 16),
    group=st.integers(0, 200),
    scale_bits=st.integers(1, 40),
    cuts=st.lists(st.integers(1, 4607), max_size=6),
)
def test_tiles_never_move_less_than_the_tensor(bits, group, scale_bits, cuts):
    view, tensor = weights(DType("t", bits, group, scale_bits))
    ends = sorted({0, *cuts, tensor.elements})
    assert int(view.weight_bytes(np.diff(ends)).sum()) >= tensor.bytes


@given(name=st.sampled_from(sorted(DTYPES)), pieces=st.sampled_from([1, 2, 3, 6, 12, 18, 36]))
def test_tiles_of_whole_blocks_add_up_to_the_tensor(name, pieces):
    view, tensor = weights(DTYPES[name])
    tile = tensor.elements // pieces
    whole = tile % (DTYPES[name].group or 1) == 0 and tile * DTYPES[name].bits % 8 == 0
    total = pieces * int(view.weight_bytes(np.array([tile]))[0])
    scales_fit = tile // (DTYPES[name].group or 1) * DTYPES[name].scale_bits % 8 == 0
    assume(whole and scales_fit)
    assert total == tensor.bytes
