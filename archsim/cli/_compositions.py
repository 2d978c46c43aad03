"""What `compose` prints and writes."""

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.serving.compose import Composed


def show(found: "Composed", fmt: str) -> None:
    """Print a result."""
    out.result(out.json_text(found.data) if fmt == "json" else text(found.data))


def text(data: dict[str, Any]) -> str:
    """The answer for people: the sentence, each model alone, all requests, memory."""
    from archsim.serving.page import memory, verdict

    inputs, room = data["inputs"], data["capacity"]
    on = f"{room['devices']} devices" if room["devices"] > 1 else "1 device"
    return "\n".join([
        f"{inputs['composition']} on {inputs['hardware']}: {inputs['experts']} experts, {on}, "
        f"fidelity {inputs['fidelity']}",
        "",
        fill(verdict(data), out.width()),
        "",
        "One request alone, in ms",
        out.table_text(_alone(data), [
            "model", "switch", "router", "prompt", "answer", "first token", "after a switch",
        ]),
        "",
        *_breakdown(data),
        f"All requests, {_turns(data)}",
        out.table_text(_served(data), ["", "time [s]", "share", "energy [J]"]),
        "",
        out.table_text(_latency(data), ["latency [ms]", "mean", "p50", "p99"]),
        "",
        *(fill(line, out.width()) for line in memory(data)),
    ])  # fmt: skip


def _turns(data: dict[str, Any]) -> str:
    turns, hits = data["turns"], data["hits"]
    near = data["capacity"]["nearest"]
    return f"{turns} turns of experts: {hits} found theirs in {near} ({data['hit_rate']:.1%})"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.4g}"


def _alone(data: dict[str, Any]) -> list[list[str]]:
    keys = ("switch_s", "router_s", "prefill_s", "decode_s", "ttft_s", "ttft_after_switch_s")
    return [[one["model"], *(_ms(one[key]) for key in keys)] for one in data["models"]]


def _breakdown(data: dict[str, Any]) -> list[str]:
    """Where the time of each model's passes goes, on several devices."""
    from archsim.serving.page import WORDS

    rows = [
        [f"{one['model']}, {WORDS[phase]}", *(f"{share:.1%}" for share in shares.values())]
        for one in data["models"] for phase, shares in one["breakdown"].items()
    ]  # fmt: skip
    heads = [["", *shares] for one in data["models"] for shares in one["breakdown"].values()]
    return [out.table_text(rows, heads[0]), ""] if rows else []


def _served(data: dict[str, Any]) -> list[list[str]]:
    from archsim.serving.page import WORDS

    energy = data["energy_j"]
    rows = [
        [WORDS[part], f"{seconds:.4g}", f"{data['shares'][part]:.1%}",
         f"{energy['by_part'][part]:.4g}"]
        for part, seconds in data["parts_s"].items()
    ]  # fmt: skip
    rows.append(["leakage", "", "", f"{energy['by_part']['leakage']:.4g}"])
    rows.append(["all", f"{data['time_s']:.4g}", "100.0%", f"{energy['total']:.4g}"])
    return rows


def _latency(data: dict[str, Any]) -> list[list[str]]:
    names = {"ttft_s": "to the first token", "e2el_s": "to the last token"}
    return [
        [words, *(_ms(data["latency"][key][at]) for at in ("mean", "p50", "p99"))]
        for key, words in names.items()
    ]


def turns(found: "Composed") -> list[dict[str, Any]]:
    """One row a turn, times in seconds from the start."""
    from archsim.core.units import PS_PER_S

    served, names = found.served, found.spec.names
    return [
        {"batch": visit.batch, "expert": names[visit.expert], "requests": visit.requests,
         "hit": turn.hit, "asked_s": span.asked_ps / PS_PER_S, "began_s": span.began_ps / PS_PER_S,
         "first_s": span.first_ps / PS_PER_S, "ended_s": span.ended_ps / PS_PER_S}
        for visit, turn, span in zip(served.visits, served.turns, served.spans, strict=True)
    ]  # fmt: skip


def write(found: "Composed", folder: str) -> None:
    """Result, tables and figures of a run."""
    from archsim.core.files import atomic_write
    from archsim.report import style
    from archsim.serving import figures

    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    atomic_write(base / "result.json", out.json_text(found.data) + "\n")
    atomic_write(base / "turns.csv", out.csv_text(turns(found)))
    style.save(base / "time", figures.parts, [found.data], figures.PARTS_IN)
    if found.data["more_memory"]:
        atomic_write(base / "more_memory.csv", out.csv_text(found.data["more_memory"]))
        style.save(base / "more_memory", figures.more, found.data["more_memory"], figures.MORE_IN)
    out.note(f"wrote {folder}")
