"""What `allocate` prints: a scratchpad plan in total, and stay by stay."""

from collections.abc import Sequence
from typing import Any

from archsim.memory.allocation.lifetimes import Allocation, Flow

BUDGETS = ("largest-op", "half", "peak")  # words for what the graph itself asks


def allocation(
    workload: str, budget: str, policy: str, *, set_: Sequence[str], **phase: Any
) -> Allocation:
    """A model's plan.

    Args:
        workload: name or path of a workload or model.
        budget: a size, or one of `BUDGETS`.
        policy: of allocation.
        set_: overrides of the workload.
        phase: as `load_workload` takes it.
    """
    from archsim.lowering.lower import lower
    from archsim.lowering.spec import load_workload
    from archsim.memory.allocation.allocate import allocate
    from archsim.system.allocation import flow_of

    flow = flow_of(lower(load_workload(workload, set_=set_, **phase)[0]))
    return allocate(flow, budget_bytes(flow, budget), policy)


def budget_bytes(flow: Flow, text: str) -> int:
    """Bytes of a budget, written as a size or as what the graph asks.

    Raises:
        InputError: E103 to E107 for a text that is neither.
    """
    from archsim.core.units import parse_quantity

    if text not in BUDGETS:
        return int(parse_quantity(text, "bytes"))
    least = flow.largest_op_bytes()
    if text == "largest-op":
        return least
    from archsim.memory.allocation.cosma import least_room

    peak = least_room(flow).bytes
    return peak if text == "peak" else (least + peak) // 2


def rows(found: Allocation) -> list[dict[str, Any]]:
    """One row a stay, in the order they begin; steps count from 0, the last one included."""
    flow, seen = found.flow, set[int]()
    table = []
    for tensor, begin, end, address in found.stays:
        if not flow.tensors[tensor].bytes:
            continue
        first = "fetched" if tensor not in flow.producer else "written"
        table.append(
            {
                "tensor": flow.tensors[tensor].name,
                "bytes": flow.tensors[tensor].bytes,
                "address_bytes": address,
                "first_step": begin,
                "last_step": end - 1,
                "first_op": flow.steps[found.order[begin]].name,
                "last_op": flow.steps[found.order[end - 1]].name,
                "arrives": "fetched again" if tensor in seen else first,
            }
        )
        seen.add(tensor)
    return table


def data(found: Allocation) -> dict[str, Any]:
    """The whole plan for programs."""
    return {
        "workload": found.flow.name,
        "policy": found.policy,
        "status": found.status,
        "budget_bytes": found.budget_bytes,
        "occupied_bytes": found.occupied_bytes,
        "compulsory_bytes": found.compulsory_bytes,
        "non_compulsory_bytes": found.non_compulsory_bytes,
        "evicted_bytes": found.evicted_bytes,
        "refetched_bytes": found.refetched_bytes,
        "bound_bytes": found.bound_bytes,
        "order": [found.flow.steps[op].name for op in found.order],
        "stays": rows(found),
    }


def text(found: Allocation) -> str:
    """The plan for people: what it moves, then what lies where."""
    from archsim.cli._output import table_text
    from archsim.core.units import format_bytes

    moved = format_bytes(found.non_compulsory_bytes)
    if found.non_compulsory_bytes:
        moved += f": {format_bytes(found.evicted_bytes)} evicted"
        moved += f", {format_bytes(found.refetched_bytes)} fetched again"
    if found.status == "feasible":
        moved += f"; no plan needs less than {format_bytes(found.bound_bytes)}"
    head = [
        ["policy", f"{found.policy}, {found.status}"],
        ["budget", f"{format_bytes(found.budget_bytes)} ({found.budget_bytes} B)"],
        ["occupied", f"{format_bytes(found.occupied_bytes)} ({found.occupied_bytes} B)"],
        ["off chip, compulsory", format_bytes(found.compulsory_bytes)],
        ["off chip, non-compulsory", moved],
    ]
    stays = [
        [
            f"{row['first_step']}-{row['last_step']}",
            f"{row['address_bytes']:#x}",
            format_bytes(row["bytes"]),
            row["arrives"],
            row["tensor"],
        ]
        for row in rows(found)
    ]
    header = ["steps", "address", "bytes", "arrives", "tensor"]
    title = f"{found.flow.name}: {len(found.flow.steps)} ops in a scratchpad"
    return "\n\n".join((title, table_text(head), table_text(stays, header)))
