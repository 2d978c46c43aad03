"""Is the error helpful? What a rule may say of the mapper, and what a search may answer."""

from textwrap import dedent

import pytest

from archsim.components.systolic_array import SystolicArray
from archsim.core.data import find
from archsim.core.errors import InputError, Unmappable
from archsim.dataflows._auto import Search
from archsim.dataflows.base import dataflows
from archsim.ir.meter import Meter, in_ps
from archsim.ir.problem import problem
from archsim.ir.target import Target
from archsim.system.spec import load_hardware
from archsim.testing.problems import gemm


def refused(tmp_path, mapping):
    text = find("npu", "configs").read_text()
    head, _, tail = text.partition("mapping:\n")
    rest = tail[tail.index("energy:") :]
    path = tmp_path / "m.yaml"
    path.write_text(f"{head}mapping:{mapping}\n{rest}")
    with pytest.raises(InputError) as caught:
        load_hardware(str(path))
    return caught.value.render().replace(f"{tmp_path}/", "")


def shown(text):
    return dedent(text).strip("\n")


def test_a_word_that_is_not_auto(tmp_path):
    assert refused(tmp_path, " atuo") == shown(
        """
        m.yaml:26:10: error[E108]: mapping "atuo" is neither auto nor a list of rules
           26 | mapping: atuo
              |          ^^^^
              = help: did you mean "auto"?
        """
    )


def test_a_dataflow_that_does_not_exist(tmp_path):
    text = refused(tmp_path, '\n  - {ops: "*", dataflow: wieght_stationary}')
    first, *rest = text.splitlines()
    assert first.startswith('m.yaml:27:26: error[E108]: dataflow "wieght_stationary" is not one of')
    assert rest == [
        '   27 |   - {ops: "*", dataflow: wieght_stationary}',
        "      |                          ^^^^^^^^^^^^^^^^^",
        '      = help: did you mean "weight_stationary"?',
    ]


def test_an_objective_that_does_not_exist(tmp_path):
    assert refused(tmp_path, '\n  - {ops: "*", dataflow: auto, objective: latensy}') == shown(
        """
        m.yaml:27:43: error[E108]: objective "latensy" is not one of compute, edp, energy, latency, traffic
           27 |   - {ops: "*", dataflow: auto, objective: latensy}
              |                                           ^^^^^^^
              = help: did you mean "latency"?
        """  # noqa: E501 - the words of an objective
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("budget: 0", "mapping[0].budget must be greater than 0, got 0"),
        ("seed: -1", "mapping[0].seed must be 0 or more, got -1"),
    ],
)
def test_numbers_out_of_range(tmp_path, option, message):
    first = refused(tmp_path, f'\n  - {{ops: "*", dataflow: auto, {option}}}').splitlines()[0]
    assert first.startswith("m.yaml:27:")
    assert first.endswith(f"error[E107]: {message}")


def search(shape, buffer_bytes, budget):
    engine = SystolicArray("array", SystolicArray.Spec(rows=4, cols=4), 10**9)
    meter = Meter(
        transfer_ps=lambda size: in_ps(size, 1e9),
        accessed=lambda cost: (cost.in_reads, cost.out_writes),
    )
    target = Target(
        "array", 4, 4, 1, 1e9, buffer_bytes, 1e9,
        cost=lambda tiles: engine.cost(tiles, "int8"), meter=meter,
    )  # fmt: skip
    op, tensors = gemm(1, *shape)
    flows = [dataflows.get(f"{name}_stationary")() for name in ("weight", "input", "output")]
    with pytest.raises(Unmappable) as caught:
        Search(flows, problem(op, tensors, 32), target, budget=budget).run()
    return caught.value


@pytest.mark.parametrize("budget", [1, 10**7])
def test_that_nothing_fits_is_proved_whatever_the_budget(budget):
    error = search((40, 30, 20), 5, budget)
    assert error.render() == shown(
        """
        error[E401]: gemm: no mapping of 40 x 30 x 20 fits the 5 bytes that are free on chip: tiles of 1 x 1 x 1 are too large for every loop order and set of held operands
              = help: a larger on-chip memory, or fewer activations held there
        """  # noqa: E501 - one line of an error
    )
    assert error.exit_code == 5


def test_that_nothing_was_found_within_a_budget_is_another_answer():
    error = search((4000, 3000, 2000), 100, 500)
    assert error.code == "E402"
    assert error.exit_code == 5
    text = error.render().splitlines()
    assert text[0].startswith(
        "error[E402]: gemm: no mapping of 4000 x 3000 x 2000 was found within a budget of 500 "
        "candidates of "
    )
    assert text[1] == ("      = help: a larger budget in the mapping rule, such as budget: 5000")


def test_that_all_that_fit_have_too_many_tiles_is_said():
    error = search((4001, 3001, 1), 15, 10**9)
    assert error.code == "E401"
    assert "has few enough tiles to be run: all " in error.message
