"""Is a layer of GPT-3, measured on four A100, met operator by operator and as a whole?"""

import pytest

from archsim.api import run
from archsim.system.spec import load_hardware
from archsim.validation import validate
from archsim.validation.adapters.gpt3_layer import MACHINE, OPERATORS, Gpt3Layer
from archsim.validation.suite import HERE, load_suite, read_table


def test_products_and_the_layer_are_met():
    result = validate("gpt3-layer")
    assert result.passed, [c for c in result.cases if c.status != "pass"]
    gated = {(c.id, c.metric) for c in result.cases if c.gating}
    assert len(gated) == 4 + 3 + 2  # products of a prompt, longer ones of a token, the layer
    assert ("Wo_proj", "decode_s") not in gated
    assert result.metrics()["layer_decode_s"]["max_ape_pct"] < 6


def test_the_layer_is_the_sum_of_its_operators():
    adapter = Gpt3Layer()
    parts = [adapter.run({"operator": name}) for name in OPERATORS]
    whole = adapter.run({"operator": "TOTAL"})
    for phase in ("prefill_s", "decode_s"):
        assert whole[f"layer_{phase}"] == pytest.approx(sum(part[phase] for part in parts))


def test_every_row_of_the_table_is_an_operator_or_the_layer():
    rows = read_table(HERE / "tables" / load_suite("gpt3-layer").table)
    names = [row["operator"] for row in rows]
    assert [n for n in names if n not in OPERATORS] == ["TOTAL(sum computed here)"]
    assert set(OPERATORS) <= set(names)


def test_a_host_that_takes_no_time_leaves_the_kernels():
    free = tuple(f"mapping[{i}].launch=3.45 us" for i in range(3))
    bare = Gpt3Layer(("engines.tensor.launch=3.45 us", *free))
    with_host, without = (
        a.run({"operator": "TOTAL"})["layer_decode_s"] for a in (Gpt3Layer(), bare)
    )
    assert 300e-6 < with_host - without < 400e-6


def test_launches_stand_for_single_products_that_were_measured_elsewhere():
    chip = load_hardware(MACHINE)[0].to_data()
    del chip["interconnect"]["node"]
    # LLMCompass at 2e015fd2, figure 5a and b, an A100: M, K, N, microseconds
    measured = ((8192, 64, 64, 29.6), (8192, 256, 256, 35.6), (64, 12288, 12288, 190.0),
                (2048, 12288, 12288, 2358.6), (8192, 4096, 4096, 1021.0))  # fmt: skip
    for m, k, n, want in measured:
        work = {
            "schema": "archsim.workload/1", "name": "x",
            "model": {"layers": [{"name": "g", "m": m, "n": n, "k": k}]},
            "dtypes": {"weights": "fp16", "activations": "fp16"},
        }  # fmt: skip
        got = run(chip, work, fidelity="tile").result["time_ps"] / 1e6
        assert got == pytest.approx(want, rel=0.09)


def test_the_notes_say_where_the_time_went_and_stay_out_of_the_csv():
    result = validate("gpt3-layer")
    (note,) = [case.note for case in result.cases if case.note]
    assert note.startswith("prefill: compute")
    assert "note" not in result.to_csv().splitlines()[0]
