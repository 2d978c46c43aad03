"""What `explain` says of streams: how deep each FIFO must be, beside how deep and full it is."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsim.report.model import Report


def depths(report: "Report") -> list[dict[str, Any]]:
    """Each stream of a run with the least depths of its FIFOs, found by simulation."""
    from archsim import api

    streams = {s["op"]: s for s in report.result.get("streams", ())}
    if not streams:
        return []
    found = []
    for path, least in api.fifo_depths(report).items():
        found.append(
            {
                "op": path,
                "interval_cycles": float(least.interval_cycles),
                "now_cycles": None if least.now_cycles is None else float(least.now_cycles),
                "fifos": [
                    {
                        "name": f["name"],
                        "depth": f["depth"],
                        "peak": f["peak"],
                        "least_for_full_throughput": least.full[f["name"]],
                        "least_to_end": least.ends[f["name"]],
                    }
                    for f in streams[path]["fifos"]
                ],
            }
        )
    return found


def text(found: list[dict[str, Any]]) -> list[str]:
    """One table a stream."""
    from archsim.cli._output import table_text

    parts = []
    for stream in found:
        rows = [
            [
                f["name"],
                f"{f['depth']:,}",
                "" if f["peak"] is None else f"{f['peak']:,}",
                f"{f['least_for_full_throughput']:,}" + _short(f),
                f"{f['least_to_end']:,}",
            ]
            for f in stream["fifos"]
        ]
        now = stream["now_cycles"]
        head = f"FIFOs of {stream['op']}: {stream['interval_cycles']:g} cycles an iteration at best"
        head += ", as now" if now == stream["interval_cycles"] else f", {now:g} now" if now else ""
        columns = ["", "depth", "peak", "least at full throughput", "least to end"]
        parts.append(f"{head}\n{table_text(rows, columns)}")
    return parts


def _short(fifo: dict[str, Any]) -> str:
    return " (too short)" if fifo["depth"] < fifo["least_for_full_throughput"] else ""
