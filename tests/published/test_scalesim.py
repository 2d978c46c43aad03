"""Are cycles, folds and accesses those of SCALE-Sim, and those of the closed forms?"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import archsim
from archsim.validation import validate
from archsim.validation.adapters.scalesim import ScaleSim

DATAFLOWS = st.sampled_from(["os", "ws", "is"])


def up(a, b):
    return -(-a // b)


def closed_form(row):
    """Cycles, folds and reads of a GEMM row, from Samajdar et al. (ISPASS 2020)."""
    m, n, k, rows, cols = (int(row[x]) for x in ("M", "N", "K", "rows", "cols"))
    along = {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[row["dataflow"]]
    high, wide = up(along[0], rows), up(along[1], cols)
    fill = rows if row["dataflow"] != "os" else 0
    reads = {"os": (wide, high), "ws": (wide, 1), "is": (1, wide)}[row["dataflow"]]
    cells = along[0] * along[1] / (high * wide * rows * cols)
    return {
        "mapping_eff_pct": pytest.approx(100 * cells),
        "folds": high * wide,
        "compute_cycles": high * wide * (fill + rows + cols + along[2] - 2),
        "sram_ifmap_reads": m * k * reads[0],
        "sram_filter_reads": k * n * reads[1],
    }


def test_every_gating_metric_of_the_table_is_exact():
    result = validate("scalesim")
    assert result.rows == 195
    assert result.passed, [c for c in result.cases if c.status != "pass"][:5]
    cycles = result.metrics()["compute_cycles"]
    assert cycles["exact"] == cycles["n"] == 195


@settings(max_examples=60, deadline=None)
@given(
    dataflow=DATAFLOWS,
    rows=st.sampled_from([1, 4, 12, 16, 32, 128, 256]),
    cols=st.sampled_from([1, 8, 14, 16, 64, 256]),
    m=st.integers(1, 3000),
    n=st.integers(1, 1500),
    k=st.integers(1, 1500),
    mode=st.sampled_from(["CALC", "USER"]),
)
# one cell has no fill: a reduction cut in parts takes as many cycles, but more folds
@example(dataflow="os", rows=1, cols=1, m=2379, n=1, k=2048, mode="CALC")
def test_arrays_and_layers_beyond_the_table_follow_the_closed_forms(
    dataflow, rows, cols, m, n, k, mode
):
    row = {
        "case_id": "drawn", "kind": "gemm", "dataflow": dataflow, "rows": str(rows),
        "cols": str(cols), "M": str(m), "N": str(n), "K": str(k), "filt_h": "", "bw_mode": mode,
        "user_bw_words_per_cycle": "10", "ifmap_sram_kb": "256", "filter_sram_kb": "256",
        "ofmap_sram_kb": "256",
    }  # fmt: skip
    got = ScaleSim().run(row)
    assert {name: got[name] for name in closed_form(row)} == closed_form(row)


NAMES = {"os": "output_stationary", "ws": "weight_stationary", "is": "input_stationary"}


@settings(max_examples=25, deadline=None)
@given(
    dataflow=DATAFLOWS,
    rows=st.integers(2, 96),
    cols=st.integers(2, 96),
    m=st.integers(1, 700),
    n=st.integers(1, 700),
    k=st.integers(1, 700),
)
def test_a_machine_and_a_layer_as_a_user_writes_them_follow_the_closed_forms(
    dataflow, rows, cols, m, n, k
):
    machine = {
        "extends": "scalesim-128",
        "engines": {"array": {"rows": rows, "cols": cols}},
        "mapping": [
            {"ops": "*", "dataflow": NAMES[dataflow], "objective": "compute", "fuse": "none"}
        ],
    }
    work = {
        "schema": "archsim.workload/1",
        "name": "drawn",
        "model": {"layers": [{"name": "a", "m": m, "n": n, "k": k}]},
        "dtypes": {"weights": "int8", "activations": "int8", "accumulators": "int8"},
    }
    (op,) = archsim.run(machine, work, advice=False).ops
    want = closed_form({"dataflow": dataflow, "rows": rows, "cols": cols, "M": m, "N": n, "K": k})
    names = {"sram_ifmap_reads": "sram_in_reads", "sram_filter_reads": "sram_weight_reads"}
    assert {name: op[names.get(name, name)] for name in want} == want
    # a partial sum for each fold of the reduction, or each output once where it stays
    parts = up(k, rows) if dataflow != "os" else 1
    assert op["sram_out_writes"] == m * n * parts
