"""Dispatch rules as data: which ops go to which engine, or are split over several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import PositiveInt, Spec, problem

Intensity = Annotated[float, Field(gt=0)]
AUTO = "auto"  # in place of an engine: whichever an estimate prefers


class SplitRule(Spec):
    """Parts of an op on several engines at once.

    A part is called after its engine, as `moe.gate@pim`. Selectors of the op cover its parts, and
    `*@pim` those of an engine: so its activations can be sent to lanes of their own.
    """

    over: tuple[str, ...]
    """Engines: names under `engines:`. The first gets the experts with most tokens, or the longest
    sequences."""

    by: Literal["experts", "heads", "sequences", "columns"] = "experts"
    """What is dealt to them, whole: experts of a layer, heads or sequences of an attention, or
    output columns of any other product with weights, which lie where their engine reads them."""

    spaces: PositiveInt | None = None
    """Spaces of the memory that experts lie in, dealt in turn; all of a space go to one engine.
    Default: each expert is a space of its own."""

    ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the work for the first engine. Default: the one whose slower side is fastest."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if len(self.over) < 2:
            message = f"over names {len(self.over)} engine{'s' * (not self.over)}"
            raise problem("E202", message, "two or more, or run_on for one")
        if len(set(self.over)) < len(self.over):
            twice = next(name for name in self.over if self.over.count(name) > 1)
            raise problem("E202", f"over names {twice} twice", "each engine once")
        if self.spaces is not None and self.by != "experts":
            raise problem("E202", f"spaces hold experts, and {self.by} are dealt", "by: experts")
        if self.ratio is not None and len(self.over) > 2:
            message = f"ratio is of two engines, and over names {len(self.over)}"
            raise problem("E202", message, "leave ratio out: the fastest deal is found")
        return self


class DispatchRule(Spec):
    """Sends ops to an engine; the first rule that matches an op wins."""

    ops: str | tuple[str, ...]
    """Op class, or glob on the op's path such as `layer/attn.*`; `*` is every op. A class or a path
    must run on the engine (E201); a glob, or a family such as `attention`, covers what can."""

    run_on: str | None = None
    """Engine: a name under `engines:`; or `auto`, the best of `among` by estimate. Products that
    belong together, of an attention or of the experts of a layer, go to one engine."""

    among: tuple[str, ...] = ()
    """Engines that `auto` chooses from. Default: all that can run the op."""

    prefer: Literal["latency", "energy", "edp"] = "latency"
    """What `auto` weighs."""

    split: SplitRule | None = None
    """In place of `run_on`: parts on several engines at once."""

    phase: tuple[Literal["prefill", "decode", "mixed", "encode", "train", "infer"], ...] = ()
    """Only ops of tokens of these phases. Default: any."""

    step: tuple[Literal["prefill", "decode", "mixed", "encode", "train", "infer"], ...] = ()
    """Only ops of a workload in one of these phases. Default: any."""

    min_intensity: Intensity | None = None
    """Only ops of at least so many operations a byte: two a MAC, over the bytes of operands and
    results, each once. Scores, softmax and values of an attention have one value together, as have
    the experts of a layer and their activation; what these hand to each other does not count."""

    max_intensity: Intensity | None = None
    """Only ops of at most so many."""

    min_rows: PositiveInt | None = None
    """Only ops whose matrices meet at least so many rows of input each, on average."""

    max_rows: PositiveInt | None = None
    """Only ops whose matrices meet at most so many."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.run_on is None) == (self.split is None):
            has = "neither" if self.split is None else "both"
            message = f"a rule has run_on or split, and this one has {has}"
            raise problem("E202", message, "run_on: auto")
        for key, said in (("among", self.among), ("prefer", self.prefer != "latency")):
            if said and self.run_on != AUTO:
                raise problem("E202", f"{key} is of a choice, and run_on is none", "run_on: auto")
        for least, most in (("min_intensity", "max_intensity"), ("min_rows", "max_rows")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                message = f"{least} {low:g} exceeds {most} {high:g}: no op is in between"
                raise problem("E202", message, f"{least}: {high:g} or less")
        return self

    @property
    def limits(self) -> bool:
        """Whether it asks for the intensity or the rows of an op."""
        given = (self.min_intensity, self.max_intensity, self.min_rows, self.max_rows)
        return any(limit is not None for limit in given)

    @property
    def always(self) -> bool:
        """Whether it holds for what it covers, whatever the run."""
        return not (self.limits or self.phase or self.step)

    def engines(self) -> Iterator[tuple[str, str]]:
        """(key, name) of every engine that it names."""
        if self.run_on not in (None, AUTO):
            yield "run_on", str(self.run_on)
        for i, name in enumerate(self.among):
            yield f"among[{i}]", name
        for i, name in enumerate(self.split.over if self.split else ()):
            yield f"split.over[{i}]", name
