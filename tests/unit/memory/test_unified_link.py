"""Is the inner loop compiled where it can be, and plain where it cannot?"""

import sys

import numpy as np
import pytest

from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers import unified_lanes, unified_link
from archsim.memory.controllers.unified import Unified
from archsim.memory.requests import Pacing, Requests
from archsim.memory.standard import load_standard


def build():
    tables = load_standard("DDR4_3200AA").tables()
    return Unified(tables, ControllerSpec(), AddressMap(tables, 1, "RoBaRaCoCh"), 1)


def test_without_numba_the_plain_loop_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert unified_link.compiled.__wrapped__() is unified_lanes.run


def test_every_part_is_in_the_name_of_the_machine_code(monkeypatch, tmp_path):
    names = set()
    for text in ("", "# changed"):
        for part in (unified_link.unified_words, *unified_link.PARTS):
            copy = tmp_path / "part.py"
            copy.write_text(text)
            with monkeypatch.context() as patch:
                patch.setattr(part, "__file__", str(copy))
                names.add(unified_link.compiled.__wrapped__().py_func.__qualname__)
    assert len(names) == 2 * (1 + len(unified_link.PARTS))


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_any_array_of_integers_will_do(kind):
    device = build()
    address, write = np.arange(0, 6400, 64, dtype=kind), np.zeros(100, kind)
    wanted = device.drive(Requests(np.arange(0, 6400, 64), np.zeros(100, np.int64))).ticks
    address.flags.writeable = False
    late = np.zeros(200, kind)[::2]
    assert device.drive(Requests(address, write), Pacing(at=late)).ticks == wanted
    assert device.serve(Requests(address, write), 0).done_tick == wanted
    assert len(device._loop.signatures) == 1
