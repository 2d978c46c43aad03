"""Runs every benchmark; the exit status says whether the bars are met."""

from __future__ import annotations

import sys

from benchmarks import dram, time_core

if __name__ == "__main__":
    met = [time_core.main(), dram.main()]
    sys.exit(0 if all(met) else 1)
