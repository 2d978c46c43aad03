"""Is the error helpful? Every way in which a written nest of several ops is refused, in full."""

from textwrap import dedent

import pytest

from archsim import api
from archsim.core.errors import ArchsimError

MACHINE = """\
schema: archsim.hardware/1
name: small
clocks: {core: 1 GHz}
memory:
  sram: {kind: sram, capacity: 64 KiB, banks: 4, width_bits: 64, bandwidth: 64 B/cycle}
  dram: {kind: dram, capacity: 1 GiB, bandwidth: 8 GB/s, latency: 100 ns, energy: ddr4}
engines:
  array: {kind: systolic_array, rows: 8, cols: 4}
  vector: {kind: vector_unit, lanes: 4}
placement: {weights: [dram], kv_cache: [dram], activations: [dram]}
energy: {table: 7nm}
mapping:
"""
NEST = """\
  - ops: ["*/up", "*/act", "*/down"]
    nest:
      fuse:
        loops: [M/16, F/16]
        keep: [in, out]
        first:
          dram: {loops: [K/16]}
          buffer: {loops: [K/8, N/4, K/1 @rows, N/1 @cols]}
          registers: {keep: [weight], loops: [M/1]}
        last:
          dram: {loops: [N/16]}
          buffer: {loops: [K/8, N/4, K/1 @rows, N/1 @cols]}
          registers: {keep: [weight], loops: [M/1]}
"""
SPATIAL = MACHINE.replace(
    "systolic_array, rows: 8, cols: 4", "spatial_array, rows: 8, cols: 4, registers: 4 B"
)
WORK = """\
schema: archsim.graph/1
name: one
ops:
- {kind: gemm, name: up, m: 64, n: 32, k: 48}
- {kind: vector, name: act, rows: 64, cols: 32, after: up, primitives: {max: 1}}
- {kind: gemm, name: down, m: 64, n: 48, k: 32, after: act}
"""


def changed(text, *changes):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def run(folder, machine, work=WORK):
    files = folder / "m.yaml", folder / "w.yaml"
    for file, text in zip(files, (machine, work), strict=True):
        file.write_text(text)
    return api.run(*map(str, files), fidelity="analytic")


def refused(folder, machine, work=WORK):
    with pytest.raises(ArchsimError) as caught:
        run(folder, machine, work)
    return caught.value.render().replace(f"{folder}/", "")


def test_the_nest_that_the_others_are_made_from_runs(tmp_path):
    report = run(tmp_path, MACHINE + NEST)
    assert [row["dataflow"] for row in report.ops] == ["fused_feed_forward"]


CASES = {
    "levels and fuse at once": (
        MACHINE
        + changed(NEST, ("      fuse:", "      levels: {buffer: {keep: [in]}}\n      fuse:")),
        """
        m.yaml:14:5: error[E202]: a nest gives levels or fuse, not both
           14 |     nest:
              |     ^^^^
              = help: `levels:` of one op, or `fuse:` of a feed-forward block
        """,
    ),
    "neither of them": (
        MACHINE + "  - {ops: '*/up', nest: {dataflow: mine}}\n",
        """
        m.yaml:13:19: error[E202]: a nest gives levels or fuse, and here is neither
           13 |   - {ops: '*/up', nest: {dataflow: mine}}
              |                   ^^^^
              = help: `levels:` of one op, or `fuse:` of a feed-forward block
        """,
    ),
    "hidden tiles that are made again": (
        MACHINE + changed(NEST, ("[M/16, F/16]", "[N/16, M/16, F/16]")),
        """
        m.yaml:16:17: error[E401]: ops/up: a loop over N around the first products makes every hidden tile again in each of its steps
           16 |         loops: [N/16, M/16, F/16]
              |                 ^^^^
              = help: fuse.last.dram: {loops: [N/...]}
        """,  # noqa: E501 - its exact text
    ),
    "sums that are used before they are complete": (
        MACHINE + changed(NEST, ("[M/16, F/16]", "[M/16, K/16, F/16]")),
        """
        m.yaml:16:23: error[E401]: ops/up: a loop over K around the activation hands it sums that are not complete
           16 |         loops: [M/16, K/16, F/16]
              |                       ^^^^
              = help: fuse.first.dram: {loops: [K/...]}
        """,  # noqa: E501 - its exact text
    ),
    "another order of shared loops": (
        MACHINE + changed(NEST, ("[M/16, F/16]", "[F/16, M/16]")),
        """
        m.yaml:16:23: error[E401]: ops/up: a loop over M inside that over F: shared loops are B, M, F, outermost first
           16 |         loops: [F/16, M/16]
              |                       ^^^^
        """,  # noqa: E501 - its exact text
    ),
    "a rank shared twice": (
        MACHINE + changed(NEST, ("[M/16, F/16]", "[M/16, M/8]")),
        """
        m.yaml:16:23: error[E401]: ops/up: rank M has 2 shared loops
           16 |         loops: [M/16, M/8]
              |                       ^^^
        """,
    ),
    "a shared loop over the array": (
        MACHINE + changed(NEST, ("[M/16, F/16]", "[M/16, F/16 @rows]")),
        """
        m.yaml:16:23: error[E401]: ops/up: F is dealt to rows over tiles of the buffer
           16 |         loops: [M/16, F/16 @rows]
              |                       ^^^^^^^^^^
        """,
    ),
    "a rank that the block does not have": (
        MACHINE + changed(NEST, ("[M/16, F/16]", "[M/16, G/16]")),
        """
        m.yaml:16:23: error[E201]: no rank G: there are B, M, F, K, N
           16 |         loops: [M/16, G/16]
              |                       ^^^^
        """,
    ),
    "tiles larger than the buffer": (
        changed(MACHINE, ("64 KiB", "4 KiB")) + NEST,
        """
        m.yaml:16:9: error[E401]: up: tiles need 10240 bytes on chip (in 2048, first 1024, hidden 2048, last 1024, out 4096), 4096 are free
           16 |         loops: [M/16, F/16]
              |         ^
        """,  # noqa: E501 - its exact text
    ),
    "a loop of a product's own over a shared rank": (
        MACHINE + changed(NEST, ("{loops: [K/16]}", "{loops: [M/16]}")),
        """
        m.yaml:19:26: error[E401]: ops/up: the first product has a loop over M of its own, and only that over K is not shared
           19 |           dram: {loops: [M/16]}
              |                          ^^^^
        """,  # noqa: E501 - its exact text
    ),
    "a shared tile larger than the block": (
        MACHINE + changed(NEST, ("F/16]", "F/64]")),
        """
        m.yaml:16:23: error[E401]: ops/up: F/64 cuts the block of 32 F, and is larger
           16 |         loops: [M/16, F/64]
              |                       ^^^^
              = help: F/32 or less
        """,
    ),
    "a tile larger than a product": (
        MACHINE + changed(NEST, ("dram: {loops: [N/16]}", "dram: {loops: [N/64]}")),
        """
        m.yaml:23:26: error[E401]: down: N/64 cuts the op of 48 N, and is larger
           23 |           dram: {loops: [N/64]}
              |                          ^^^^
              = help: N/48 or less
        """,
    ),
    "ops that are no block": (
        MACHINE + changed(NEST, ('["*/up", "*/act", "*/down"]', '["*/up", "*/act"]')),
        """
        m.yaml:13:10: error[E302]: up, act are no feed-forward block that shares its rows
           13 |   - ops: ["*/up", "*/act"]
              |          ^
              = help: products that read the same rows, one vector op of their sums, and the product that reads its result, in this order
        """,  # noqa: E501 - its exact text
    ),
    "ranks that a systolic array has no dataflow for": (
        MACHINE + changed(NEST, ("[K/8, N/4, K/1 @rows, N/1 @cols]", "[N/1 @rows, M/1 @cols]")),
        """
        m.yaml:20:19: error[E401]: up: array has no dataflow with N @rows M @cols
           20 |           buffer: {loops: [N/1 @rows, M/1 @cols]}
              |                   ^
              = help: it has K @rows M @cols; K @rows N @cols; M @rows N @cols
        """,
    ),
    "another operand than the one that stays": (
        MACHINE + changed(NEST, ("keep: [weight], loops: [M/1]", "keep: [out], loops: [M/1]")),
        """
        m.yaml:21:22: error[E401]: up: cells keep out, and with K over rows and N over columns they keep weight
           21 |           registers: {keep: [out], loops: [M/1]}
              |                      ^
        """,  # noqa: E501 - its exact text
    ),
    "a template's name": (
        MACHINE + changed(NEST, ("      fuse:", "      dataflow: weight_stationary\n      fuse:")),
        """
        m.yaml:15:17: error[E401]: ops/up: weight_stationary is a template of one product
           15 |       dataflow: weight_stationary
              |                 ^^^^^^^^^^^^^^^^^
              = help: leave `dataflow` out, or give it a name of your own
        """,
    ),
    "a product that is missing": (
        MACHINE + NEST[: NEST.index("        last:")],
        """
        m.yaml:15:7: error[E102]: mapping[0].nest.fuse needs "last"
           15 |       fuse:
              |       ^^^^
              = help: archsim schema hardware lists all keys
        """,
    ),
    "a rank that no loop of an element has": (
        SPATIAL + changed(NEST, ("K/1 @rows", "K/4 @rows")),
        """
        m.yaml:21:22: error[E401]: up: rank K is missed: its tiles end at 4
           21 |           registers: {keep: [weight], loops: [M/1]}
              |                      ^
              = help: add K/1 to registers
        """,
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_fused_nest_is_refused_with_the_reason_and_its_place(name, tmp_path):
    text, expected = CASES[name]
    assert refused(tmp_path, text) == dedent(expected).strip("\n")


def test_a_hidden_tensor_that_others_read_cannot_stay_in_tiles(tmp_path):
    other = "- {kind: vector, name: other, rows: 64, cols: 32, after: act, primitives: {max: 1}}\n"
    assert refused(tmp_path, MACHINE + NEST, WORK + other).splitlines()[0] == (
        "m.yaml:13:10: error[E302]: act: other reads act.out too, so that it cannot stay in tiles "
        "on chip"
    )


def test_an_op_between_those_of_a_nest_is_named(tmp_path):
    last = "- {kind: gemm, name: down"
    work = changed(WORK, (last, f"- {{kind: gemm, name: mid, m: 8, n: 8, k: 8}}\n{last}"))
    assert refused(tmp_path, MACHINE + NEST, work).splitlines()[0] == (
        "m.yaml:13:10: error[E302]: mid lies between the ops of one nest: up, act, down"
    )
