"""Runs every benchmark; the exit status says whether the bars are met."""

from __future__ import annotations

import sys

from benchmarks import time_core

if __name__ == "__main__":
    sys.exit(0 if time_core.main() else 1)
