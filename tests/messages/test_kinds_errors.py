"""Is the error helpful? Kinds of devices that do not make up a machine, or cannot share a model."""

from functools import cache
from textwrap import dedent

import pytest

import archsim
from archsim.core.errors import ArchsimError, InputError
from archsim.ir.parallel import ParallelPlan
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import build
from archsim.system.kinds import divided_over
from archsim.system.spec import load_hardware

GPU = {"name": "gpu", "count": 2, "engines": ["xpu", "simd"]}
PIM = {"name": "pim", "count": 2, "engines": ["pim", "softmax"]}


@pytest.fixture
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(extra="", plan="", phase="{kind: decode, batch: 8, context: 64}", status=3):
    with open("m.yaml", "w") as file:
        file.write(f"extends: hetero-4\nname: m\n{extra}")
    with open("w.yaml", "w") as file:
        file.write(
            "schema: archsim.workload/1\nname: w\nmodel: {preset: gpt2-small}\n"
            f"phase: {phase}\n{plan}"
        )
    with pytest.raises(ArchsimError) as caught:
        archsim.run("m.yaml", "w.yaml", fidelity="analytic")
    assert caught.value.exit_code == status
    return caught.value.render()


def says(text):
    return dedent(text).strip("\n")


@pytest.mark.usefixtures("_folder")
def test_e203_a_plan_of_the_devices_of_all_kinds():
    assert refused(plan="parallel: {tensor: 4}\n") == says("""
        w.yaml:5:11: error[E203]: the parallel plan takes 4 devices, and each kind has 2
            5 | parallel: {tensor: 4}
              |           ^
              = help: ways whose product is 2: devices of all kinds share a device's work
        """)


@pytest.mark.usefixtures("_folder")
def test_e203_a_pipeline_of_devices_of_several_kinds():
    assert refused(plan="parallel: {pipeline: 2}\n") == says("""
        w.yaml:5:22: error[E203]: pipeline: 2 is of devices that are all alike
            5 | parallel: {pipeline: 2}
              |                      ^
              = help: pipeline: 1 on devices of several kinds
        """)


@pytest.mark.usefixtures("_folder")
def test_e201_a_kind_with_an_engine_that_there_is_not():
    lines = (
        "devices:\n"
        "  - {name: gpu, count: 2, engines: [xpu, simd]}\n"
        "  - {name: pim, count: 2, engines: [pim, softmx]}\n"
    )
    assert refused(lines) == says("""
        m.yaml:5:42: error[E201]: devices[1].engines[1] names engine "softmx", which does not exist
            5 |   - {name: pim, count: 2, engines: [pim, softmx]}
              |                                          ^^^^^^
              = help: names: xpu, simd, pim, softmax; did you mean "softmax"?
        """)


@pytest.mark.usefixtures("_folder")
def test_e203_keys_and_values_that_one_kind_keeps_and_another_reads():
    lines = "dispatch:\n  - {ops: kv_append, run_on: softmax}\n"
    assert refused(lines) == says("""
        m.yaml:4:3: error[E203]: attn.kv_append keeps keys and values on devices of kind pim, and attention on those of kind gpu reads the ones of earlier tokens
            4 |   - {ops: kv_append, run_on: softmax}
              |   ^
              = help: dispatch rules that send kv_append and attention over cached tokens to engines of one kind of device
        """)  # noqa: E501


@pytest.mark.usefixtures("_folder")
def test_e401_says_which_kind_of_device_is_full():
    phase = "{kind: decode, batch: 5120, context: 1024}"
    assert refused(phase=phase, status=5) == says("""
        error[E401]: each of the 2 devices from 2 on (pim): w needs 90.00 GiB, hbm holds 80.00 GiB (short by 10.00 GiB), as the default plan (tensor: 2) divides it
              = help: weights 0 B, kv_cache 90.00 GiB, activations 4 B; narrower dtypes, a smaller batch, or --set memory.hbm.stacks=...
        """)  # noqa: E501


@cache
def hardware():
    return load_hardware("hetero-4")[0].to_data()


@cache
def graph(kind="decode"):
    phase = {"kind": "train", "batch": 2, "tokens": 16} if kind == "train" else {
        "kind": "decode", "batch": 8, "context": 64}  # fmt: skip
    data = {"schema": "archsim.workload/1", "name": "w", "model": {"preset": "gpt2-small"}}
    return lower(load_workload({**data, "phase": phase})[0])


def machine(**changes):
    return build(load_hardware({**hardware(), **changes})[0])


@pytest.mark.parametrize(
    ("changes", "message", "helps"),
    [
        ({"devices": [GPU, {**PIM, "count": 4}]}, "devices are 2 + 4: kinds of unlike counts",
         "as many of each kind"),
        ({"devices": [{**GPU, "count": 4}, {**PIM, "count": 4}]},
         "devices are 4 + 4, and the network joins 4",
         "counts that add up to 4, or a network of 8 devices"),
        ({"devices": [{**GPU, "engines": ["xpu", "simd", "pim", "softmax"]}]},
         "devices names one kind", "two or more, or leave devices out"),
        ({"devices": [GPU, {**PIM, "name": "gpu"}]}, 'devices has two kinds called "gpu"',
         "each kind a name of its own"),
        ({"devices": [{**GPU, "engines": ["xpu"]}, PIM]}, "no kind of device has engine simd",
         "engines: [..., simd]"),
        ({"dispatch": [{"ops": "moe_expert", "split": {"over": ["xpu", "pim"]}}]},
         "dispatch[0].split deals one op to engines of devices of several kinds",
         "engines of one kind"),
        ({"mapping": [{"ops": "*", "head_groups": 2}]},
         "mapping[0].head_groups is of devices that are all alike", "leave head_groups out"),
        ({"interleave": {"sub_batches": 2}}, "interleave is of devices that are all alike",
         "leave interleave out"),
    ],
)  # fmt: skip
def test_e202_kinds_that_do_not_make_up_the_machine(changes, message, helps):
    with pytest.raises(InputError) as caught:
        machine(**changes)
    error = caught.value
    assert (error.code, error.message, error.help) == ("E202", message, helps)


@pytest.mark.parametrize(
    ("plan", "kind", "message", "helps"),
    [
        ({"context": 2}, "decode", "context: 2 is of devices that are all alike",
         "context: 1 on devices of several kinds"),
        ({"tensor": 2, "microbatches": 2}, "decode",
         "microbatches are of devices that are all alike", "microbatches: 1"),
        ({"tensor": 2}, "train", "training is of devices that are all alike",
         "a phase of inference, such as decode"),
    ],
)  # fmt: skip
def test_e203_plans_and_graphs_of_alike_devices(plan, kind, message, helps):
    with pytest.raises(InputError) as caught:
        divided_over(graph(kind), machine(), ParallelPlan(**plan))
    error = caught.value
    assert (error.code, error.message, error.help) == ("E203", message, helps)


def test_e203_a_kind_that_no_op_goes_to():
    idle = machine(dispatch=[{"ops": "attention_score", "run_on": "xpu"}])
    with pytest.raises(InputError) as caught:
        divided_over(graph(), idle, ParallelPlan(tensor=2))
    assert caught.value.message == "nothing of w runs on devices of kind pim"
    assert caught.value.help == "a dispatch rule that sends ops to an engine that only they have"
