"""Is the error helpful? Every way in which a written mapping is refused, with its full text."""

from textwrap import dedent

import pytest

from archsim import api
from archsim.core.errors import ArchsimError

SYSTOLIC = """\
schema: archsim.hardware/1
name: small
clocks: {core: 1 GHz}
memory:
  sram: {kind: sram, capacity: 64 KiB, banks: 4, width_bits: 64, bandwidth: 64 B/cycle}
  dram: {kind: dram, capacity: 1 GiB, bandwidth: 8 GB/s, latency: 100 ns, energy: ddr4}
engines:
  array: {kind: systolic_array, rows: 8, cols: 4}
  vector: {kind: vector_unit, lanes: 4}
interconnect:
  dma: {kind: dma, from: dram, to: sram}
placement: {weights: [dram], kv_cache: [dram], activations: [dram]}
energy: {table: 7nm}
mapping:
"""
SPATIAL = SYSTOLIC.replace(
    "{kind: systolic_array, rows: 8, cols: 4}",
    "{kind: spatial_array, rows: 8, cols: 4, count: 2, registers: {weight: 8 B, out: 4 B}}",
)
NEST = """\
  - ops: ops/fc
    nest:
      levels:
        dram: {loops: [N/16, K/48]}
        buffer: {keep: [in, weight, out], loops: [M/8, K/8, K/1 @rows, N/1 @cols]}
        registers: {keep: [weight], loops: [M/1]}
"""
GOOD = NEST.replace("N/1 @cols", "N/4 @cols").replace("[M/1]", "[M/1, N/1]")


def refused(folder, text):
    file = folder / "m.yaml"
    file.write_text(text)
    work = folder / "w.yaml"
    work.write_text(
        "schema: archsim.graph/1\nname: one\nops: [{kind: gemm, name: fc, m: 64, n: 32, k: 48}]\n"
    )
    with pytest.raises(ArchsimError) as caught:
        api.run(str(file), str(work), fidelity="analytic")
    return caught.value.render().replace(f"{folder}/", "")


def changed(text, *changes):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


CASES = {
    "a rank that no loop has": (
        SPATIAL + changed(GOOD, (", K/1 @rows", ""), ("K/8, ", "")),
        """
        m.yaml:20:20: error[E401]: fc: rank K is missed: no loop has it, its extent is 48
           20 |         registers: {keep: [weight], loops: [M/1, N/1]}
              |                    ^
              = help: add K/1 to registers
        """,
    ),
    "tiles larger than the buffer": (
        changed(SPATIAL, ("64 KiB", "4 KiB")) + GOOD,
        """
        m.yaml:19:17: error[E401]: fc: tiles need 17408 bytes (in 6144, weight 3072, out 8192) of buffer, 2048 are free
           19 |         buffer: {keep: [in, weight, out], loops: [M/8, K/8, K/1 @rows, N/4 @cols]}
              |                 ^
        """,  # noqa: E501 - its exact text
    ),
    "a tile larger than the registers": (
        SPATIAL + changed(GOOD, ("K/8, ", ""), ("K/1 @rows", "K/6 @rows"), ("N/1]", "N/1, K/1]")),
        """
        m.yaml:20:20: error[E401]: fc: weight needs 48 bytes of registers, an element of array has 8 for it
           20 |         registers: {keep: [weight], loops: [M/1, N/1, K/1]}
              |                    ^
        """,  # noqa: E501 - its exact text
    ),
    "more places than the array has": (
        SPATIAL + NEST,
        """
        m.yaml:19:72: error[E401]: fc: 16 N do not fit the 4 cols of array
           19 |         buffer: {keep: [in, weight, out], loops: [M/8, K/8, K/1 @rows, N/1 @cols]}
              |                                                                        ^^^^^^^^^
        """,
    ),
    "a sum split over arrays": (
        SPATIAL + changed(GOOD, ("K/8, K/1 @rows", "K/24 @count, K/1")),
        """
        m.yaml:19:56: error[E401]: fc: K is a sum, split over count without a combine
           19 |         buffer: {keep: [in, weight, out], loops: [M/8, K/24 @count, K/1, N/4 @cols]}
              |                                                        ^^^^^^^^^^^
              = help: array adds up over cols, rows
        """,
    ),
    "an operand that is kept nowhere": (
        SPATIAL + changed(GOOD, ("[in, weight, out]", "[in, weight]")),
        """
        m.yaml:19:17: error[E401]: fc: out is kept nowhere on chip
           19 |         buffer: {keep: [in, weight], loops: [M/8, K/8, K/1 @rows, N/4 @cols]}
              |                 ^
              = help: add out to what buffer keeps
        """,
    ),
    "a rank of no op": (
        SPATIAL + changed(GOOD, ("K/48]", "KK/48]")),
        """
        m.yaml:18:30: error[E201]: no rank KK: there are B, M, N, K, G, OH, OW, OC, IC, FH, FW
           18 |         dram: {loops: [N/16, KK/48]}
              |                              ^^^^^
              = help: did you mean "K"?
        """,
    ),
    "a rank of another op": (
        SPATIAL + changed(GOOD, ("K/48]", "OC/48]")),
        """
        m.yaml:18:30: error[E401]: fc: no rank OC: the op has B, M, N, K
           18 |         dram: {loops: [N/16, OC/48]}
              |                              ^^^^^
        """,
    ),
    "an axis that does not exist": (
        SPATIAL + changed(GOOD, ("@rows", "@row")),
        """
        m.yaml:19:61: error[E201]: no axis row: there are rows, cols, count
           19 |         buffer: {keep: [in, weight, out], loops: [M/8, K/8, K/1 @row, N/4 @cols]}
              |                                                             ^^^^^^^^
              = help: did you mean "rows"?
        """,
    ),
    "a level that does not exist": (
        SPATIAL + changed(GOOD, ("registers:", "register:")),
        """
        m.yaml:20:9: error[E101]: unknown key "register" in mapping[0].nest.levels
           20 |         register: {keep: [weight], loops: [M/1, N/1]}
              |         ^^^^^^^^
              = help: did you mean "registers"?  (archsim schema hardware lists all keys)
        """,
    ),
    "an operand that does not exist": (
        SPATIAL + changed(GOOD, ("keep: [weight]", "keep: [weights]")),
        """
        m.yaml:20:28: error[E201]: no operand weights: there are in, weight, out
           20 |         registers: {keep: [weights], loops: [M/1, N/1]}
              |                            ^^^^^^^
              = help: did you mean "weight"?
        """,
    ),
    "a loop that is none": (
        SPATIAL + changed(GOOD, ("[N/16", "[N16")),
        """
        m.yaml:18:24: error[E105]: "N16" is no loop
           18 |         dram: {loops: [N16, K/48]}
              |                        ^^^
              = help: a loop is rank/tile, or rank/tile @axis: `K/64`, `OC/1 @cols`
        """,
    ),
    "a file that does not exist": (
        SPATIAL + "  - {ops: ops/fc, nest: mine.yaml}\n",
        """
        m.yaml:15:25: error[E201]: nest names "mine.yaml", which does not exist
           15 |   - {ops: ops/fc, nest: mine.yaml}
              |                         ^^^^^^^^^
              = help: a YAML file beside this one, with `levels:`
        """,
    ),
    "a rule with a nest and a dataflow": (
        SPATIAL + GOOD + "    dataflow: spatial\n",
        """
        m.yaml:15:5: error[E202]: a rule gives a nest or a dataflow, not both
           15 |   - ops: ops/fc
              |     ^
              = help: a nest says itself what reports call its dataflow
        """,
    ),
    "more than one tile kept in an element": (
        SPATIAL + changed(GOOD, ("[in, weight, out]", "[in over N, weight, out]")),
        """
        m.yaml:19:17: error[E401]: fc: in over N: a level of array keeps one tile of an operand
           19 |         buffer: {keep: [in over N, weight, out], loops: [M/8, K/8, K/1 @rows, N/4 @cols]}
              |                 ^
              = help: write `in`; the order of loops says how long it stays
        """,  # noqa: E501 - its exact text
    ),
    "ranks that a systolic array has no dataflow for": (
        SYSTOLIC + changed(NEST, ("M/8, K/8, K/1 @rows", "N/1 @rows"), ("N/1 @cols", "M/1 @cols")),
        """
        m.yaml:19:17: error[E401]: fc: array has no dataflow with N @rows M @cols
           19 |         buffer: {keep: [in, weight, out], loops: [N/1 @rows, M/1 @cols]}
              |                 ^
              = help: it has K @rows M @cols; K @rows N @cols; M @rows N @cols
        """,
    ),
    "another operand than the one that stays": (
        SYSTOLIC + changed(NEST, ("M/8, ", ""), ("keep: [weight]", "keep: [out]")),
        """
        m.yaml:20:20: error[E401]: fc: cells keep out, and with K over rows and N over columns they keep weight
           20 |         registers: {keep: [out], loops: [M/1]}
              |                    ^
        """,  # noqa: E501 - its exact text
    ),
    "a fold that is larger than the array": (
        SYSTOLIC + changed(NEST, ("M/8, K/8", "K/16")),
        """
        m.yaml:19:51: error[E401]: fc: 16 K do not fit the 8 rows of array
           19 |         buffer: {keep: [in, weight, out], loops: [K/16, K/1 @rows, N/1 @cols]}
              |                                                   ^^^^
        """,
    ),
    "a stream that is cut again": (
        SYSTOLIC + NEST,
        """
        m.yaml:19:51: error[E401]: fc: rank M streams, and is not cut again
           19 |         buffer: {keep: [in, weight, out], loops: [M/8, K/8, K/1 @rows, N/1 @cols]}
              |                                                   ^^^
        """,
    ),
    "a rank that changes the operand it is held over": (
        SYSTOLIC + changed(NEST, ("M/8, ", ""), ("[in, ", "[in over K, ")),
        """
        m.yaml:19:17: error[E401]: fc: in over K: in changes with K
           19 |         buffer: {keep: [in over K, weight, out], loops: [K/8, K/1 @rows, N/1 @cols]}
              |                 ^
              = help: `in over N`
        """,
    ),
    "a tile larger than the op": (
        SPATIAL + changed(GOOD, ("N/16, K/48", "M/5120, K/48")),
        """
        m.yaml:18:24: error[E401]: fc: M/5120 cuts the op of 64 M, and is larger
           18 |         dram: {loops: [M/5120, K/48]}
              |                        ^^^^^^
              = help: M/64 or less
        """,
    ),
    "a tile larger than the one it cuts": (
        SPATIAL + changed(GOOD, ("M/8, K/8", "M/8, M/16, K/8")),
        """
        m.yaml:19:56: error[E401]: fc: M/16 cuts a tile of 8 M, and is larger
           19 |         buffer: {keep: [in, weight, out], loops: [M/8, M/16, K/8, K/1 @rows, N/4 @cols]}
              |                                                        ^^^^
              = help: M/8 or less
        """,  # noqa: E501 - its exact text
    ),
    "a tile of a systolic array that is larger than the op": (
        SYSTOLIC + changed(NEST, ("M/8, ", ""), ("K/48", "K/49")),
        """
        m.yaml:18:30: error[E401]: fc: K/49 cuts the op of 48 K, and is larger
           18 |         dram: {loops: [N/16, K/49]}
              |                              ^^^^
              = help: K/48 or less
        """,
    ),
    "a template's name that is not true": (
        SPATIAL + changed(GOOD, ("    nest:\n", "    nest:\n      dataflow: input_stationary\n")),
        """
        m.yaml:17:17: error[E401]: fc: input_stationary keeps in in registers, and these loops keep weight
           17 |       dataflow: input_stationary
              |                 ^^^^^^^^^^^^^^^^
              = help: leave `dataflow` out, or give it a name of your own
        """,  # noqa: E501 - its exact text
    ),
    "the name of another template of systolic arrays": (
        SYSTOLIC
        + changed(
            NEST,
            ("M/8, ", ""),
            ("    nest:\n", "    nest:\n      dataflow: output_stationary\n"),
        ),
        """
        m.yaml:17:17: error[E401]: fc: nest says output_stationary, and its loops are those of weight_stationary
           17 |       dataflow: output_stationary
              |                 ^^^^^^^^^^^^^^^^^
              = help: leave `dataflow` out, or give it a name of your own
        """,  # noqa: E501 - its exact text
    ),
    "tiles of a systolic array that do not fit": (
        changed(SYSTOLIC, ("64 KiB", "2 KiB")) + changed(NEST, ("M/8, ", "")),
        """
        m.yaml:19:17: error[E401]: fc: tiles need 17408 bytes on chip, 1024 are free
           19 |         buffer: {keep: [in, weight, out], loops: [K/8, K/1 @rows, N/1 @cols]}
              |                 ^
        """,
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_nest_is_refused_with_the_reason_and_its_place(name, tmp_path):
    text, expected = CASES[name]
    assert refused(tmp_path, text) == dedent(expected).strip("\n")


def test_an_engine_that_cuts_its_own_work_takes_no_nest(tmp_path):
    rule = tmp_path / "r.yaml"
    rule.write_text("mapping:\n" + NEST.replace("ops/fc", '"*"'))
    with pytest.raises(ArchsimError) as caught:
        api.run("a100", "gpt2-small-prefill", fidelity="analytic", set_files=[str(rule)])
    assert caught.value.render().replace(f"{tmp_path}/", "").splitlines()[0] == (
        "r.yaml:4:7: error[E302]: layer/attn.qkv: a tensor_core cuts its work by itself, and takes "
        "no nest"
    )
