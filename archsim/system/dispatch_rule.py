"""Dispatch rules as data: which ops go to which engine, or are split over several."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import PositiveInt, Spec, problem

Intensity = Annotated[float, Field(gt=0)]


class SplitRule(Spec):
    """Parts of an op on several engines at once."""

    over: Annotated[tuple[str, ...], Field(min_length=2)]
    """Engines: names under `engines:`."""

    by: Literal["experts", "heads", "sequences"] = "experts"
    """What is dealt to them, whole."""

    spaces: PositiveInt | None = None
    """Spaces of the memory that experts lie in, dealt in turn; all of a space go to one engine.
    Default: each expert is a space of its own."""

    ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the work for the first engine. Default: the one whose slower side is fastest."""


class DispatchRule(Spec):
    """Sends ops to an engine; the first rule that matches an op wins."""

    ops: str | tuple[str, ...]
    """Op class, or glob on the op's path such as `layer/attn.*`; `*` is every op."""

    run_on: str | None = None
    """Engine: a name under `engines:`; or `auto`, the best of `among` by estimate."""

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
    """Only ops of at least so many operations a byte of their operands and results, each once."""

    max_intensity: Intensity | None = None
    """Only ops of at most so many."""

    min_rows: PositiveInt | None = None
    """Only ops whose matrices meet at least so many rows of input each, on average."""

    max_rows: PositiveInt | None = None
    """Only ops whose matrices meet at most so many."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.run_on is None) == (self.split is None):
            raise problem("E202", "a rule gives run_on or split, and not both", "run_on: auto")
        if self.among and self.run_on != "auto":
            raise problem("E202", "among is what auto chooses from", "run_on: auto")
        return self
