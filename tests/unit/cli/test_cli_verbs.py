"""Does each verb print its result, all of it and nothing else, on stdout?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from archsim.cli import _catalogue
from archsim.core.yamlio import load_layers, load_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Program = Callable[..., Done]

ROOT = Path(__file__).parents[3]
RUN = ("run", "npu", "gpt2-small-prefill")
FILES = ["config.resolved.yaml", "manifest.json", "ops.csv", "result.json"]


def folder() -> Path:
    """The only run folder under the present one."""
    (found,) = Path("runs").iterdir()
    return found


def test_run_writes_a_folder_of_four_files_and_says_where(archsim: Program) -> None:
    done = archsim(*RUN)
    assert done.status == 0
    assert sorted(path.name for path in folder().iterdir()) == FILES
    assert done.stderr.splitlines()[-1] == f"wrote {folder()}"


def test_the_summary_names_time_energy_area_and_verdict(archsim: Program) -> None:
    lines = archsim(*RUN).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:8]] == [
        "Time", "Throughput", "Energy", "Power", "Area", "Utilization",
    ]  # fmt: skip
    assert lines[-1].endswith(".")
    assert max(map(len, lines)) <= 80


def test_run_says_that_cycle_equals_tile(archsim: Program) -> None:
    assert "note: cycle equals tile" in archsim(*RUN).stderr


def test_quiet_leaves_stderr_empty(archsim: Program) -> None:
    assert archsim(*RUN, "--quiet").stderr == ""


def test_verbose_adds_what_the_run_cost(archsim: Program) -> None:
    assert " MB, " in archsim(*RUN, "--verbose").stderr


def test_format_json_prints_exactly_result_json(archsim: Program) -> None:
    done = archsim(*RUN, "--format", "json", "--quiet")
    assert done.stdout == (folder() / "result.json").read_text()
    assert json.loads(done.stdout)["schema"] == "archsim.result/1"


def test_format_csv_prints_exactly_ops_csv(archsim: Program) -> None:
    assert archsim(*RUN, "--format", "csv").stdout == (folder() / "ops.csv").read_text()


def test_format_yaml_is_the_same_result(archsim: Program, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(archsim(*RUN, "--format", "yaml").stdout)
    assert load_yaml(tmp_path / "r.yaml").data == json.loads((folder() / "result.json").read_text())


def test_a_run_folder_in_use_is_refused_before_any_work(archsim: Program, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x")
    done = archsim(*RUN, "-o", "mine")
    assert done.status == 2
    assert "mine is not empty" in done.stderr
    assert archsim(*RUN, "-o", "mine", "--force").status == 0
    assert (tmp_path / "mine" / "result.json").exists()
    assert (tmp_path / "mine" / "precious").read_text() == "x"


def test_a_dry_run_writes_nothing(archsim: Program, tmp_path: Path) -> None:
    done = archsim(*RUN, "--dry-run")
    assert done.status == 0
    assert "nothing run" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_out_of_time_exits_with_6_and_writes_nothing(
    archsim: Program, tmp_path: Path
) -> None:
    done = archsim(*RUN, "--timeout", "0 s")
    assert done.status == 6
    assert "not finished after 0 s" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_both_engines_folded_and_exact_print_the_same_metrics(archsim: Program) -> None:
    ways = ((), ("--exact",), ("--engine", "simpy"), ("--engine", "simpy", "--exact"))
    found = [json.loads(archsim(*RUN, "--format", "json", *way).stdout) for way in ways]
    for result in found:
        result.pop("fold")
    assert found.count(found[0]) == len(ways)


@pytest.mark.parametrize("fidelity", ["bound", "analytic", "tile", "cycle"])
def test_every_fidelity_says_which_it_is(archsim: Program, fidelity: str) -> None:
    result = json.loads(archsim(*RUN, "--fidelity", fidelity, "--format", "json").stdout)
    assert result["fidelity"] == fidelity
    assert result["fidelity_notes"]
    assert result["time_ps"] >= result["bound_ps"]


def test_overrides_reach_hardware_and_workload(archsim: Program) -> None:
    def time_of(*more: str) -> int:
        return int(json.loads(archsim(*RUN, "--format", "json", *more).stdout)["time_ps"])

    slow = time_of("--set", "memory.hbm.bandwidth=100 GB/s")
    large = time_of("--set", "workload.phase.batch=2")
    assert slow > time_of()
    assert large > time_of()


@pytest.mark.parametrize("name", ["result", "manifest"])
def test_a_run_leaves_valid_json(archsim: Program, name: str) -> None:
    archsim(*RUN)
    assert json.loads((folder() / f"{name}.json").read_text())["schema"] == f"archsim.{name}/1"


def test_the_resolved_configuration_runs_again_to_the_same_key(archsim: Program) -> None:
    first = json.loads(archsim(*RUN, "--set", "clocks.core=500 MHz", "--format", "json").stdout)
    resolved = load_yaml(folder() / "config.resolved.yaml").data
    for kind in ("hardware", "workload"):
        Path(f"{kind}.yaml").write_text(json.dumps(resolved[kind]))
    again = json.loads(archsim("run", "hardware.yaml", "workload.yaml", "--format", "json").stdout)
    assert again["key"] == first["key"]


@pytest.mark.parametrize(
    "kind",
    ["hardware", "workloads", "models", "components", "memories", "links", "dataflows", "energy",
     "suites", "studies", "samplers", "executors"],
)  # fmt: skip
def test_everything_listed_has_a_name_and_a_line_about_it(archsim: Program, kind: str) -> None:
    rows = json.loads(archsim("list", kind, "--format", "json").stdout)
    assert rows
    assert all(row["name"] and row["about"] for row in rows)
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert archsim("list", kind).stdout.split()[0] == rows[0]["name"]


@pytest.mark.parametrize("kind", ["hardware", "workload", "explore"])
def test_the_committed_schema_is_the_generated_one(archsim: Program, kind: str) -> None:
    committed = (ROOT / "schemas" / f"{kind}.v1.json").read_text()
    assert archsim("schema", kind).stdout == committed, "run `make schemas`"


def shipped(kind: str) -> list[Path]:
    names = {"hardware": "configs", "workload": "workloads", "explore": "studies"}
    return sorted((ROOT / names[kind]).glob("*.yaml"))


@pytest.mark.parametrize("kind", ["hardware", "workload", "explore"])
def test_every_shipped_file_fits_the_schema(kind: str) -> None:
    schema = json.loads((ROOT / "schemas" / f"{kind}.v1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    files = shipped(kind)
    assert files
    for path in files:
        whole = load_layers(path).data  # a file that extends another says only what differs
        errors = [f"{path.name}: {e.json_path} {e.message}" for e in validator.iter_errors(whole)]
        assert errors == []


@pytest.mark.parametrize("kind", ["hardware", "workload", "explore"])
def test_every_shipped_file_tells_editors_its_schema(kind: str) -> None:
    line = f"# yaml-language-server: $schema=../schemas/{kind}.v1.json"
    missing = [p.name for p in shipped(kind) if p.read_text().splitlines()[0] != line]
    assert missing == []


def test_check_names_what_it_read(archsim: Program) -> None:
    done = archsim("check", "npu", "llama-3-8b-decode", "--format", "json")
    assert done.status == 0
    kinds = [(f["file"], f["kind"]) for f in json.loads(done.stdout)["files"]]
    assert kinds == [("npu", "hardware"), ("llama-3-8b-decode", "workload")]


def test_check_reads_a_model_alone_without_a_phase(archsim: Program) -> None:
    done = archsim("check", "llama-3-8b")
    assert (done.status, done.stdout, done.stderr) == (0, "llama-3-8b  model  llama-3-8b\n", "")


def test_check_takes_the_phase_of_a_model_that_is_paired(archsim: Program) -> None:
    alone = archsim("check", "npu", "gpt2-small")
    assert alone.stderr.startswith("error[E102]: gpt2-small needs a phase\n")
    done = archsim("check", "npu", "gpt2-small", "--phase", "prefill", "--tokens", "64")
    assert (done.status, done.stderr) == (0, "")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["hardware", "workload"]


def test_check_warns_about_a_workload_alone(archsim: Program) -> None:
    done = archsim("check", "resnet-50", "--set", "workload.dtypes.kv_cache=fp8")
    text = "warning: W101 dtypes.kv_cache has no effect: the model keeps no KV cache\n"
    assert (done.status, done.stderr) == (0, text)


def test_check_prints_the_mistakes_of_all_files_together(archsim: Program, tmp_path: Path) -> None:
    text = (ROOT / "configs" / "npu.yaml").read_text()
    (tmp_path / "a.yaml").write_text(text.replace("banks:", "bank:"))
    (tmp_path / "b.yaml").write_text(text.replace("80 GiB", "80"))
    done = archsim("check", "a.yaml", "b.yaml")
    assert done.status == 3
    assert done.stdout == ""
    heads = [line for line in done.stderr.splitlines() if "error[" in line]
    assert [head.split(":")[0] for head in heads] == ["a.yaml", "b.yaml"]
    assert ["E101" in heads[0], "E103" in heads[1]] == [True, True]


@pytest.mark.parametrize("name", ["npu", "tpu-v4", "scalesim-128"])
def test_a_shown_machine_loads_again_to_the_same(archsim: Program, name: str) -> None:
    Path("again.yaml").write_text(archsim("show", name, "--format", "yaml").stdout)
    assert (
        archsim("show", "again.yaml", "--format", "json").stdout
        == archsim("show", name, "--format", "json").stdout
    )


def test_show_of_a_machine_gives_peaks_ridge_and_sources(archsim: Program) -> None:
    found = json.loads(archsim("show", "npu", "--format", "json").stdout)
    peak = 2 * 8 * 128 * 128 * 1e9
    assert found["peak_flop_per_s"]["bf16"] == peak
    assert found["ridge_flop_per_byte"]["bf16"] == peak / 1e12
    assert found["assumed"] == sum(
        text.startswith("assumed") for text in found["provenance"].values()
    )
    text = archsim("show", "npu").stdout
    assert "Provenance (" in text
    assert max(map(len, text.splitlines())) <= 80


def test_show_of_a_model_gives_what_is_known_about_it(archsim: Program) -> None:
    found: dict[str, Any] = json.loads(archsim("show", "llama-3-8b", "--format", "json").stdout)
    assert found["parameters"] == 8_030_261_248
    assert found["kv_bytes_per_token"] == 131_072
    assert "8,030,261,248" in archsim("show", "llama-3-8b").stdout


def test_a_shown_workload_loads_again(archsim: Program) -> None:
    Path("w.yaml").write_text(archsim("show", "llama-3-8b-decode", "--format", "yaml").stdout)
    assert archsim("check", "w.yaml").status == 0


def test_a_shown_model_runs_with_the_phase_that_it_notes(archsim: Program) -> None:
    done = archsim("show", "gpt2-small", "--format", "yaml")
    assert done.stderr == "note: the phase is an example, where none was asked for: edit it\n"
    Path("m.yaml").write_text(done.stdout)
    assert archsim("run", "npu", "m.yaml", "--fidelity", "bound").status == 0
    asked = archsim("show", "gpt2-small", "--phase", "prefill", "--tokens", "4", "--format", "yaml")
    assert asked.stderr == ""


def test_map_prints_the_loop_nest_and_bytes_of_the_chosen_ops(archsim: Program) -> None:
    text = archsim("map", "npu", "gpt2-small-prefill", "--op", "lm_head").stdout
    head, *rest = text.splitlines()
    assert head.startswith("head/lm_head")
    assert any(line.strip().startswith("for ") for line in rest)
    assert any(line.strip().startswith("off chip") for line in rest)


def test_map_of_nothing_lists_what_there_is(archsim: Program) -> None:
    done = archsim("map", "npu", "gpt2-small-prefill", "--op", "nonsense")
    assert done.status == 3
    assert "head/lm_head" in done.stderr


def test_doctor_is_content_here(archsim: Program) -> None:
    done = archsim("doctor", "--format", "json")
    assert done.status == 0
    found = json.loads(done.stdout)
    assert {"archsim", "python", "machine", "compiled cache", "self-test"} <= {
        c["what"] for c in found
    }
    assert "fail" not in {c["status"] for c in found}


def test_quickstart_ends_with_the_path_to_open(archsim: Program) -> None:
    done = archsim("quickstart")
    assert done.status == 0
    assert Path(done.stdout.splitlines()[-1]).is_file()
    assert max(map(len, done.stdout.splitlines())) <= 80
    for path in Path("runs").iterdir():
        assert sorted(file.name for file in path.iterdir()) == FILES


def test_validate_lists_suites_and_runs_one(archsim: Program) -> None:
    assert "scalesim" in archsim("validate").stdout
    done = archsim("validate", "scalesim", "--limit", "3", "--format", "json")
    result = json.loads(done.stdout)
    assert done.status == 0
    assert (result["suite"], result["rows"], result["pass"]) == ("scalesim", 3, True)


def test_the_catalogue_is_sorted_and_short() -> None:
    for kind in ("components", "dataflows"):
        found = _catalogue.entries(kind)
        assert found == sorted(found)
