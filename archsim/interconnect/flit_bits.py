"""The lowest bit of a mask, and indices: what machine code does in one instruction each.

`machine` makes the instructions, which take the place of the plain functions of their names.
"""

from __future__ import annotations

from typing import Any


def lowest(bits: int) -> int:
    """Number of the lowest bit set."""
    return (bits & -bits).bit_length() - 1


def machine() -> dict[str, Any]:
    """`lowest`, and `index`: a number as an unsigned one, so that no end of an array is asked."""
    from numba import types
    from numba.core.cgutils import true_bit
    from numba.extending import intrinsic

    @intrinsic
    def count_zeros(_: Any, bits: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = context.cast(builder, args[0], signature.args[0], types.int64)
            return builder.cttz(word, true_bit)

        return types.int64(bits), emit

    @intrinsic
    def index(_: Any, number: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.cast(builder, args[0], signature.args[0], types.int64)

        return types.uint64(number), emit

    return {"lowest": count_zeros, "index": index}
