"""What `compose` prints and writes."""

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.serving.compose import Composed

WORDS = {"router": "router", "switching": "waiting for experts", "prefill": "prompts",
         "decode": "answers", "leakage": "leakage"}  # fmt: skip


def show(found: "Composed", fmt: str) -> None:
    """Print a result."""
    out.result(out.json_text(found.data) if fmt == "json" else text(found.data))


def text(data: dict[str, Any]) -> str:
    """The answer for people: the sentence, each model alone, all requests, memory."""
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
        *(fill(line, out.width()) for line in _memory(data)),
    ])  # fmt: skip


def verdict(data: dict[str, Any]) -> str:
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
    rows = [
        [f"{one['model']}, {WORDS[phase]}", *(f"{share:.1%}" for share in shares.values())]
        for one in data["models"] for phase, shares in one["breakdown"].items()
    ]  # fmt: skip
    heads = [["", *shares] for one in data["models"] for shares in one["breakdown"].values()]
    return [out.table_text(rows, heads[0]), ""] if rows else []


def _served(data: dict[str, Any]) -> list[list[str]]:
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


def _gib(size: int) -> str:
    return f"{size / 2**30:.4g} GiB"


def _memory(data: dict[str, Any]) -> list[str]:
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


def _count(machines: int | None) -> str:
    return "none" if machines is None else str(machines)


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
