"""Do the laws of screening hold: the order of designs is nothing, and more room never harms?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.dse.evaluate import evaluate
from archsim.dse.point import Task
from archsim.dse.screen import UNSCREENED, screen
from archsim.dse.screen_floor import FLOOR
from archsim.dse.screen_group import fitting
from archsim.lowering.spec import load_workload

HARDWARE = api.load_hardware("npu").to_data()
WORK = load_workload("gpt2-small", phase="decode", batch=2, context=64)[0].to_data()
BASE = Task(HARDWARE, (WORK,), {}, "bound", 0, (1.0,), "npu")
DESIGN = st.fixed_dictionaries(
    {},
    optional={
        "clocks.core": st.floats(0.2, 3).map(lambda n: f"{n!r} GHz"),
        "memory.hbm.bandwidth": st.floats(0.01, 9).map(lambda n: f"{n!r} TB/s"),
        "memory.hbm.capacity": st.integers(150, 350).map(lambda n: f"{n} MiB"),
        "engines.array.rows": st.integers(1, 300),
        "engines.vector.count": st.integers(1, 20),
        "engines.array.skew": st.sampled_from(["tile", "array"]),
    },
)


@settings(max_examples=10, deadline=None)
@given(st.lists(DESIGN, min_size=1, max_size=4))
def test_any_designs_screened_together_have_the_answers_of_each_alone(designs):
    tasks = [replace(BASE, settings=one) for one in designs]
    found = screen(tasks, checks=0)
    assert found.note == ""
    for i, task in enumerate(tasks):
        alone, here = evaluate(task), found.outcome(i)
        kept = {k: v for k, v in alone.metrics.items() if not k.startswith(UNSCREENED)}
        assert (here.status, here.metrics, here.error) == (alone.status, kept, alone.error)


@settings(max_examples=12, deadline=None)
@given(DESIGN)
def test_no_run_spends_less_than_the_least_energy(design):
    task = replace(BASE, settings=design)
    floor_j = screen([task], checks=0).metrics(FLOOR)[0]
    spent = evaluate(replace(task, fidelity="analytic")).metrics
    assert np.isnan(floor_j) == (not spent)
    assert not spent or 0 < floor_j <= spent["metrics.energy_j.total"]


@pytest.mark.parametrize(
    ("machine", "workload"),
    [
        ("duplex-4", "mixtral-8x7b-decode"),
        ("npu-cxl", "llama-3-8b-decode"),
        ("h100", "llama-3-8b-decode"),
    ],
)
def test_the_least_energy_is_less_on_machines_of_all_kinds(machine, workload):
    works = (load_workload(workload)[0].to_data(),)
    hardware = api.load_hardware(machine).to_data()
    task = replace(BASE, hardware=hardware, workloads=works, base_sha256=machine)
    floor_j = screen([task], checks=0).metrics(FLOOR)[0]
    spent_j = evaluate(replace(task, fidelity="analytic")).metrics["metrics.energy_j.total"]
    assert 0.05 * spent_j < floor_j <= spent_j


@settings(max_examples=60, deadline=None)
@given(
    rooms=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30),
    needs=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3),
)
def test_what_fits_is_found_without_asking_of_each(rooms, needs):
    sizes = np.array(rooms, dtype=np.float64)

    def fits(place):
        return any(
            all(have >= need for have, need in zip(rooms[place], n, strict=True)) for n in needs
        )

    known = next((i for i in range(len(rooms)) if fits(i)), None)
    if known is not None:
        assert fitting(sizes, fits, known).tolist() == [fits(i) for i in range(len(rooms))]
