"""Runs the benchmarks, or the one that is named; the exit status says whether bars are met.

python -m benchmarks [NAME [OPTIONS]]
"""

from __future__ import annotations

import sys

from benchmarks import dram, proof, time_core

if __name__ == "__main__":
    if sys.argv[1:2] == ["proof"]:
        met = [proof.main(sys.argv[2:])]
    else:
        met = [time_core.main(), dram.main()]
    sys.exit(0 if all(met) else 1)
