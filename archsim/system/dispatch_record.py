"""What decided where each op of a plan runs, for the report; of machines with dispatch rules."""

from __future__ import annotations

from collections.abc import Iterator

from archsim.ir.dispatch_record import DispatchRecord
from archsim.system.place import Plan, Stage
from archsim.system.record_pod import named_stages


def dispatch_records(plan: Plan) -> tuple[DispatchRecord, ...]:
    """One of each op, in order; none where the machine has no dispatch rules."""
    if not plan.machine.spec.dispatch:
        return ()
    plans = plan.pod.plans if plan.pod else (plan,)
    owner = {id(s): one for one in plans for b in one.blocks for s in b.stages}
    return tuple(
        one
        for name, stage in named_stages(plan)
        for one in _of_stage(owner[id(stage)], name, stage)
    )


def _of_stage(plan: Plan, name: str, stage: Stage) -> Iterator[DispatchRecord]:
    """Those of the ops of a stage; what was fused without a question went with the first."""
    dispatcher = plan.machine.dispatcher
    share = name.removesuffix(stage.path)
    assert dispatcher is not None
    if stage.ops[0].collective is not None:
        return
    for op in stage.ops:
        path = f"{stage.block}/{op.name}"
        made = dispatcher.made(path, op)
        work = dispatcher.work(path, op)
        asks = (work.intensity, work.rows) if work.rows else (None, None)
        if made is None:
            why = f"in one stage with {stage.ops[0].name}"
            yield DispatchRecord(share + path, stage.engine.name, "", why, (), *asks)
            continue
        rule = "" if made.rule is None else f"dispatch[{made.rule}]"
        yield DispatchRecord(share + path, made.engine, rule, made.why, made.passed, *asks)
