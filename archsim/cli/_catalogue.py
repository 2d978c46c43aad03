"""Names and one-liners of everything that can be named: files by folder, plug-ins by registry."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

Entry = tuple[str, str]


def entries(kind: str) -> list[Entry]:
    """(name, one line about it) of everything of a kind, sorted by name."""
    from archsim.core.data import data_dir

    folders = {
        "hardware": data_dir("configs"),
        "workloads": data_dir("workloads"),
        "models": data_dir("workloads") / "models",
        "compositions": data_dir("workloads") / "compositions",
        "serving": data_dir("workloads") / "serving",
        "studies": data_dir("studies"),
    }
    if kind in folders:
        return _files(folders[kind])
    told = {
        "energy": _tables, "standards": _standards, "pim": _sets, "metrics": _metrics,
        "suites": _suites,
    }  # fmt: skip
    if kind in told:
        return told[kind]()
    found = [(name, _first_sentence(cls.__doc__ or "")) for name, cls in _registry(kind)]
    if kind == "dataflows":  # each with the kinds of array that it is for
        arrays = {name: cls.arrays() for name, cls in _registry(kind)}
        found = [(name, f"{about} ({arrays[name]})") for name, about in found]
    return found


def _tables() -> list[Entry]:
    from archsim.energy.table import table_names

    return [(name, _about_table(name)) for name in table_names()]


def _standards() -> list[Entry]:
    from archsim.memory.standard import standard_names

    return [(name, _about_standard(name)) for name in standard_names()]


def _sets() -> list[Entry]:
    from archsim.memory.pim.command_set import set_names

    return [(name, _about_set(name)) for name in set_names()]


def _suites() -> list[Entry]:
    from archsim.validation import list_suites

    return [(info.suite, info.proves) for info in list_suites()]


def _about_table(name: str) -> str:
    from archsim.energy.table import load_table

    table = load_table(name)
    rows = list(table.rows.values())
    assumed = sum(row.accuracy == "assumed" for row in rows)
    return f"{table.node_nm} nm: {len(rows)} energy rows, {assumed} of them assumed"


def _about_standard(name: str) -> str:
    from archsim.core.units import format_bytes, format_si
    from archsim.memory.standard import load_standard

    found = load_standard(name)
    rate, size = format_si(found.bytes_per_s, "B/s"), format_bytes(found.capacity_bytes)
    return f"{found.channels} channel{'s' * (found.channels > 1)}, {rate}, {size}"


def _metrics() -> list[Entry]:
    """What a study may judge by, with its value in one run; machines name their own components."""
    from archsim import api
    from archsim.dse.evaluate import numbers_of
    from archsim.report.formulas import unit_of

    report = api.run("npu", "gpt2-small-prefill", fidelity="tile", advice=False)
    return [
        (name, f"{value:.4g} {unit_of(name)} on npu, gpt2-small-prefill".replace("  ", " "))
        for name, value in numbers_of(report.result).items()
    ]


def _about_set(name: str) -> str:
    from archsim.memory.pim.command_set import fitting, load_set

    product = load_set(name).product
    computes = f"a unit a {product.unit.replace('_', ' ')}, " if product else ""
    return f"{computes}on {', '.join(fitting(load_set(name)))}"


def _registry(kind: str) -> Iterable[tuple[str, type[Any]]]:
    """The plug-ins of the room that a kind of thing lives in."""
    from importlib import import_module

    rooms = {
        "components": ("archsim.components.base", "engines"),
        "memories": ("archsim.memory.base", "memories"),
        "links": ("archsim.interconnect.base", "links"),
        "collectives": ("archsim.interconnect.collectives.base", "algorithms"),
        "dataflows": ("archsim.dataflows.base", "dataflows"),
        "transforms": ("archsim.lowering.transforms.base", "transforms"),
        "samplers": ("archsim.dse.samplers.base", "samplers"),
        "executors": ("archsim.dse.executors.base", "executors"),
    }
    module, name = rooms[kind]
    found: Iterable[tuple[str, type[Any]]] = getattr(import_module(module), name).items()
    return found


def _files(folder: Path) -> list[Entry]:
    """YAML files of a folder by stem, with what each says about itself."""
    from archsim.core.yamlio import load_yaml

    found = []
    for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem):
        data = load_yaml(path).data
        found.append((path.stem, _first_sentence(_about_file(data))))
    return found


def _about_file(data: dict[str, Any]) -> str:
    """The description of a file, else its source, else the model and phase that it names."""
    said = data.get("description") or data.get("source")
    if said:
        return str(said)
    model = " ".join(str(value) for value in data.get("model", {}).values())
    phase = ", ".join(f"{key} {value}" for key, value in data.get("phase", {}).items())
    return f"{model}, {phase.removeprefix('kind ')}".removesuffix(", ")


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split()).removesuffix(".")
