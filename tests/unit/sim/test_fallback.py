"""Does everything run where numba is not installed, and load late where it is?"""

from __future__ import annotations

import subprocess
import sys

from archsim.sim import kernels
from archsim.sim.simulate import simulate
from archsim.testing.programs import outcome
from archsim.testing.transformer_program import transformer

IMPORTS = """
import sys
import archsim.sim.program, archsim.sim.simulate
print(sorted({"numba", "simpy", "pandas"} & set(sys.modules)))
"""

SHORT = """
import sys
from archsim.sim.simulate import simulate
from archsim.testing.transformer_program import transformer
program = transformer(32)
program.check()
simulate(program)
print("numba" in sys.modules)
simulate(program, exact=True)
print("numba" in sys.modules)
"""


def test_without_numba_the_same_text_runs_as_plain_python(monkeypatch):
    compiled = outcome(simulate(transformer(4), exact=True))
    monkeypatch.setitem(sys.modules, "numba", None)
    kernels.compiled.cache_clear()
    try:
        assert kernels.compiled("advance") is None
        assert outcome(simulate(transformer(4), exact=True)) == compiled
    finally:
        kernels.compiled.cache_clear()


def test_a_short_run_does_not_wait_for_numba():
    done = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"


def test_heavy_libraries_load_with_the_first_run_not_with_the_module():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
