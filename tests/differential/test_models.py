"""Do both engines, folded and exact, and every fidelity agree on real models?"""

import pytest

import archsim

PAIRS = [
    ("npu", "llama-3-8b-decode"),
    ("npu", "gpt2-small-prefill"),
    ("npu", "llama-3-8b-ragged"),
    ("tpu-v4", "bert-base-encode"),
    ("npu", "resnet-50-infer"),
]


def answer(report):
    """The result without what folding says of itself."""
    return {k: v for k, v in report.result.items() if k != "fold"}


@pytest.mark.parametrize(("hardware", "workload"), PAIRS)
def test_engines_folded_and_exact_give_the_same_answer(hardware, workload):
    folded = archsim.run(hardware, workload, advice=False)
    exact = archsim.run(hardware, workload, exact=True, advice=False)
    reference = archsim.run(hardware, workload, engine="simpy", advice=False)
    assert answer(folded) == answer(exact) == answer(reference)
    assert folded.ops == exact.ops == reference.ops
    assert exact.manifest["steps_simulated"] == exact.manifest["steps"]
    if workload != "resnet-50-infer":
        assert folded.result["fold"]
        assert folded.manifest["steps_simulated"] < exact.manifest["steps"] / 2


@pytest.mark.parametrize("workload", ["gpt2-small-prefill", "llama-3-8b-decode"])
def test_the_reference_engine_agrees_without_folding_too(workload):
    folded = archsim.run("npu", workload, advice=False)
    reference = archsim.run("npu", workload, engine="simpy", exact=True, advice=False)
    assert answer(folded) == answer(reference)


@pytest.mark.parametrize(("hardware", "workload"), PAIRS)
def test_fidelities_order_as_they_must(hardware, workload):
    bound, analytic, tile, cycle = (
        archsim.run(hardware, workload, fidelity=f, advice=False).result["time_ps"]
        for f in ("bound", "analytic", "tile", "cycle")
    )
    assert bound <= analytic
    assert bound <= tile
    assert tile == cycle
    assert analytic < 1.5 * tile
    assert tile < 2.5 * analytic
