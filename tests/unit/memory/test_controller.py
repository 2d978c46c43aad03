"""Are a controller's options refused where they mean nothing?"""

import pytest
from pydantic import ValidationError

from archsim.memory.controller import ControllerSpec


def test_every_option_has_a_default():
    controller = ControllerSpec()
    assert (controller.structure, controller.scheduler, controller.row_policy) == (
        "unified", "frfcfs", "open",
    )  # fmt: skip
    assert (controller.refresh, controller.read_queue, controller.write_queue) == (
        "all_bank",
        32,
        32,
    )


def test_command_queues_refresh_rank_by_rank_by_default():
    assert ControllerSpec(structure="command_queues").refresh == "rank_staggered"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"row_policy": "closed_after"}, 'row_policy "closed_after" needs cap'),
        ({"row_policy": "timeout"}, 'row_policy "timeout" needs timeout'),
        ({"cap": 4}, 'cap belongs to row_policy "closed_after", not "open"'),
        ({"timeout": 9}, 'timeout belongs to row_policy "timeout", not "open"'),
        ({"command_queue": 4}, 'structure "unified" has no command_queue'),
        ({"queue_per": "rank"}, 'structure "unified" has no queue_per'),
        ({"refresh": "bank_staggered"}, 'structure "unified" has no refresh "bank_staggered"'),
        (
            {"structure": "command_queues", "write_high": 0.5},
            'structure "command_queues" has no write_high',
        ),
        (
            {"structure": "command_queues", "refresh": "per_bank"},
            'structure "command_queues" has no refresh "per_bank"',
        ),
        (
            {"structure": "command_queues", "row_policy": "closed_after", "cap": 4},
            'structure "command_queues" has no cap',
        ),
        (
            {"structure": "command_queues", "scheduler": "fcfs"},
            'structure "command_queues" has no scheduler "fcfs"',
        ),
    ],
)
def test_an_option_that_means_nothing_is_an_error(options, message):
    with pytest.raises(ValidationError) as error:
        ControllerSpec(**options)
    (found,) = error.value.errors()
    assert found["ctx"]["code"] == "E202"
    assert found["msg"] == message


def test_a_description_loads_back_to_itself():
    for options in (
        {"row_policy": "closed_after", "cap": 4, "refresh": "per_bank"},
        {"structure": "command_queues", "queue_per": "rank", "row_policy": "closed"},
    ):
        controller = ControllerSpec(**options)
        given = controller.model_dump(exclude_unset=True)
        assert ControllerSpec(**given) == controller
