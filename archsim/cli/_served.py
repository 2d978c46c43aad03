"""What `serve` prints and writes."""

import time
from collections.abc import Callable
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.serving.serve import ServedLoop

SAY_EVERY_S = 5.0
BUSY = 8  # resources that are listed, the busiest first


def progress(*, quiet: bool, what: str = "stage") -> Callable[[int, int], None]:
    """What tells on stderr how far it is, every few seconds."""
    began = last = time.monotonic()
    before = 0

    def say(known: int, wanted: int) -> None:
        nonlocal began, last, before
        now = time.monotonic()
        if not before:  # the first one loads what others need too
            began, last, before = now, now, known
        if (now - last < SAY_EVERY_S and known < wanted) or known == before:
            return
        each = (now - began) / (known - before)
        last = now
        out.note(
            f"{what} {known} of {wanted}, {1000 * each:.0f} ms each, "
            f"{each * (wanted - known):.0f} s left",
            quiet=quiet,
        )

    return say


def show(found: "ServedLoop", fmt: str) -> None:
    """Print a result."""
    out.result(out.json_text(found.data) if fmt == "json" else text(found.data))


def text(data: dict[str, Any]) -> str:
    """The answer for people: the sentence, waiting times, busy shares, room."""
    inputs = data["inputs"]
    said = ["standard error"] if data["standard_error"] else []
    return "\n".join([
        f"{inputs['serving']} on {inputs['hardware']}: {inputs['model']}, batch {inputs['batch']}, "
        f"fidelity {inputs['fidelity']}",
        "",
        fill(verdict(data), out.width()),
        "",
        out.table_text(_waits(data), ["in ms", "mean", "p50", "p90", "p99"]),
        "",
        out.table_text(_rates(data), ["rate", "", *said]),
        "",
        out.table_text(_busy(data), ["busy", "share of the time"]),
        "",
        *(fill(line, out.width()) for line in _stages(data)),
    ])  # fmt: skip


def verdict(data: dict[str, Any]) -> str:
    """The answer in a sentence."""
    rate, energy = data["throughput"]["output_tok_per_s"], data["energy_j"]["per_output_tok"]
    waits = data["tbt_s"] or data["ttft_s"]
    return (
        f"{_number(rate)} tokens/s; a request gets one every {_ms(waits['mean'])} ms, "
        f"and each takes {1000 * energy:.4g} mJ."
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e4 else f"{value:.4g}"


def _rough(error: float) -> str:
    return f"{error:,.0f}" if error >= 100 else f"{error:.2g}"


def _ms(value: float) -> str:
    return f"{1000 * value:.4g}"


def _waits(data: dict[str, Any]) -> list[list[str]]:
    names = {"tbt_s": "between tokens", "ttft_s": "to the first token", "stage_s": "stage"}
    errors = data["standard_error"] or {}
    rows = []
    for key, words in names.items():
        if data[key] is None:
            continue
        rows.append([words, *(_ms(value) for value in data[key].values())])
        if errors:
            rows.append(["  standard error", *(_ms(value) for value in errors[key].values())])
    return rows


def _rates(data: dict[str, Any]) -> list[list[str]]:
    named = (
        ("output tokens/s", "throughput", "output_tok_per_s", 1),
        ("prompt tokens/s", "throughput", "prompt_tok_per_s", 1),
        ("requests/s", "throughput", "request_per_s", 1),
        ("mJ/output token", "energy_j", "per_output_tok", 1000),
        ("W", "power_w", "mean", 1),
    )
    errors = data["standard_error"]
    return [
        [words, _number(times * data[part][key]),
         *([_rough(times * errors[part][key])] if errors else [])]
        for words, part, key, times in named
    ]  # fmt: skip


def _busy(data: dict[str, Any]) -> list[list[str]]:
    most = sorted(data["busy"].items(), key=lambda item: -item[1])[:BUSY]
    return [[name, f"{share:.1%}"] for name, share in most]


def _stages(data: dict[str, Any]) -> list[str]:
    stages, room = data["stages"], data["capacity"]
    held = data["held_out"]
    lines = [
        f"{stages['count']} stages, {stages['mixed']} with a prompt ({stages['mixed_share']:.1%}; "
        f"{stages['mixed_share_expected']:.1%} by chance); {stages['simulated']} simulated in "
        f"{stages['runs']} runs.",
        f"Largest batch at full length: {_largest(room)}. "
        + " ".join(_held(memory) for memory in room["memories"]),
    ]
    if held:
        time_, energy = held["time_error"], held["energy_error"]
        lines.append(
            f"Other stages are fitted: on {held['stages']} held-out ones off by "
            f"{time_['mean']:.2%} of time (most {time_['max']:.2%}) and {energy['mean']:.2%} of "
            f"energy (most {energy['max']:.2%})."
        )
    if data["status"] != "complete":
        lines.append("Interrupted: this is what the stages known so far say.")
    if stages["unseen"]:
        lines.append(
            f"{stages['unseen']} stages count for nothing here: none of their kind (without a "
            "prompt, with one, with more) is known."
        )
    return lines


def _largest(room: dict[str, Any]) -> str:
    least = "at least " if room["largest_batch"] == room["at_most"] else ""
    return f"{least}{room['largest_batch']}"


def _held(memory: dict[str, Any]) -> str:
    from archsim.core.units import format_bytes

    parts = ", ".join(
        f"{name.replace('_', ' ')} {format_bytes(size)}"
        for name, size in memory["held_bytes"].items() if size
    )  # fmt: skip
    return f"Of {format_bytes(memory['capacity_bytes'])} {memory['memory']} of a device: {parts}."


def stages(found: "ServedLoop") -> list[dict[str, Any]]:
    """One row a stage."""
    return [
        {"stage": stage.number, "decoding": stage.decoding,
         "context_tokens": stage.attended, "prompts": len(stage.prompts),
         "prompt_tokens": sum(stage.prompts), "time_s": taken.time_s,
         "energy_j": taken.energy_j, "simulated": stage.number in found.simulated}
        for stage, taken in found.pairs
    ]  # fmt: skip


def write(found: "ServedLoop", folder: str) -> None:
    """Result and stages of a run."""
    from archsim.core.files import atomic_write

    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    atomic_write(base / "result.json", out.json_text(found.data) + "\n")
    atomic_write(base / "stages.csv", out.csv_text(stages(found)))
    out.note(f"wrote {folder}")
