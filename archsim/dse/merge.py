"""Shards of a study become one: the rows and files that a single machine would have written.

The summary of a study is of the loop that asked for its designs: the same command with the merged
folder runs nothing and writes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from archsim.core.errors import InputError
from archsim.core.files import atomic_write
from archsim.dse.again import written
from archsim.dse.folder import DATABASE, MANIFEST, RESOLVED
from archsim.dse.store import Store


def merge(
    sources: Sequence[Path], into: Path, *, partial: bool = False, fresh: bool = False
) -> dict[str, int]:
    """Join the stores of several folders in another.

    Args:
        sources: folders of shards, or of the same study run in parts.
        into: the folder to be made.
        partial: also when shards are missing or did not come to their end.
        fresh: forget what `into` holds.

    Returns:
        Designs by status.

    Raises:
        InputError: E702 a store of another version; E703 a shard that is half-written, missing,
            given twice or of another study, or a folder that holds something.
    """
    _refuse_to_replace(sources, into, fresh=fresh)
    with ExitStack() as open_:
        stores = [open_.enter_context(Store.read(folder)) for folder in sources]
        _check_same_study(stores)
        whole = _check_whole(stores, partial=partial)
        meta = stores[0].meta
        store = open_.enter_context(
            Store.open(into, fresh=fresh, spec_sha=meta["spec"], archsim=meta["archsim"])
        )
        for source in stores:
            for point in source.points():
                _copy(source.run_path(point.key), store.run_path(point.key))
            store.absorb(source)
        for file in (sources[0] / RESOLVED, *written(sources[0])):
            _copy(file, into / file.name)
        manifest = {"merged": [source.folder.name for source in stores], "wall_s": store.wall_s()}
        atomic_write(into / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        if whole:
            store.finish()
        return store.counts()


def _refuse_to_replace(sources: Sequence[Path], into: Path, *, fresh: bool) -> None:
    if into.resolve() in {source.resolve() for source in sources}:
        raise InputError(
            f"{into} is one of the folders to be merged",
            code="E703", help="give another folder with -o",
        )  # fmt: skip
    if (into / DATABASE).exists() and not fresh:
        raise InputError(
            f"{into} holds a study already",
            code="E703", help="give another folder with -o, or replace it with --fresh",
        )  # fmt: skip


def _check_same_study(stores: Sequence[Store]) -> None:
    first = stores[0]
    for store in stores[1:]:
        for fact, what in (("spec", "study"), ("archsim", "version of archsim")):
            if store.meta[fact] != first.meta[fact]:
                raise InputError(
                    f"{store.folder} and {first.folder} are not of the same {what}", code="E703",
                    help="shards of one study have the same explore.resolved.yaml",
                )  # fmt: skip


def _check_whole(stores: Sequence[Store], *, partial: bool) -> bool:
    """Whether the stores hold the whole study."""
    shards = [store.meta.get("shard", "") for store in stores]
    for i, (store, shard) in enumerate(zip(stores, shards, strict=True)):
        if shard and shard in shards[:i]:
            other = stores[shards.index(shard)].folder
            raise InputError(f"{store.folder} and {other} are both shard {shard}", code="E703")
    sizes = {shard.partition("/")[2] for shard in shards}
    if len(sizes) > 1:
        raise InputError(
            f"the folders are of different divisions: {', '.join(s or 'whole' for s in shards)}",
            code="E703", help="shards of one study say the same n in --shard i/n",
        )  # fmt: skip
    unfinished = [store for store in stores if not store.complete]
    if unfinished and not partial:
        store = unfinished[0]
        count = sum(store.counts().values())
        raise InputError(
            f"{store.folder} is half-written: {count} points, and it did not come to its end",
            code="E703", help="run the same command again to finish it, or use --partial",
        )  # fmt: skip
    size = int(sizes.pop() or 1)
    lacking = sorted({f"{i}/{size}" for i in range(1, size + 1)} - set(shards)) if size > 1 else []
    if lacking and not partial:
        raise InputError(
            f"shard {', '.join(lacking)} of the study is not among the folders",
            code="E703", help="give all of them, or use --partial",
        )  # fmt: skip
    return not unfinished and not lacking


def _copy(source: Path, target: Path) -> None:
    """Copy a file that is there, whole or not at all."""
    if source.is_file():
        atomic_write(target, source.read_bytes())
