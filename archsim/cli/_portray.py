"""A machine as plain data and as text: what it holds, computes and moves, and who says so."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

WIDTH = 80  # columns of a line


def machine(source: str, set_: list[str], set_files: list[str]) -> tuple[dict[str, Any], Any]:
    """What `show` says about a machine, and its resolved description."""
    from archsim import api
    from archsim.system.build import build

    spec = api.load_hardware(source, set_=set_, set_files=set_files)
    built = build(spec)
    data = spec.to_data()
    peaks = _peaks(built)
    bandwidth = built.dram.peak_bytes_per_s
    provenance = dict(_provenance(data))
    areas = built.area_mm2()
    found = {
        "kind": "hardware",
        "name": spec.name,
        "description": spec.description,
        "peak_flop_per_s": peaks,
        "bandwidth_bytes_per_s": {
            name: memory.peak_bytes_per_s
            for name, memory in built.memories.items()
            if memory.peak_bytes_per_s != float("inf")
        },
        "ridge_flop_per_byte": {dtype: peak / bandwidth for dtype, peak in peaks.items()},
        "capacity_bytes": {name: m.capacity_bytes for name, m in built.memories.items()},
        "area_mm2": {"total": sum(areas.values()), "by_component": areas},
        "leakage_w": built.leakage_w(),
        **_area_efficiency(built, areas),
        "provenance": provenance,
        "assumed": sum(text.startswith("assumed") for text in provenance.values()),
        "resolved": data,
    }
    return found, data


def _peaks(built: Any) -> dict[str, float]:
    """Peak FLOP/s by dtype of everything that multiplies and accumulates, together."""
    peaks: dict[str, float] = {}
    for engine in built.engines.values():
        types: Any = getattr(engine.spec, "rates", None) or getattr(engine.spec, "types", ())
        for dtype in types:
            peaks[dtype] = peaks.get(dtype, 0.0) + 2 * engine.macs_per_s(dtype)
    return dict(sorted(peaks.items()))


def _area_efficiency(built: Any, areas: dict[str, float]) -> dict[str, Any]:
    """Peak FLOP/s a mm2 by dtype, of engines that are made of synthesised cells."""
    found = {
        name: {dtype: 2 * engine.macs_per_s(dtype) / areas[name] for dtype in engine.dtypes}
        for name, engine in built.engines.items()
        if getattr(engine.spec, "pe", None)
    }
    return {"flop_per_s_mm2": found} if found else {}


def _provenance(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Sources by dotted path: the machine's own, then those its components carry."""
    yield from data.get("provenance", {}).items()
    for room in ("memory", "engines", "interconnect"):
        for name, part in data.get(room, {}).items():
            for field, text in part.get("provenance", {}).items():
                yield f"{room}.{name}.{field}", text


def machine_text(found: dict[str, Any]) -> str:
    """The machine as a tree of values, then its totals and where numbers come from."""
    from archsim.cli._output import table_text
    from archsim.core.units import format_bytes, format_si

    head = table_text([[f"{found['name']}: {found['description']}".rstrip(": ")]])
    rows: list[list[str]] = [
        [f"peak {dtype}", format_si(peak, "FLOP/s"), f"ridge {ridge:.4g} FLOP/B"]
        for (dtype, peak), ridge in zip(
            found["peak_flop_per_s"].items(), found["ridge_flop_per_byte"].values(), strict=True
        )
    ]
    for name, capacity in found["capacity_bytes"].items():
        speed = found["bandwidth_bytes_per_s"].get(name)
        rows.append([name, format_bytes(capacity), format_si(speed, "B/s") if speed else ""])
    for name, by_dtype in found.get("flop_per_s_mm2", {}).items():
        most = max(by_dtype, key=by_dtype.__getitem__)
        rows.append([f"{name}, area", f"{format_si(by_dtype[most], 'FLOP/s')} a mm2", most])
    rows.append(["area", f"{found['area_mm2']['total']:.4g} mm2", "from the energy table's rows"])
    sources = [[path, text] for path, text in found["provenance"].items()]
    parts = [head, tree_text(found["resolved"]), table_text(rows)]
    if sources:
        parts.append(f"Provenance ({found['assumed']} assumed)\n{table_text(sources)}")
    return "\n\n".join(parts)


_SAID_ELSEWHERE = ("schema", "name", "description", "provenance")


def tree_text(data: dict[str, Any]) -> str:
    """A description as nested lines, without what a heading or a table of sources says."""
    return "\n".join(_tree({k: v for k, v in data.items() if k not in _SAID_ELSEWHERE}, 0))


def _tree(value: Any, depth: int) -> Iterator[str]:
    """Nested values, one a line, short mappings in one."""
    pad = "  " * depth
    pairs = (
        value.items() if isinstance(value, dict) else ((f"[{i}]", v) for i, v in enumerate(value))
    )
    for key, inner in pairs:
        if key == "provenance" or inner in ({}, []):
            continue
        flat = _flat(inner)
        if len(pad) + len(str(key)) + 2 + len(flat) <= WIDTH and not _deep(inner):
            yield f"{pad}{key}: {flat}"
        elif isinstance(inner, str):
            yield from wrap(
                flat, WIDTH, initial_indent=f"{pad}{key}: ", subsequent_indent=f"{pad}  "
            )
        else:
            yield f"{pad}{key}:"
            yield from _tree(inner, depth + 1)


def _deep(value: Any) -> bool:
    """True for a mapping that holds containers, or a list of mappings."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(v, dict) or (isinstance(v, list) and _deep(v)) for v in inner)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        said = ((k, v) for k, v in value.items() if k != "provenance" and v not in ({}, []))
        return ", ".join(f"{k} {_flat(v)}" for k, v in said)
    if isinstance(value, list):
        return ", ".join(_flat(v) for v in value)
    return str(value)


def is_machine(name: str) -> bool:
    """True for a shipped machine and for a file that says it describes one."""
    return is_description(name, "configs", "archsim.hardware")


def is_description(name: str, folder: str, schema: str) -> bool:
    """True for a name in a shipped folder, and for a file with a schema or that extends such."""
    from pathlib import Path

    from archsim.core.data import names
    from archsim.core.yamlio import load_layers, load_yaml

    path = Path(name)
    if not path.is_file():
        return name in names(folder)
    if path.suffix not in (".yaml", ".yml"):
        return False
    data = load_yaml(path).data
    if isinstance(data, dict) and "extends" in data and "schema" not in data:
        data = load_layers(path).data
    return isinstance(data, dict) and str(data.get("schema", "")).startswith(schema)


def workload(
    name: str, set_: list[str], set_files: list[str], asked: dict[str, Any]
) -> tuple[dict[str, Any], Any, bool]:
    """What `show` says about a workload or model, and a description of it that loads again.

    Returns:
        What is known; the description; True where its phase is an example, because none was asked.
    """
    from archsim.lowering.lower import describe
    from archsim.lowering.spec import architecture_of, load_workload

    spec, _ = load_workload(name, set_=set_, set_files=set_files, **asked)
    found = {"kind": "workload" if spec.phase else "model", **describe(spec)}
    if spec.phase is not None:
        return found, spec.to_data(), False
    phase = architecture_of(spec).default_phase()
    return found, spec.model_copy(update={"phase": phase}).to_data(), True


def workload_text(found: dict[str, Any]) -> str:
    """The facts of a workload, one a line; large counts with their thousands marked."""
    from archsim.cli._output import table_text

    rows = [[key.replace("_", " "), _grouped(value)] for key, value in found.items()]
    return table_text([row for row in rows if row[1]])


def _grouped(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _flat(value) if value is not None else ""
