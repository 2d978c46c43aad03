"""Does a scratchpad of banks say what it is, refuse what it cannot be, and cost what it costs?"""

import copy

import numpy as np
import pytest

import archsim
from archsim.components.systolic_array import SystolicArray
from archsim.core.errors import InputError
from archsim.core.yamlread import read_text
from archsim.energy.sram import macro
from archsim.ir.problem import problem
from archsim.ir.target import Tiles
from archsim.memory.banks import Banks
from archsim.memory.sram import Sram
from archsim.system.array_cost import array_cost
from archsim.system.build import build
from archsim.system.spec import load_hardware
from archsim.testing.problems import gemm

MACHINE = {
    "schema": "archsim.hardware/1",
    "name": "banked",
    "clocks": {"core": "1 GHz", "slow": "500 MHz"},
    "memory": {
        "pad": {"kind": "sram", "capacity": "1 MiB", "width_bits": 64, "banks": 16,
                "interleave": "word"},
        "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "100 GB/s", "latency": "0 s"},
    },
    "engines": {
        "array": {"kind": "systolic_array", "rows": 16, "cols": 16},
        "vector": {"kind": "vector_unit", "lanes": 64},
    },
}  # fmt: skip
PREFILL = {"phase": "prefill", "batch": 1, "tokens": 64}


def machine(**pad):
    made = copy.deepcopy(MACHINE)
    made["memory"]["pad"].update(pad)
    made["memory"]["pad"] = {k: v for k, v in made["memory"]["pad"].items() if v is not None}
    return made


def sram(**pad):
    return build(load_hardware(machine(**pad))[0]).sram


def cost(stationary, m, n, k, *, dtype="int8", **pad):
    """Cost of one tile of a product on a 16 x 16 array."""
    made = build(load_hardware(machine(**pad))[0])
    op, tensors = gemm(1, m, n, k, dtype=dtype)
    one = lambda x: np.array([x])  # noqa: E731
    tiles = Tiles(
        stationary, one(1), one(m), one(n), one(k),
        first=one(False), resumed=one(False), opens=one(True), closes=one(True),
    )  # fmt: skip
    engine = made.engines["array"]
    assert isinstance(engine, SystolicArray)
    view = problem(op, tensors, 32)
    return engine.cost(tiles, dtype), array_cost(engine, view, made, dtype)(tiles)


def test_banks_without_an_interleave_are_only_macros():
    plain = sram(interleave=None, bandwidth="64 B/cycle")
    assert isinstance(plain, Sram)
    assert plain.read_banks is None
    assert plain.peak_bytes_per_s == 64e9


def test_counted_banks_give_a_word_a_port_and_cycle_unless_told_less():
    assert sram().peak_bytes_per_s == 16 * 8 * 1e9
    assert sram(ports=2).peak_bytes_per_s == 2 * 16 * 8 * 1e9
    assert sram(ports={"read": 2, "write": 1}).peak_bytes_per_s == 3 * 16 * 8 * 1e9
    assert sram(bandwidth="100 B/cycle").peak_bytes_per_s == 100e9
    assert sram(clock="slow").peak_bytes_per_s == 16 * 8 * 0.5e9


def test_an_interleave_of_a_word_is_the_width():
    assert sram().read_banks == Banks(16, 64, 64)
    assert sram(interleave="16 B", swizzle="xor").read_banks == Banks(16, 64, 128, xor=True)


def test_ports_apart_serve_reads_and_writes_by_themselves():
    apart = sram(ports={"read": 2, "write": 1})
    assert (apart.read_banks, apart.write_banks) == (Banks(16, 64, 64, 2), Banks(16, 64, 64, 1))
    assert not apart.shares_ports
    assert sram(ports=2).shares_ports


def test_the_latency_is_cycles_of_its_own_clock():
    assert sram(latency_cycles=3, clock="slow").latency_ps == 6000


TEXT = """\
schema: archsim.hardware/1
name: banked
clocks: {core: 1 GHz}
memory:
  pad:
    kind: sram
    capacity: 1 MiB
    width_bits: 64
    banks: 16
    interleave: word
  hbm: {kind: dram, capacity: 1 GiB, bandwidth: 100 GB/s, latency: 0 s}
engines:
  array: {kind: systolic_array, rows: 16, cols: 16}
  vector: {kind: vector_unit, lanes: 64}
"""


def refused(old, new):
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        load_hardware(read_text(TEXT.replace(old, new), "m.yaml"))
    return caught.value.render()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "interleave: word",
            "interleave: 4 B",
            """\
m.yaml:10:17: error[E202]: an interleave of 4 B is less than a word of 64 bits
   10 |     interleave: 4 B
      |                 ^^^
      = help: interleave: 8 B, or a smaller width""",
        ),
        (
            "interleave: word",
            "interleave: 20 B",
            """\
m.yaml:10:17: error[E202]: an interleave of 20 B is no multiple of a word of 64 bits
   10 |     interleave: 20 B
      |                 ^^^^
      = help: interleave: 16 B""",
        ),
        (
            "width_bits: 64",
            "width_bits: 60",
            """\
m.yaml:10:17: error[E202]: a word of 60 bits is not a whole number of bytes
   10 |     interleave: word
      |                 ^^^^
      = help: width_bits: 64""",
        ),
        (
            "banks: 16",
            "banks: 12",
            """\
m.yaml:9:12: error[E202]: 12 banks of chunks of 8 B do not divide 1048576 B
    9 |     banks: 12
      |            ^^
      = help: banks: 8, or capacity: 1048512 B""",
        ),
        (
            "banks: 16",
            "banks: 1000000000",
            """\
m.yaml:9:12: error[E107]: 1000000000 banks are more than the 16384 that are counted
    9 |     banks: 1000000000
      |            ^^^^^^^^^^
      = help: fewer banks, or no interleave""",
        ),
        (
            "interleave: word",
            "swizzle: xors\n    interleave: word",
            """\
m.yaml:10:14: error[E108]: swizzle "xors" is not one of none, xor
   10 |     swizzle: xors
      |              ^^^^
      = help: did you mean "xor"?""",
        ),
        (
            "    interleave: word\n",
            "",
            """\
m.yaml:5:3: error[E102]: an sram without an interleave needs a bandwidth
    5 |   pad:
      |   ^^^
      = help: bandwidth: 64 B/cycle, or interleave: word""",
        ),
        (
            "interleave: word",
            "bandwidth: 64 B/cycle\n    swizzle: xor",
            """\
m.yaml:5:3: error[E202]: swizzle is of banks that are counted, and there is no interleave
    5 |   pad:
      |   ^^^
      = help: interleave: word""",
        ),
        (
            "interleave: word",
            "bandwidth: 64 B/cycle\n    tile_order: lanes",
            """\
m.yaml:5:3: error[E202]: tile_order is of banks that are counted, and there is no interleave
    5 |   pad:
      |   ^^^
      = help: interleave: word""",
        ),
        (
            "interleave: word",
            "bandwidth: 64 B/cycle\n    ports: {read: 1, write: 1}",
            """\
m.yaml:5:3: error[E202]: ports apart are of banks that are counted, and there is no interleave
    5 |   pad:
      |   ^^^
      = help: interleave: word""",
        ),
        (
            "interleave: word",
            "interleave: word\n    ports: {read: 1, wrte: 1}",
            """\
m.yaml:11:22: error[E101]: unknown key "wrte" in memory.pad.ports
   11 |     ports: {read: 1, wrte: 1}
      |                      ^^^^
      = help: did you mean "write"?  (archsim schema hardware lists all keys)""",
        ),
    ],
)
def test_what_banks_cannot_be_is_refused_where_it_stands(old, new, expected):
    assert refused(old, new) == expected


def test_an_xor_over_a_number_of_banks_that_is_no_power_of_two_is_refused():
    with pytest.raises(InputError) as caught:
        sram(capacity="1536 KiB", banks=12, swizzle="xor")
    (found,) = caught.value.diagnostics
    assert found.path == "memory.pad.swizzle"
    assert (found.code, found.message, found.help) == (
        "E202",
        "an XOR needs a power of two of banks, and there are 12",
        "banks: 8",
    )


def test_more_bandwidth_than_the_banks_have_is_refused():
    with pytest.raises(InputError) as caught:
        sram(bandwidth="129 B/cycle")
    assert str(caught.value.args[0]) == (
        "memory.pad.bandwidth is more than its banks have: 16 banks of 64 bits give 128 B/cycle"
    )
    assert caught.value.details["path"] == "memory.pad.bandwidth"


@pytest.mark.parametrize(
    ("capacity", "width_bits", "beyond"),
    [
        (1 << 20, 64, None),
        (4 << 20, 256, "4194304 B, where capacities are 4096 to 1048576"),
        (1 << 20, 1024, "1024 bits, where widths are 64 to 512"),
        (2 << 20, 96, "2097152 B, where capacities are 1024 to 1048576"),
        (512, 32, "32 bits, where widths are 64 to 512 and "
                  "512 B, where capacities are 1024 to 1048576"),
    ],
)  # fmt: skip
def test_a_macro_that_no_point_encloses_is_assumed_and_says_so(capacity, width_bits, beyond):
    one = macro(capacity, width_bits, 45)
    assert one.accuracy == ("assumed" if beyond else "derived")
    assert one.source.partition("; beyond its points: ")[2] == (beyond or "")


def test_rows_that_spread_over_the_banks_cost_what_the_array_costs():
    bare, fed = cost("weight", 64, 16, 16)
    # a cycle: 16 B in, 64 B out, 2 + 8 words of 16
    assert fed.cycles[0] == bare.cycles[0] == 64
    assert [int(n[0]) for n in fed.waits.values()] == [0, 0, 0]


def test_lanes_down_a_column_of_whole_turns_meet_in_one_bank():
    # output-stationary: 16 rows of inputs 128 B apart, a turn of the banks: 16 lanes in one bank
    bare, fed = cost("output", 16, 16, 128)
    assert bare.cycles[0] == 128
    assert fed.waits["in"][0] == 128 * 15
    assert fed.cycles[0] == 128 * 16


def test_a_pitch_of_one_word_more_or_an_xor_spreads_a_column():
    _, padded = cost("output", 16, 16, 136)
    _, swizzled = cost("output", 16, 16, 128, swizzle="xor")
    assert padded.waits["in"][0] == swizzled.waits["in"][0] == 0
    # every lane takes a word of its own for one byte: 16 + 2 words a cycle of 16, and 8 a result
    assert padded.cycles[0] == -(-(136 * 18 + 16 * 8) // 16)


def test_tiles_that_lie_as_lanes_ask_for_them_have_no_columns():
    bare, fed = cost("output", 16, 16, 128, tile_order="lanes")
    # 2 words of inputs, 2 of weights a cycle
    assert fed.cycles[0] == bare.cycles[0]
    assert [int(n[0]) for n in fed.waits.values()] == [0, 0, 0]


def test_a_second_port_halves_what_a_bank_takes():
    _, fed = cost("output", 16, 16, 128, ports=2)
    assert fed.cycles[0] == 128 * 8


def test_results_against_the_rows_wait_on_the_ports_that_write():
    # input-stationary: 16 lanes of results along M, each a row of 16 words: a turn apart
    bare, fed = cost("input", 16, 32, 16, ports={"read": 1, "write": 1})
    assert bare.out_writes[0] == 16 * 32
    assert fed.waits["out"][0] == 32 * 15
    assert fed.cycles[0] == 32 * 16


def test_a_slower_memory_takes_as_many_cycles_of_its_own():
    _, fast = cost("output", 16, 16, 128)
    _, slow = cost("output", 16, 16, 128, clock="slow")
    assert slow.cycles[0] == 2 * fast.cycles[0]


def test_a_run_reports_conflicts_by_operand_and_counts_whole_words():
    rule = [{"ops": "*", "dataflow": "output_stationary"}]
    plain, piled, spread = (
        archsim.run({**machine(**pad), "mapping": rule}, "gpt2-small", **PREFILL, advice=False)
        for pad in (
            {"interleave": None, "bandwidth": "128 B/cycle"},
            {"interleave": "1 KiB"},
            {"swizzle": "xor"},
        )
    )
    rows = [{o["op"]: o for o in r.ops} for r in (plain, piled, spread)]
    name = next(op for op, o in rows[1].items() if o["macs"])
    keys = [f"sram_{word}_conflict_cycles" for word in ("in", "weight", "out")]
    assert not set(keys) & rows[0][name].keys()
    assert all(rows[1][name][key] > 0 for key in keys[1:])
    assert sum(rows[2][name][key] for key in keys) < sum(rows[1][name][key] for key in keys)
    assert piled.result["time_ps"] > spread.result["time_ps"] >= plain.result["time_ps"]
    assert rows[2][name]["sram_read_bytes"] % 8 == 0
