"""The power of a run over time: what its actions spend while they last, and leakage throughout."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING

import numpy as np

from archsim.core.units import PS_PER_S
from archsim.report.energy import PJ
from archsim.report.exchanges import OF_ALL
from archsim.report.moments import BUCKETS, Floats, summed

if TYPE_CHECKING:
    from archsim.report.timeline import Timeline


def power_w(timeline: Timeline, buckets: int = BUCKETS) -> Floats:
    """Mean power of all devices in each of so many equal parts of a run, in watts.

    An action spends its energy evenly over the step that counts it. The parts add up to the energy
    of the run. Of steps that the timeline does not tell one by one, energy goes by their work.
    """
    run = timeline.run
    edges = np.linspace(0, run.time_ps, buckets + 1)
    each = np.zeros(len(run.rows))
    for i, row in enumerate(run.rows):
        for key, n in row.counts.items():
            price = run.machine.prices[key]
            if price is not None:
                each[i] += n * price.pj * (1 if key.startswith(OF_ALL) else row.devices)
    spent = np.zeros(len(edges))
    for unit in enumerate(timeline.units):
        spent += summed(run, timeline.slices, unit, each, edges)
    leakage_w = fsum(run.machine.leakage_w.values())
    found: Floats = np.diff(spent) * PJ / np.diff(edges) * PS_PER_S + leakage_w
    return found
