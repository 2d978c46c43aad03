"""What metrics are made of: one function a metric."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archsim.core.units import PS_PER_S

TOP = 8  # ops that are named


@dataclass(frozen=True, slots=True)
class Part:
    """One term of a number: its name, its value, and its share where the terms add up."""

    name: str
    value: Any
    unit: str = ""
    share: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """What is behind one metric.

    Attributes:
        metric: dotted path in `result.json`.
        value: as stored; SI, in `unit`.
        formula: in words and names of other metrics.
        parts: terms of the formula.
        ops: ops behind it, the largest first.
        components: names of components whose settings it depends on.
    """

    metric: str
    value: Any
    unit: str
    formula: str
    parts: tuple[Part, ...] = ()
    ops: tuple[Part, ...] = ()
    components: tuple[str, ...] = field(default=())


UNITS = {
    "_bytes": "B", "_ps": "ps", "_s": "s", "_j": "J", "_w": "W", "_mm2": "mm2",
    "_cycles": "cycles", "_per_s": "1/s", "_pct": "%",
}  # fmt: skip
"""Units by the end of a name; `_per_s` ends in `_s` too, so that the longest one counts."""


def unit_of(metric: str) -> str:
    """Unit of a metric, told by the end of the last name that has one."""
    ends = (_end(name) for name in reversed(metric.split(".")))
    return next((UNITS[end] for end in ends if end), "")


def without_unit(name: str) -> str:
    """A name as people say it: `energy` of `energy_j`."""
    return name.removesuffix(_end(name))


def _end(name: str) -> str:
    """The unit that a name ends in; empty where it has none."""
    return max((end for end in UNITS if name.endswith(end)), key=len, default="")


@dataclass(frozen=True)
class Stored:
    """The stored answer, with shorthand for what formulas need of it."""

    result: Mapping[str, Any]
    ops: Sequence[Mapping[str, Any]]

    def get(self, *path: str) -> Any:
        """A nested value of the result."""
        value: Any = self.result
        for step in path:
            value = value[step]
        return value

    def top(self, column: str, unit: str, total: float) -> tuple[Part, ...]:
        """Ops by a column of `ops.csv`."""
        return self.largest({r["op"]: float(r[column]) for r in self.ops}, unit, total)

    def largest(self, of: Mapping[str, float], unit: str, total: float) -> tuple[Part, ...]:
        """The largest of named values, with their share of a total."""
        order = sorted((n for n in of if of[n]), key=lambda n: (-of[n], n))[:TOP]
        rows = {r["op"]: r for r in self.ops}
        return tuple(
            Part(n, of[n], unit, of[n] / total if total else None, _note(rows.get(n)))
            for n in order
        )

    def split(self, of: Mapping[str, float], unit: str) -> tuple[Part, ...]:
        """All terms of a sum, largest first."""
        total = sum(of.values())
        return tuple(
            Part(n, of[n], unit, of[n] / total if total else None)
            for n in sorted(of, key=lambda n: (-of[n], n))
        )


def _note(row: Mapping[str, Any] | None) -> str:
    return f"{row['dataflow']} on {row['engine']}, {row['bound_by']}" if row else ""


Formula = Callable[[Stored, str, Any, "re.Match[str]"], Explanation]


def _time(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    if "stalls" not in run.result:  # at fidelity bound the time is the bound
        return _bound(run, metric, value, found)
    ps = run.get("time_ps")
    parts = run.split({k: v * ps / PS_PER_S for k, v in run.get("stalls").items()}, "s")
    ops = run.top("time_ps", "ps", ps)
    text = "sum of what the critical path spends, by reason; each picosecond has one"
    return Explanation(metric, value, unit_of(metric), text, parts, ops, _owners(run))


def _stall(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    reason = found["reason"]
    on_path = {op: parts.get(reason, 0) for op, parts in run.get("critical").items()}
    ps = sum(on_path.values())
    text = f"time on the critical path that goes to {reason}, over the makespan"
    parts = (Part("time on the path", ps, "ps"), Part("time_ps", run.get("time_ps"), "ps"))
    ops = run.largest(on_path, "ps", ps)
    return Explanation(metric, value, "", text, parts, ops, (reason.rpartition("_")[0],))


def _bound(run: Stored, metric: str, value: Any, _: re.Match[str]) -> Explanation:
    least = run.get("bound")
    text = "the largest of: compulsory bytes over peak bandwidth; arithmetic over its peak rate"
    if "communication_ps" in least:
        text += "; least bytes of exchanges over a device's links; on the device that takes longest"
    parts = tuple(Part(name, ps, "ps") for name, ps in least.items())
    if metric == "ratio_to_bound":
        text = f"time_ps / bound_ps; bound_ps is {text}"
        parts = (Part("time_ps", run.get("time_ps"), "ps"), *parts)
    return Explanation(metric, value, unit_of(metric), text, parts)


def _energy(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    which = found["which"]
    by_component = run.get("metrics", "energy_j", "by_component")
    rows = run.get("energy_rows")
    text = "sum over actions of count x energy of one (table row); leakage is power x time"
    if which == "total":
        parts = run.split(by_component, "J")
    elif which == "per_output_tok":
        total = run.get("metrics", "energy_j", "total")
        text = f"total energy over {'tokens' if _encodes(run) else 'output tokens'}"
        parts = (Part("metrics.energy_j.total", total, "J"),)
        parts += (Part("model.output_tokens", run.get("model", "output_tokens")),)
    else:
        component = which.removeprefix("by_component.")
        mine = {k: r for k, r in rows.items() if r["component"] == component}
        parts = _rows(mine, sum(r["j"] for r in mine.values()))
    total = run.get("metrics", "energy_j", "total")  # leakage belongs to no op
    return Explanation(metric, value, "J", text, parts, run.top("energy_j", "J", total))


def _row(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    row = run.get("energy_rows", found["key"])
    text = "count x energy of one action, from the machine's energy table"
    unit = unit_of(metric) if found["what"] != "pj" else "pJ"
    return Explanation(metric, value, unit, text, _rows({found["key"]: row}, row["j"]))


def _rows(rows: Mapping[str, Mapping[str, Any]], total: float) -> tuple[Part, ...]:
    order = sorted(rows, key=lambda k: (-rows[k]["j"], k))
    return tuple(
        Part(
            key, rows[key]["j"], "J", rows[key]["j"] / total if total else None,
            f"{rows[key]['count']} x {rows[key]['pj']:.4g} pJ: {rows[key]['source']}",
        )
        for key in order
    )  # fmt: skip


def _area(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    by = run.get("metrics", "area_mm2", "by_component")
    text = "sum over components; cells, lanes and SRAM macros of the energy table's area rows"
    if found["which"] != "total":
        name = found["which"].removeprefix("by_component.")
        return Explanation(metric, value, "mm2", text, components=(name,))
    components = tuple(n for n, mm2 in by.items() if mm2)
    return Explanation(metric, value, "mm2", text, run.split(by, "mm2"), (), components)


def _rate(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    kind = "prompt_tokens" if "prompt" in metric else "output_tokens"
    parts = (Part(f"model.{kind}", run.get("model").get(kind)),
             Part("metrics.time_s", run.get("metrics", "time_s"), "s"))  # fmt: skip
    said = "tokens" if _encodes(run) else kind.replace("_", " ")
    return Explanation(metric, value, "tok/s", f"{said} over time", parts)


def _encodes(run: Stored) -> bool:
    """True of an encoder and of training: their tokens are neither of a prompt nor generated."""
    return run.get("model").get("phase", {}).get("kind") in ("encode", "train")


def _power(run: Stored, metric: str, value: Any, _: re.Match[str]) -> Explanation:
    parts = (Part("metrics.energy_j.total", run.get("metrics", "energy_j", "total"), "J"),
             Part("metrics.time_s", run.get("metrics", "time_s"), "s"))  # fmt: skip
    return Explanation(metric, value, "W", "energy over time", parts)


def _used(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    which = found["which"]
    if which == "mfu":
        text = "2 x MACs over time and the peak FLOP/s at the element type of most MACs"
        ops = run.top("macs", "MAC", float(run.get("model", "macs")))
        return Explanation(
            metric, value, "", text, (Part("model.macs", run.get("model", "macs")),), ops
        )
    if which == "mbu":
        text = "weights and KV cache read, over time and the peak bandwidth off chip"
        parts = tuple(
            Part(f"traffic.{memory}.{key}", n, "B")
            for memory, moved in run.get("traffic").items()
            for key, n in moved.items()
            if key in ("weight_read_bytes", "kv_cache_read_bytes")
        )
        return Explanation(metric, value, "", text, parts)
    name = which.removeprefix("by_resource.")
    unit = run.get("units").get(name)
    parts = tuple(Part(k, v, "ps", v / run.get("time_ps")) for k, v in (unit or {}).items())
    text = "busy time over the makespan" if unit else "bytes moved over time and peak bandwidth"
    return Explanation(metric, value, "", text, parts, (), (name.partition(".")[0],))


def _traffic(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    memory, key = found["memory"], found["key"]
    wanted = {"total_bytes": ""}.get(key, key)
    way = "write" if wanted.endswith("written_bytes") else "read"
    columns = {"read": ("dram_in_bytes", "dram_weight_bytes"), "write": ("dram_out_bytes",)}[way]
    of = {r["op"]: float(sum(int(r[c]) for c in columns)) for r in run.ops}
    text = f"bytes through {memory}'s port, counted transfer by transfer; by op: " + " + ".join(
        columns
    )
    parts = run.split(
        {k: v for k, v in run.get("traffic", memory).items() if k != "total_bytes"}, "B"
    )
    return Explanation(
        metric, value, "B", text, parts, run.largest(of, "B", sum(of.values())), (memory,)
    )


def _held(run: Stored, metric: str, value: Any, found: re.Match[str]) -> Explanation:
    text = "most bytes held at once: tensors placed there, and tiles in flight"
    return Explanation(metric, value, "B", text, (), (), (found["which"],))


def _owners(run: Stored) -> tuple[str, ...]:
    """Components that the largest shares of the time go to."""
    names = [
        reason.rpartition("_")[0] for reason, share in run.get("stalls").items() if share > 0.05
    ]
    return tuple(dict.fromkeys(names))


def of_op(result: Mapping[str, Any], row: Mapping[str, Any]) -> Explanation:
    """One op: where and how it ran, and what it took."""
    time_ps = result["time_ps"]
    reasons = result["critical"].get(row["op"], {})
    parts = [Part(k, v, "ps", v / time_ps) for k, v in sorted(reasons.items(), key=lambda r: -r[1])]
    for name, value in row.items():
        if name not in ("op", "time_ps", "share") and value not in ("", None, 0, "0"):
            parts.append(Part(name, value, unit_of(name)))
    text = "time on the critical path; 0 where it is hidden behind other ops"
    return Explanation(
        str(row["op"]), int(row["time_ps"]), "ps", text, tuple(parts), (), (str(row["engine"]),)
    )


FORMULAS: tuple[tuple[str, Formula], ...] = (
    (r"metrics\.time_s|time_ps", _time),
    (r"stalls\.(?P<reason>.+)", _stall),
    (r"bound_ps|bound\..+|ratio_to_bound", _bound),
    (r"metrics\.energy_j\.(?P<which>.+)", _energy),
    (r"energy_rows\.(?P<key>.+)\.(?P<what>count|pj|j)", _row),
    (r"metrics\.area_mm2\.(?P<which>.+)", _area),
    (r"metrics\.throughput\..+", _rate),
    (r"metrics\.power_w\.mean", _power),
    (r"metrics\.utilization\.(?P<which>.+)", _used),
    (r"traffic\.(?P<memory>.+)\.(?P<key>\w+)", _traffic),
    (r"metrics\.memory_peak_bytes\.(?P<which>.+)", _held),
)
