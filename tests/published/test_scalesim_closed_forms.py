"""Is every figure of the SCALE-Sim table what its closed form says, with no simulator of ours?

A suite that passes shows that two programs agree; this shows on what. Nothing of archsim runs
here but the reading of the table.
"""

from math import ceil

import pytest

from archsim.validation.suite import HERE, read_table

ROWS = {row["case_id"]: row for row in read_table(HERE / "tables" / "scalesim_reference.csv")}
SRAMS = ("ifmap_sram_kb", "filter_sram_kb", "ofmap_sram_kb")


def up(a, b):
    return -(-a // b)


def numbers(row, *names):
    return tuple(int(row[name]) for name in names)


def output_size(row):
    """Rows and columns of a convolution's output: a last window may hang over the edge."""
    stride = int(row["stride"])
    high, wide, fh, fw = numbers(row, "ifmap_h", "ifmap_w", "filt_h", "filt_w")
    return ceil((high - fh + stride) / stride), ceil((wide - fw + stride) / stride)


def folds_of(row):
    """Folds down and across the array, the stream through each, and the cycles to load it."""
    m, n, k, rows, cols = numbers(row, "M", "N", "K", "rows", "cols")
    down, across, stream = {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[row["dataflow"]]
    load = 0 if row["dataflow"] == "os" else rows
    return up(down, rows), up(across, cols), down * across, stream, load


def touched(row):
    """Distinct input elements under the windows, those beyond the image left out."""
    if not row["filt_h"]:
        return int(row["M"]) * int(row["K"])
    stride = int(row["stride"])
    lines = {
        axis: {i * stride + j for i in range(count) for j in range(int(row[f"filt_{axis}"]))}
        & set(range(int(row[f"ifmap_{axis}"])))
        for axis, count in zip("hw", output_size(row), strict=True)
    }
    return len(lines["h"]) * len(lines["w"]) * int(row["channels"])


def fits(row):
    """Each operand within half its SRAM, at a bandwidth that never stalls."""
    m, n, k = numbers(row, "M", "N", "K")
    image = m * k
    if row["filt_h"]:
        high, wide, channels = numbers(row, "ifmap_h", "ifmap_w", "channels")
        image = high * wide * channels
    halves = [512 * size for size in numbers(row, *SRAMS)]
    return row["bw_mode"] == "CALC" and all(
        size <= half for size, half in zip((image, k * n, m * n), halves, strict=True)
    )


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def row(request):
    return request.param


def test_a_convolution_is_the_gemm_of_its_windows():
    rows = [row for row in ROWS.values() if row["filt_h"]]
    assert len(rows) == 53
    for row in rows:
        high, wide = output_size(row)
        fh, fw, channels, filters = numbers(row, "filt_h", "filt_w", "channels", "num_filters")
        assert numbers(row, "M", "N", "K") == (high * wide, filters, fh * fw * channels)


def test_cycles_are_folds_times_load_stream_and_skew(row):
    high, wide, _, stream, load = folds_of(row)
    each = load + int(row["rows"]) + int(row["cols"]) + stream - 2
    assert numbers(row, "folds", "cycles_per_fold", "compute_cycles") == (
        high * wide,
        each,
        high * wide * each,
    )


def test_mapping_efficiency_is_the_share_of_cells_that_hold_something(row):
    high, wide, cells, _, _ = folds_of(row)
    share = 100 * cells / (high * wide * int(row["rows"]) * int(row["cols"]))
    assert float(row["mapping_eff_pct"]) == pytest.approx(share, abs=0.51e-6)


def test_what_stays_is_read_once_and_what_streams_once_a_fold_it_crosses(row):
    m, n, k = numbers(row, "M", "N", "K")
    high, wide, _, _, _ = folds_of(row)
    passes = {"os": (wide, high), "ws": (wide, 1), "is": (1, wide)}[row["dataflow"]]
    assert numbers(row, "sram_ifmap_reads", "sram_filter_reads") == (
        m * k * passes[0],
        n * k * passes[1],
    )


def test_outputs_are_written_once_a_fold_of_the_reduction(row):
    m, n, rows, cols = numbers(row, "M", "N", "rows", "cols")
    high, wide, _, _, _ = folds_of(row)
    # output-stationary: each fold's drain also counts a slot a row and a column that are idle
    writes = m * n + high * wide * (rows + cols) if row["dataflow"] == "os" else m * n * high
    assert int(row["sram_ofmap_writes"]) == writes


def test_operands_that_fit_half_their_sram_are_fetched_once():
    rows = [row for row in ROWS.values() if fits(row)]
    assert len(rows) == 107
    for row in rows:
        once = touched(row), int(row["N"]) * int(row["K"])
        assert numbers(row, "dram_ifmap_reads", "dram_filter_reads") == once


def test_the_printed_total_is_one_cycle_less_than_the_folds_take():
    for row in ROWS.values():
        stalls = int(row["scalesim_total_cycles"]) - (int(row["compute_cycles"]) - 1)
        assert stalls == 0 or (row["bw_mode"] == "USER" and stalls > 0)
