"""The report: what a run answers, as plain data that writes itself to a folder and shows itself."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.core.errors import InputError
from archsim.core.files import atomic_write
from archsim.core.jsontext import indented
from archsim.core.yamlio import dump_yaml

if TYPE_CHECKING:
    import pandas as pd

    from archsim.report.timeline import Form, Timeline


# of a run folder, where asked for
TIMELINES: Mapping[Form, str] = {"chrome": "timeline.json", "perfetto": "timeline.pftrace"}
TIMELINE, MOMENTS = TIMELINES["chrome"], "memory.csv"
SENSITIVITY = "sensitivity.json"  # of a run folder, where `explain` was asked for it


def csv_text(rows: Sequence[Mapping[str, Any]], first: str) -> str:
    """Rows as CSV; of none, a header with the first column alone."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [first], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@dataclass(frozen=True)
class Report:
    """The answer to one run.

    Attributes:
        result: the content of `result.json`; equal runs give equal bytes.
        ops: one row per stage, the content of `ops.csv`.
        warnings: what the user should know, one text each.
        resolved: hardware and workload as they were simulated, every override applied.
        manifest: what may differ between equal runs (times, versions, host).
        tracer: simulates the run again for its timeline.
    """

    result: dict[str, Any]
    ops: list[dict[str, Any]]
    warnings: list[str]
    resolved: dict[str, Any]
    manifest: dict[str, Any]
    tracer: Callable[[], Timeline] | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> str:
        """Content hash of the inputs and the options that alter the answer."""
        return str(self.result["key"])

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of `result.json`."""
        metrics: dict[str, Any] = self.result["metrics"]
        return metrics

    @property
    def typed(self) -> str:
        """The command that made the run; empty where it was made otherwise."""
        argv = [str(word) for word in self.manifest.get("argv") or ()]
        asked = shlex.join([Path(argv[0]).name, *argv[1:]]) if argv else ""
        return asked if asked.startswith("archsim run ") else ""

    def to_json(self) -> str:
        """The text of `result.json`."""
        return indented(self.result) + "\n"

    def to_csv(self) -> str:
        """The text of `ops.csv`."""
        return csv_text(self.ops, first="op")

    def write(self, folder: Path | str) -> dict[str, Path]:
        """Write the run folder; each file appears whole or not at all. Returns the paths."""
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        texts = {
            "result.json": self.to_json(),
            "ops.csv": self.to_csv(),
            "config.resolved.yaml": dump_yaml(self.resolved),
            "manifest.json": json.dumps(self.manifest, indent=1) + "\n",
        }
        before = (*TIMELINES.values(), MOMENTS, SENSITIVITY)  # of the run that was here
        for name in before:
            (root / name).unlink(missing_ok=True)
        for name, text in texts.items():
            atomic_write(root / name, text)
        return {name: root / name for name in texts}

    def write_timeline(self, folder: Path | str, form: Form = "chrome") -> Timeline:
        """Write a file of `TIMELINES`, and beside it what memories did over time.

        Returns the timeline.

        Raises:
            InputError: when nothing was run through time.
            MissingExtra: for a Perfetto trace where the library perfetto is absent.
        """
        found = self.timeline()
        found.save(Path(folder) / TIMELINES[form], form)
        atomic_write(Path(folder) / MOMENTS, csv_text(found.moments(), first="time_ps"))
        return found

    def frame(self) -> pd.DataFrame:
        """`ops` as a pandas DataFrame, units in the column names."""
        import pandas as pd

        return pd.DataFrame(self.ops)

    def roofline(self) -> pd.DataFrame:
        """Ops as points under the roofs of their engines: intensity in FLOP/B, FLOP/s, roofs."""
        import pandas as pd

        from archsim.report.roofline import roofline

        return pd.DataFrame(roofline(self.result, self.ops))

    def timeline(self) -> Timeline:
        """What each unit did when. The run is simulated again: it kept sums only.

        Raises:
            InputError: when nothing was run through time.
        """
        if self.tracer is None:
            raise InputError(
                f"a run at fidelity {self.result['fidelity']} has no timeline",
                help="run at fidelity tile or cycle",
            )
        return self.tracer()

    def summary(self) -> str:
        """The console summary."""
        from archsim.report.render import summary

        return summary(self)

    def _repr_html_(self) -> str:
        from archsim.report.notebook import shown

        return shown(self)
