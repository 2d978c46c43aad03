"""Is indented JSON written as the standard library writes it?"""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.jsontext import indented

KEYS = st.one_of(st.text(max_size=4), st.integers(), st.booleans(), st.none(), st.floats())
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.floats(allow_nan=False).map(np.float64),
)  # fmt: skip
DATA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(DATA)
def test_text_is_the_librarys_byte_for_byte(data: Any) -> None:
    assert indented(data) == json.dumps(data, indent=1, ensure_ascii=False)


def test_what_json_cannot_hold_is_refused_as_the_library_refuses_it() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        indented({"a": [{1, 2}]})
