"""Runs the benchmarks with bars, or one by its name; the exit status says whether bars are met.

python -m benchmarks [NAME [OPTIONS]], where NAME is a module of this folder.
"""

from __future__ import annotations

import pkgutil
import runpy
import sys

import benchmarks

NAMES = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[0] != "_")

if __name__ == "__main__":
    if sys.argv[1:]:
        name = sys.argv.pop(1)
        if name not in NAMES:
            sys.exit(f"no benchmark is called {name}: there are {', '.join(NAMES)}")
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    else:
        from benchmarks import dram, time_core

        sys.exit(0 if all([time_core.main(), dram.main()]) else 1)
