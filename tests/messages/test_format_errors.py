"""Does a format that an engine does not multiply say where, why and what to do?"""

import textwrap

import pytest

import archsim
from archsim.core.errors import ArchsimError
from archsim.energy.pe_arrays import designs

FILE = """\
schema: archsim.hardware/1
name: small
clocks: {core: 1 GHz}
memory:
  sram: {kind: sram, capacity: 8 MiB, bandwidth: 4096 B/cycle}
  hbm: {kind: dram, capacity: 8 GiB, bandwidth: 1 TB/s, latency: 0 ns}
engines:
  array: %s
  vector: {kind: vector_unit, lanes: 64}
"""

BITS = "{kind: bit_serial_array, rows: 8, cols: 8, types: [fp16]}"
SYSTOLIC = "{kind: systolic_array, rows: 8, cols: 8, rates: {bf16: 1}}"


def refusal(tmp_path, array, weights):
    file = tmp_path / "m.yaml"
    file.write_text(FILE % array)
    work = {
        "schema": "archsim.workload/1", "name": "one",
        "model": {"layers": [{"name": "a", "m": 8, "n": 8, "k": 8}]},
        "dtypes": {"weights": weights, "activations": "fp16", "accumulators": "fp32"},
    }  # fmt: skip
    with pytest.raises(ArchsimError) as caught:
        archsim.run(str(file), work)
    return caught.value.render().replace(f"{tmp_path}/", "").splitlines()


# ruff: noqa: E501 - one line on the screen


@pytest.mark.parametrize(
    ("array", "weights", "expected"),
    [
        (
            SYSTOLIC, "int8",
            """
            m.yaml:8:10: error[E302]: layers/a computes in int8, and engine array has no rate for it
                8 |   array: {kind: systolic_array, rows: 8, cols: 8, rates: {bf16: 1}}
                  |          ^
                  = help: --set engines.array.rates.int8=1, or one of: bf16
            """,
        ),
        (
            BITS, "bf16",
            """
            m.yaml:8:10: error[E302]: layers/a multiplies by bf16 of 16 bits, and engine array does not take it
                8 |   array: {kind: bit_serial_array, rows: 8, cols: 8, types: [fp16]}
                  |          ^
                  = help: it takes fp16, integers and narrower forms, of at most 8 bits
            """,
        ),
        (
            SYSTOLIC, "mxfp6",
            """
            m.yaml:8:10: error[E302]: layers/a multiplies by mxfp6, which computes in fp8, and engine array has no rate for it
                8 |   array: {kind: systolic_array, rows: 8, cols: 8, rates: {bf16: 1}}
                  |          ^
                  = help: --set engines.array.rates.fp8=1, or one of: bf16
            """,
        ),
        (
            "{kind: bit_serial_array, rows: 8, cols: 8, operands: {weight: 8 B, in: 4 KiB}}", "int8",
            """
            m.yaml:8:72: error[E401]: a: tiles of weight take 16 bytes or more, and array has 8 for them
                8 |   array: {kind: bit_serial_array, rows: 8, cols: 8, operands: {weight: 8 B, in: 4 KiB}}
                  |                                                                        ^^^
                  = help: engines.array.operands.weight: 16 B or more
            """,
        ),
        (
            "{kind: systolic_array, rows: 8, cols: 8, pe: mac-3d-cube-8x8x8-154mh}", "int8",
            """
            m.yaml:8:55: error[E108]: pe "mac-3d-cube-8x8x8-154mh" is not one of NAMES
                8 |   array: {kind: systolic_array, rows: 8, cols: 8, pe: mac-3d-cube-8x8x8-154mh}
                  |                                                       ^^^^^^^^^^^^^^^^^^^^^^^
                  = help: did you mean "mac-3d-cube-8x8x8-154mhz"?
            """,
        ),
        (
            "{kind: bit_serial_array, rows: 8, cols: 8, pe: opt4c-pe-column-n32-714mh}", "int8",
            """
            m.yaml:8:57: error[E108]: pe "opt4c-pe-column-n32-714mh" is not one of NAMES
                8 |   array: {kind: bit_serial_array, rows: 8, cols: 8, pe: opt4c-pe-column-n32-714mh}
                  |                                                         ^^^^^^^^^^^^^^^^^^^^^^^^^
                  = help: did you mean "opt4c-pe-column-n32-714mhz"?
            """,
        ),
        (
            "{kind: spatial_array, rows: 8, cols: 8, registers: {weight: 0 B}}", "int8",
            """
            m.yaml:8:70: error[E107]: engines.array.registers.weight must be greater than 0, got 0 B
                8 |   array: {kind: spatial_array, rows: 8, cols: 8, registers: {weight: 0 B}}
                  |                                                                      ^^^
                  = help: write it like `80 GiB`
            """,
        ),
        (
            "{kind: bit_serial_array, rows: 8, cols: 8, also: [[4, 8]]}", "int8",
            """
            m.yaml:8:3: error[E202]: 4 x 8 are 32 units, 8 x 8 are 64
                8 |   array: {kind: bit_serial_array, rows: 8, cols: 8, also: [[4, 8]]}
                  |   ^^^^^
                  = help: an arrangement has as many units
            """,
        ),
        (
            "{kind: systolic_array, rows: 8, cols: 8, rates: {int8: 1}, pe: mac-3d-cube-8x8x8-154mhz}",
            "int8",
            """
            m.yaml:8:73: error[E107]: mac-3d-cube-8x8x8-154mhz has a path of 6.44 ns, too long for a clock of 1000 MHz
                8 |   array: {kind: systolic_array, rows: 8, cols: 8, rates: {int8: 1}, pe: mac-3d-cube-8x8x8-154mhz}
                  |                                                                         ^^^^^^^^^^^^^^^^^^^^^^^^
                  = help: a clock of at most 155 MHz
            """,
        ),
    ],
)  # fmt: skip
def test_it_names_the_place_the_reason_and_the_way_out(tmp_path, array, weights, expected):
    got = refusal(tmp_path, array, weights)
    names = ", ".join(designs())
    wanted = textwrap.dedent(expected).strip().replace("NAMES", names).splitlines()
    assert [line.strip() for line in got] == [line.strip() for line in wanted]
