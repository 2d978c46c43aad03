"""Does the console summary put the answer first and stay within its width?"""

from __future__ import annotations

from typing import Any

from archsim import __version__
from archsim.report.model import Report
from archsim.report.render import summary

RESULT: dict[str, Any] = {
    "key": "9f31c2ab00", "fidelity": "cycle", "seed": 0,
    "inputs": {"hardware": {"name": "toy"}, "workload": {"name": "tiny_decode"}},
    "time_ps": 2_000_000_000, "bound_ps": 1_600_000_000, "bound_by": "memory",
    "ratio_to_bound": 1.25,
    "verdict": "tiny_decode on toy is bound by memory.",
    "metrics": {
        "time_s": 2e-3,
        "throughput": {"output_tok_per_s": 8000.0},
        "energy_j": {"total": 0.1, "per_output_tok": 0.00625,
                     "by_component": {"mac": 0.025, "hbm": 0.075, "dma": 0.0}},
        "power_w": {"mean": 50.0, "peak": None},
        "area_mm2": {"total": 100.0, "by_component": {"array": 60.0, "sram": 40.0, "hbm": 0.0}},
        "utilization": {"mfu": 0.1, "mbu": 0.8, "by_resource": {}},
        "memory_peak_bytes": {"sram": 1 << 20, "hbm": 5 << 30},
    },
    "op_classes": [
        {"op_class": "ffn", "share": 0.75, "time_ps": 1_500_000_000, "engine": "array",
         "bound_by": "hbm_bandwidth", "mfu": 0.12, "mbu": 0.9},
        {"op_class": "softmax", "share": 0.25, "time_ps": 500_000_000, "engine": "vector",
         "bound_by": "vector_busy", "mfu": None, "mbu": None},
    ],
    "stalls": {"hbm_bandwidth": 0.7, "vector_busy": 0.29999, "array_latency": 0.00001},
    "traffic": {"hbm": {"weight_read_bytes": 3 << 30, "kv_cache_read_bytes": 1 << 30,
                        "index_read_bytes": 0, "total_bytes": 4 << 30}},
    "placeholders_used": ["vector.exp"],
}  # fmt: skip

TEXT = f"""\
archsim {__version__}  toy x tiny_decode  fidelity=cycle  seed=0  key 9f31c2ab

Time         2.00 ms     1.250 x the physical bound 1.60 ms (memory)
Throughput   8000 tok/s  output tokens
Energy       100 mJ      6.25 mJ per output token
Power        50.0 W      mean
Area         100 mm2     engines and SRAM; without PHYs, links and control
Utilization  MFU 10.0 %  MBU 80.0 %

Time by op class   share     time  on      bound by          MFU     MBU
ffn               75.0 %  1.50 ms  array   hbm_bandwidth  12.0 %  90.0 %
softmax           25.0 %   500 us  vector  vector_busy         -       -

Time on the critical path
hbm_bandwidth              70.0 %    ━━━━━━━━━━━━━━
vector_busy                30.0 %    ━━━━━━
1 more                      0.0 %

Energy
hbm     75.0 %  75.0 mJ  ━━━━━━━━━━━━━━━
mac     25.0 %  25.0 mJ  ━━━━━

Area
array  60.0 %  60 mm2  ━━━━━━━━━━━━
sram   40.0 %  40 mm2  ━━━━━━━━

Bytes moved
hbm weight read    75.0 %  3.00 GiB
hbm kv cache read  25.0 %  1.00 GiB
hbm total                  4.00 GiB

Held at most
sram            1.00 MiB
hbm             5.00 GiB

Assumed energy rows: vector.exp

tiny_decode on toy is bound by memory."""


def report_of(**changes: Any) -> Report:
    return Report({**RESULT, **changes}, [], [], {}, {})


def test_the_summary_of_a_run_reads_as_written_here() -> None:
    assert summary(report_of()) == TEXT


def test_the_summary_is_never_wider_than_asked() -> None:
    long = "a_very_long_name_of_a_workload_that_somebody_has_chosen_for_fun"
    report = report_of(inputs={"hardware": {"name": long}, "workload": {"name": long}})
    for width in (80, 100):
        assert max(map(len, summary(report, width=width).splitlines())) <= width


def test_colour_only_when_asked_for() -> None:
    assert "\x1b[" not in summary(report_of())
    assert "\x1b[" in summary(report_of(), colour=True)


def test_a_bound_has_a_time_and_no_energy() -> None:
    metrics = {k: RESULT["metrics"][k] for k in ("time_s", "area_mm2", "throughput")}
    bare = {
        k: v for k, v in RESULT.items() if k not in ("stalls", "op_classes", "traffic", "verdict")
    }
    text = summary(Report({**bare, "fidelity": "bound", "metrics": metrics}, [], [], {}, {}))
    assert "the physical bound, set by memory" in text
    assert "Energy" not in text
    assert "critical path" not in text


def test_a_missing_metric_is_a_dash() -> None:
    metrics = {**RESULT["metrics"], "power_w": {"mean": None, "peak": None}}
    assert "Power        -" in summary(report_of(metrics=metrics))


def test_the_tokens_of_an_encoder_are_just_tokens() -> None:
    text = summary(report_of(model={"phase": {"kind": "encode"}}))
    assert "output token" not in text
    assert "  tokens\n" in text
    assert " per token\n" in text


def test_a_large_rate_has_a_prefix_and_no_exponent() -> None:
    rates = {"prompt_tok_per_s": 394_900.0, "output_tok_per_s": 9876.5}
    text = summary(report_of(metrics={**RESULT["metrics"], "throughput": rates}))
    assert "395 ktok/s" in text
    assert "9876 tok/s output tokens" in text
