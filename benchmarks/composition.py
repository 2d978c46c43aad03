"""A composition of experts on nodes with three tiers and on nodes with host links.

For each node: time to switch, to the first token, hit rate, throughput, energy, nodes for 850
experts, and what more HBM would bring; then policies and copies ahead on the first node.

    python -m benchmarks.composition [--out DIR]
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

from archsim.report import style
from archsim.serving import figures
from archsim.serving.compose import compose
from archsim.serving.result import machines

NODES = ("sn40l-8", "sn40l-16", "dgx-a100-host", "dgx-h100-host")
COMPOSITION = "samba-coe"
OUTPUTS = (20, 200)
POLICIES = ("lru", "lfu", "pinned", "belady")
AHEAD = (0, 1)
MANY = 850  # experts that one SN40L node holds (Prabhakar et al., MICRO 2024, section VI-C)


def row(node: str, sets: tuple[str, ...], **said: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """One line of the table, and the answer it comes from."""
    began = time.perf_counter()
    data = compose(node, COMPOSITION, set_=sets).data
    one, room = data["models"][0], data["capacity"]
    near = room["nearest_bytes"] - room["router_bytes"] - room["work_bytes"]
    many = (one["weights_bytes"],) * MANY
    more = data["more_memory"][1]["speedup_per_gib"] if data["more_memory"] else None
    return {
        "node": node, **said,
        "switch_ms": 1e3 * one["switch_s"],
        "first_token_ms": 1e3 * one["ttft_s"],
        "after_switch_ms": 1e3 * one["ttft_after_switch_s"],
        "hit_rate": data["hit_rate"],
        "requests_per_s": data["throughput"]["request_per_s"],
        **{f"{part}_share": share for part, share in data["shares"].items()},
        "j_per_token": data["energy_j"]["per_output_tok"],
        "nodes_for_850_hbm": machines(many, near),
        "nodes_for_850_behind": machines(many, room["behind_bytes"]),
        "no_miss_hbm_gib": data["no_miss"]["capacity_bytes"] / 2**30,
        "no_miss_speedup": data["no_miss"]["speedup"],
        "speedup_per_gib": more,
        "wall_s": time.perf_counter() - began,
    }, data  # fmt: skip


def main() -> None:
    """Print the tables; write them and the figure where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    rows, answers = [], []
    for output in OUTPUTS:
        for node in NODES:
            sets = (f"composition.requests.output_tokens={output}",)
            line, data = row(node, sets, output_tokens=output, policy="lru", ahead=0)
            rows.append(line)
            answers += [data] if output == OUTPUTS[0] else []
    for policy in POLICIES:
        for ahead in AHEAD:
            sets = (
                f"composition.residency.policy={policy}",
                f"composition.residency.prefetch={ahead}",
            )
            rows.append(row(NODES[0], sets, output_tokens=20, policy=policy, ahead=ahead)[0])
    for line in rows:
        print(
            f"{line['node']:14} {line['output_tokens']:4} {line['policy']:6} {line['ahead']}  "
            f"switch {line['switch_ms']:7.2f} ms  first token {line['first_token_ms']:6.2f}, after "
            f"a switch {line['after_switch_ms']:7.2f} ms  hits {line['hit_rate']:6.1%}  "
            f"{line['requests_per_s']:6.2f}/s  waits {line['switching_share']:6.1%}  "
            f"{line['j_per_token']:5.2f} J/token  850: {line['nodes_for_850_hbm']:3} nodes, "
            f"{line['nodes_for_850_behind']} with what is behind  no misses: "
            f"{line['no_miss_hbm_gib']:.0f} GiB, {line['no_miss_speedup']:.2f} x  "
            f"{line['wall_s']:.1f} s"
        )
    if out:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "composition.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        style.save(out / "composition", figures.parts, answers, 1.8)


if __name__ == "__main__":
    main()
