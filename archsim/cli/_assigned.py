"""What `assign` prints: each op's engine and price, and what the simulation says of them all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Assigned:
    """An assignment, what it was chosen from, and runs before and after."""

    objective: str
    jobs: list[Any]
    left_out: Mapping[str, str]
    chosen: Any
    dispatch: list[dict[str, Any]]
    before: Any
    after: Any


def assigned(hardware: str, workload: str, objective: str, solver: str, **options: Any) -> Assigned:
    """Price, choose, and simulate the machine as it is and with the chosen rules.

    Raises:
        ArchsimError: as `dse.assign` and `api.run`.
    """
    from archsim import api
    from archsim.dse.assign import assign, priced

    spec = api.load_hardware(hardware, set_=options["set_"], set_files=options["set_files"])
    offered = priced(hardware, workload, **options)
    work, leakage_w = offered.jobs, offered.leakage_w
    if solver == "cp-sat":
        from archsim.dse.assign_exact import assign_exactly as find
    else:
        find = assign
    chosen = find(work, leakage_w, objective, spec.budgets.limits())
    data = spec.to_data()
    dispatch = [*chosen.rules(), *data.get("dispatch", [])]
    own = [s for s in options["set_"] if s.startswith("workload.")]
    rest = {k: v for k, v in options.items() if k not in ("set_", "set_files")}
    before = api.run(data, workload, set_=own, advice=False, **rest)
    assigned_data = {**data, "dispatch": dispatch}
    after = api.run(assigned_data, workload, set_=own, advice=False, **rest)
    return Assigned(objective, work, offered.left_out, chosen, dispatch, before, after)


def rules_text(found: Assigned) -> str:
    """The rules as a file for `--set-file`."""
    from archsim.core.yamlio import dump_yaml

    return dump_yaml({"dispatch": found.dispatch})


def data(found: Assigned) -> dict[str, Any]:
    """Everything for programs."""
    return {
        "objective": found.objective,
        "how": found.chosen.how,
        "proven": found.chosen.proven,
        "estimate": {"latency_s": found.chosen.latency_s, "energy_j": found.chosen.energy_j},
        "simulated": {"before": _simulated(found.before), "after": _simulated(found.after)},
        "ops": [
            {
                "op": job.path,
                "network": job.network,
                "engine": found.chosen.engines[job.path],
                "time_s": {e: ps * 1e-12 for e, ps in sorted(job.time_ps.items())},
                "energy_j": dict(sorted(job.energy_j.items())),
            }
            for job in found.jobs
        ],
        "left_out": dict(found.left_out),
        "dispatch": found.dispatch,
    }


def _simulated(report: Any) -> dict[str, Any]:
    return {
        "latency_s": report.metrics["time_s"],
        "energy_j": report.metrics["energy_j"]["total"],
        "area_mm2": report.metrics["area_mm2"]["total"],
        "budgets": report.result["budgets"],
    }


def text(found: Assigned) -> str:
    """For people: the engine of every op with its price on each, then the runs."""
    from archsim.cli._output import table_text
    from archsim.core.units import format_si

    engines = sorted({e for job in found.jobs for e in job.time_ps})
    rows = [
        [
            job.path,
            found.chosen.engines[job.path],
            *(
                f"{format_si(job.time_ps[e] * 1e-12, 's')}, {format_si(job.energy_j[e], 'J')}"
                if e in job.time_ps
                else "-"
                for e in engines
            ),
        ]
        for job in found.jobs
    ]
    proven = ", the best by the closed forms" if found.chosen.proven else ""
    title = f"{found.objective} first, assigned by {found.chosen.how}{proven}"
    left_out = [f"left out: {name}, as {reason}" for name, reason in found.left_out.items()]
    runs = [["", "latency", "energy", "budgets"]]
    runs.append(["estimated", format_si(found.chosen.latency_s, "s"),
                 format_si(found.chosen.energy_j, "J"), ""])  # fmt: skip
    for name, report in (("simulated, assigned", found.after), ("simulated, before", found.before)):
        took = _simulated(report)
        runs.append(
            [name, format_si(took["latency_s"], "s"), format_si(took["energy_j"], "J"),
             _budgets(took["budgets"])]
        )  # fmt: skip
    return "\n\n".join(
        (
            title,
            *left_out,
            table_text(rows, ["op", "runs on", *engines]),
            table_text(runs[1:], runs[0]),
        )
    )


def _budgets(budgets: list[dict[str, Any]]) -> str:
    words = {True: "met", False: "violated", None: "open"}
    return ", ".join(f"{b['metric'].rpartition('_')[0]} {words[b['met']]}" for b in budgets) or "-"
