"""The page of a composition: what switching between many models costs, and where they lie."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archsim.core.errors import InputError
from archsim.core.units import format_bytes, format_si
from archsim.report.figure_chart import Axis, Bars, Chart, Figure, Line
from archsim.report.figure_difference import side_by_side
from archsim.report.html.page import AGAIN, Page, Section, Table

SCHEMA = "archsim.composed/1"
WORDS = {"router": "router", "switching": "waiting for experts", "prefill": "prompts",
         "decode": "answers", "leakage": "leakage"}  # fmt: skip
STEPS = ("switch_s", "router_s", "prefill_s", "decode_s", "ttft_s", "ttft_after_switch_s")
HEADS = ("Model", "Switch", "Router", "Prompt", "Answer", "First token", "After a switch")
LATENCIES = {"ttft_s": "To the first token", "e2el_s": "To the last token"}


def is_composition(folder: Path) -> bool:
    """Whether a folder holds what `compose` writes."""
    try:
        found = json.loads((folder / "result.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("schema") == SCHEMA


def page(folder: Path) -> Page:
    """The page of the composition that a folder holds.

    Raises:
        InputError: E003 where it holds none.
    """
    if not is_composition(folder):
        raise InputError(f"{folder} holds no composition", code="E003", help="see archsim compose")
    data: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    inputs, room = data["inputs"], data["capacity"]
    return Page(
        f"{inputs['composition']} on {inputs['hardware']}",
        verdict(data),
        (("Experts", str(inputs["experts"])), ("Devices", str(room["devices"])),
         ("Fidelity", inputs["fidelity"]), ("Seed", str(inputs["seed"]))),
        (
            _numbers(data),
            Section("time", "Time", figures=_time(data), tables=(_alone(data), *_breakdown(data))),
            Section("memories", "Memories", tuple(memory(data)), _memories(data)),
            _energy(data),
            Section("rests-on", "What this rests on", ("Not modelled:",),
                    points=tuple(data["not_modelled"])),
            _again(data, folder),
        ),
    )  # fmt: skip


def verdict(data: Mapping[str, Any]) -> str:
    """The answer in a sentence."""
    shares = data["shares"]
    most = max(shares, key=shares.get)
    first = (
        f"{data['throughput']['request_per_s']:.3g} requests/s, "
        f"{data['throughput']['output_tok_per_s']:.3g} tokens/s: most of the time goes into "
        f"{WORDS[most]} ({shares[most]:.0%})"
    )
    if most == "switching" or not data["misses"]:
        return f"{first}."
    return f"{first}, {shares['switching']:.0%} into {WORDS['switching']}."


def memory(data: Mapping[str, Any]) -> list[str]:
    """What fits where, and what more room would bring; a line each."""
    room, none = data["capacity"], data["no_miss"]
    near, behind, machines = room["nearest"], room["behind"], room["machines"]
    lines = [
        f"Of each device: {near} {_gib(room['nearest_bytes'])}, of which router "
        f"{_gib(room['router_bytes'])}, passes {_gib(room['work_bytes'])}, room for experts "
        f"{_gib(room['experts_room_bytes'])}; all experts {_gib(room['experts_bytes'])}.",
        f"Machines that hold all experts: {_count(machines['nearest_only'])} in {near}"
        + (f", {_count(machines['with_behind'])} with {behind}." if behind else "."),
    ]
    if data["more_memory"]:
        lines.append(
            f"Misses vanish with {_gib(none['capacity_bytes'])} of {near} "
            f"({none['times_nearest']:.3g} times as much): {none['speedup']:.3g} x as fast."
        )
        first = data["more_memory"][1]
        lines.append(
            f"The first {_gib(first['capacity_bytes'] - room['nearest_bytes'])} more bring "
            f"{100 * first['speedup_per_gib']:.2g} % of speed a GiB."
        )
    return lines


def _gib(size: int) -> str:
    return f"{size / 2**30:.4g} GiB"


def _count(machines: int | None) -> str:
    return "none" if machines is None else str(machines)


def _s(value: float | None) -> str:
    return "-" if value is None else format_si(value, "s")


def _numbers(data: Mapping[str, Any]) -> Section:
    energy, near = data["energy_j"], data["capacity"]["nearest"]
    rows = [
        ("Time", _s(data["time_s"]), f"for {data['turns']} turns of experts"),
        ("Throughput", f"{data['throughput']['request_per_s']:.4g} /s", "requests"),
        ("Throughput", f"{data['throughput']['output_tok_per_s']:.4g} tok/s", "output tokens"),
        ("Experts found", f"{100 * data['hit_rate']:.1f} %", f"of turns, in {near}"),
        ("Energy", format_si(energy["total"], "J"), f"{format_si(energy['per_output_tok'], 'J')} "
         "per output token"),
    ]  # fmt: skip
    late = tuple((words, *(_s(data["latency"][key][at]) for at in ("mean", "p50", "p99")))
                 for key, words in LATENCIES.items())  # fmt: skip
    return Section("numbers", "Key numbers", tables=(
        Table(("", "Value", ""), tuple(rows), (1,)),
        Table(("Latency", "Mean", "p50", "p99"), late, (1, 2, 3)),
    ))  # fmt: skip


def _time(data: Mapping[str, Any]) -> tuple[Figure, ...]:
    parts = {WORDS[part]: seconds for part, seconds in data["parts_s"].items()}
    name = data["inputs"]["hardware"]
    found = side_by_side("time", "Where the time of all requests goes", [(name, parts)], "s")
    return (found,) if found else ()


def _alone(data: Mapping[str, Any]) -> Table:
    rows = tuple((one["model"], *(_s(one[key]) for key in STEPS)) for one in data["models"])
    return Table(("One request alone", *HEADS[1:]), rows, tuple(range(1, len(HEADS))))


def _breakdown(data: Mapping[str, Any]) -> Sequence[Table]:
    """Where the time of each model's passes goes, on several devices."""
    found = [(f"{one['model']}, {WORDS[phase]}", shares)
             for one in data["models"] for phase, shares in one["breakdown"].items()]  # fmt: skip
    if not found:
        return ()
    names = tuple(found[0][1])
    rows = tuple((name, *(f"{100 * shares[n]:.1f} %" for n in names)) for name, shares in found)
    return (Table(("Passes", *names), rows, tuple(range(1, 1 + len(names)))),)


def _memories(data: Mapping[str, Any]) -> tuple[Figure, ...]:
    """How full the two nearest memories are, and what a larger nearest one would bring."""
    room = data["capacity"]
    near = {"router": room["router_bytes"], "passes": room["work_bytes"],
            "landing": room["landing_bytes"]}  # fmt: skip
    held = min(room["experts_room_bytes"], room["experts_bytes"])
    bars = {f"{room['nearest']}: {format_bytes(room['nearest_bytes'])}":
            ({**near, "experts": held}, room["nearest_bytes"])}  # fmt: skip
    if room["behind"]:
        name = f"{room['behind']}: {format_bytes(room['behind_bytes'])}"
        bars[name] = {"experts": room["experts_bytes"]}, room["behind_bytes"]
    names, parts = tuple(bars), (*near, "experts")
    rows = [
        {"memory": name, "part": part, "held_bytes": of.get(part, 0), "capacity_bytes": size}
        for name, (of, size) in bars.items() for part in parts
    ]  # fmt: skip
    marks = []
    for i, part in enumerate(p for p in parts if any(of.get(p) for of, _ in bars.values())):
        share = [100 * of.get(part, 0) / size for of, size in bars.values()]
        hover = [f"{n}: {part} {format_bytes(of.get(part, 0))}" for n, (of, _) in bars.items()]
        marks.append(Bars(part, names, share, i, hover))
    says = "Of each device; experts that are not in the nearest memory wait in the one behind it."
    found = Figure("tiers", "What the memories hold", says, rows,
                   Chart(tuple(marks), x=Axis("Share of the capacity [%]", low=0, high=100),
                         y=Axis(names=names)), 0.5 + 0.3 * len(names))  # fmt: skip
    return (found, *_more(data))


def _more(data: Mapping[str, Any]) -> tuple[Figure, ...]:
    rows = [dict(row) for row in data["more_memory"]]
    if not rows:
        return ()
    gib = [row["capacity_bytes"] / 2**30 for row in rows]
    marks = (Line("hit rate", gib, [row["hit_rate"] for row in rows], 0),
             Line("speed, of now", gib, [row["speedup"] for row in rows], 1, "dash"))  # fmt: skip
    near = data["capacity"]["nearest"]
    says = f"{data['no_miss']['speedup']:.3g} x as fast where every expert is in {near}."
    chart = Chart(marks, x=Axis(f"{near} of each device [GiB]"), y=Axis("Share, ratio", low=0))
    return (Figure("more_memory", "What more memory would bring", says, rows, chart, 2.0),)


def _energy(data: Mapping[str, Any]) -> Section:
    parts = {WORDS[part]: joules for part, joules in data["energy_j"]["by_part"].items()}
    name = data["inputs"]["hardware"]
    found = side_by_side("energy", "Where the energy goes", [(name, parts)], "J")
    return Section("energy", "Energy", figures=(found,) if found else ())


def _again(data: Mapping[str, Any], folder: Path) -> Section:
    inputs = data["inputs"]
    words = ["archsim", "compose", inputs["hardware"], inputs["composition"], "--fidelity",
             inputs["fidelity"], "--out", str(folder)]  # fmt: skip
    says = ("Settings given beside it, if any, are to be given again.",)
    return Section(AGAIN, "Reproduce", says, commands=(shlex.join(words),))
