"""`archsim bound`: what physics allows, in closed form, op by op; nothing is simulated."""

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim bound npu llama-3-8b-decode",
    "archsim bound tpu-v4 gpt2-small --phase prefill --tokens 512 --format json",
)
NEEDS_ARGUMENTS = True


def command(
    hardware: o.Hardware,
    workload: o.Workload,
    *,
    set_: o.Set = None,
    set_file: o.SetFile = None,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    dim: o.Dim = None,
    fmt: o.AnyFormat = "table",
) -> None:
    """Print the least time that physics allows: compulsory bytes and peak rates only.

    Weights and KV cache are moved once, masked points are not computed, everything overlaps.
    Where dispatch rules choose among engines, it is the bound of what they chose: other rules
    have another.
    """
    from archsim.cli import _bounds

    found = _bounds.bounds(
        hardware, workload,
        set_=o.with_dims(set_, dim), set_files=set_file or (),
        phase=phase, batch=batch, context=context, tokens=tokens,
    )  # fmt: skip
    if fmt == "json":
        out.result(out.json_text(found))
    elif fmt == "csv":
        out.result(out.csv_text(found["ops"]))
    elif fmt == "yaml":
        from archsim.core.yamlio import dump_yaml

        out.result(dump_yaml(found))
    else:
        out.result(_bounds.text(found))
