"""The command that runs one design of a study alone, and the files that it reads.

They lie beside the answers of the study: every machine and every workload that designs are laid
over, resolved, with what the study set in all of them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsim.core.files import atomic_write
from archsim.core.yamlio import dump_yaml
from archsim.core.yamlread import value_text
from archsim.dse.space import split

HARDWARE, WORKLOAD = "hardware", "workload"
Files = Mapping[tuple[str, str | int | None], tuple[str, Any]]
"""File and content of each description, by kind and by what chooses it: a word of the space, the
number of a workload of the study, or None for its machine."""


def files(study: Mapping[str, Any]) -> Files:
    """What the designs of a study are laid over, by file.

    Args:
        study: its resolved description, as data.
    """
    found: dict[tuple[str, str | int | None], tuple[str, Any]] = {}
    chosen = study.get("descriptions") or {}
    machines = {None: study["hardware"]} if study.get("hardware") else {}
    works = {
        i: one.get("model", one) if "schema" not in one else one
        for i, one in enumerate(study.get("workloads") or ())
    }
    for kind, several in (
        (HARDWARE, machines | (chosen.get(HARDWARE) or {})),
        (WORKLOAD, works | (chosen.get(WORKLOAD) or {})),
    ):
        taken: set[str] = set()
        for word, data in several.items():
            stem = _stem(word if isinstance(word, str) else data.get("name"))
            file = _free(kind, stem, taken) if len(several) > 1 else f"{kind}.yaml"
            taken.add(file)
            found[kind, word] = (file, data)
    return found


def write(folder: Path, study: Mapping[str, Any]) -> None:
    """Write the files that commands read into the folder of a study."""
    for file, data in files(study).values():
        atomic_write(folder / file, dump_yaml(data))


def written(folder: Path) -> list[Path]:
    """Those files of a folder."""
    return sorted(path for kind in (HARDWARE, WORKLOAD) for path in folder.glob(f"{kind}*.yaml"))


def again(
    folder: Path, study: Mapping[str, Any], settings: Mapping[str, Any], fidelity: str
) -> list[str]:
    """The commands that run a design alone, one a workload.

    Args:
        folder: of the study, as commands shall name it.
        study: its resolved description, as data.
        settings: of the design, chosen descriptions included.
        fidelity: of its run.
    """
    chosen, own = split(settings)
    table = files(study)
    machine, *_ = _of(table, HARDWARE, chosen)
    works = _of(table, WORKLOAD, chosen)
    options = ["--fidelity", fidelity, "--seed", str(study.get("seed", 0))]
    for path, value in own.items():
        options += ["--set", f"{path}={value_text(value)}"]
    return [
        shlex.join(["archsim", "run", str(folder / machine), str(folder / work), *options])
        for work in works
    ]


def _of(table: Files, kind: str, chosen: Mapping[str, str]) -> list[str]:
    """Files of a design: the chosen, or those of the study, or the first that can be chosen."""
    if kind in chosen:
        return [table[kind, chosen[kind]][0]]
    some = {word: file for (of, word), (file, _) in table.items() if of == kind}
    return [file for word, file in some.items() if not isinstance(word, str)] or [*some.values()][
        :1
    ]


def _stem(name: Any) -> str:
    """A name as part of a file's name."""
    stem = re.sub(r"\.ya?ml$", "", Path(str(name or "")).name)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-.") or "1"


def _free(kind: str, stem: str, taken: set[str]) -> str:
    """A file that no other description has."""
    file, number = f"{kind}-{stem}.yaml", 2
    while file in taken:
        file, number = f"{kind}-{stem}-{number}.yaml", number + 1
    return file
