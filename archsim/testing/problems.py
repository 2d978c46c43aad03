"""Small MAC ops for tests: GEMM and convolution with their tensors, and hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

from archsim.ir.op import Access, Group, Kind, Op, Window, dims
from archsim.ir.tensor import DTYPES, Role, Tensor

Case = tuple[Op, dict[str, Tensor]]


def gemm(
    b: int, m: int, n: int, k: int, groups: tuple[Group, ...] = (), dtype: str = "int8"
) -> Case:
    """`o[b,m,n] += a[b,m,k] * w[b,k,n]`, ragged where groups are given."""
    shapes: dict[str, tuple[int, ...]] = {"a": (b, m, k), "w": (b, k, n), "o": (b, m, n)}
    op = Op(
        "gemm",
        Kind.GEMM,
        "gemm",
        {"B": b, "M": m, "N": n, "K": k},
        (Access("a", dims("B", "M", "K")), Access("w", dims("B", "K", "N"))),
        (Access("o", dims("B", "M", "N")),),
        groups=groups,
    )
    return op, _tensors(shapes, dtype)


def conv(
    images: int,
    groups: int,
    filters: int,
    channels: int,
    size: tuple[int, int],
    taps: int | tuple[int, int],
    window: tuple[int, int, int],
    dtype: str = "int8",
) -> Case:
    """A convolution; `filters` and `channels` are per group, `window` is stride, dilation, pad.

    There is no padding along an axis of one tap.
    """
    stride, dilation, pad = window
    kernel = (taps, taps) if isinstance(taps, int) else taps
    pads = (pad, pad) if isinstance(taps, int) else (pad * (taps[0] > 1), pad * (taps[1] > 1))
    out = [
        (s + 2 * p - dilation * (t - 1) - 1) // stride + 1
        for s, t, p in zip(size, kernel, pads, strict=True)
    ]
    shapes = {
        "a": (images, groups * channels, *size),
        "w": (groups, filters, channels, *kernel),
        "o": (images, groups * filters, *out),
    }
    op = Op(
        "conv",
        Kind.CONV,
        "conv",
        {
            "B": images, "G": groups, "OH": out[0], "OW": out[1],
            "OC": filters, "IC": channels, "FH": kernel[0], "FW": kernel[1],
        },
        (Access("a"), Access("w")),
        (Access("o"),),
        window=Window((stride, stride), (dilation, dilation), pads, size),
    )  # fmt: skip
    return op, _tensors(shapes, dtype)


def _tensors(shapes: dict[str, tuple[int, ...]], dtype: str) -> dict[str, Tensor]:
    role = {"a": Role.ACTIVATION, "w": Role.WEIGHT, "o": Role.ACTIVATION}
    return {n: Tensor(n, shape, DTYPES[dtype], role[n]) for n, shape in shapes.items()}


@st.composite
def gemms(draw: st.DrawFn) -> Case:
    """Small GEMMs: batched or not, ragged or not."""
    b = draw(st.sampled_from([1, 1, 2, 3, 6]))
    m, n, k = (draw(st.integers(1, 40)) for _ in range(3))
    groups: tuple[Group, ...] = ()
    if b > 1 and draw(st.booleans()):
        short = draw(st.integers(1, n))
        groups = (Group(1, (("N", n),)), Group(b - 1, (("N", short),)))
    return gemm(b, m, n, k, groups)


@st.composite
def convs(draw: st.DrawFn) -> Case:
    """Small convolutions: stride, dilation, padding, groups, depthwise."""
    taps, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    least = dilation * (taps - 1) + 1
    size = (draw(st.integers(least, 12)), draw(st.integers(least, 12)))
    window = (draw(st.integers(1, 3)), dilation, draw(st.integers(0, 1)))
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    filters, channels = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    return conv(draw(st.integers(1, 2)), groups, filters, channels, size, taps, window)


@st.composite
def lines(draw: st.DrawFn) -> Case:
    """Small depthwise convolutions with filters of one dimension, along rows or along columns."""
    taps, dilation = draw(st.integers(2, 5)), draw(st.integers(1, 2))
    least = dilation * (taps - 1) + 1
    size = (draw(st.integers(least, 14)), draw(st.integers(least, 14)))
    window = (draw(st.integers(1, 3)), dilation, draw(st.integers(0, 2)))
    along = draw(st.sampled_from([(1, taps), (taps, 1)]))
    return conv(draw(st.integers(1, 3)), draw(st.integers(1, 6)), 1, 1, size, along, window)
