"""Is the error helpful? Every mistake in a stream graph, and each way in which one stands still."""

from textwrap import dedent, indent

import pytest

import archsim
from archsim.core.errors import ArchsimError

BASE = """\
schema: archsim.stream/1
iterations: 4
nodes:
  - {name: x, does: read, tensor: X, count: 8}
  - {name: e, does: exp}
  - {name: s, does: sum, over: 8}
  - {name: d, does: divide, hold: {b: 8}}
  - {name: y, does: write, tensor: Y}
fifos:
  - {from: x, to: e}
  - {from: e, to: s}
  - {from: e, to: d.a, depth: 10}
  - {from: s, to: d.b}
  - {from: d, to: y}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(old="", new="", hardware="streaming", **options):
    assert old in BASE
    with open("g.yaml", "w") as file:
        file.write(BASE.replace(old, new) if old else BASE)
    with pytest.raises(ArchsimError) as caught:
        archsim.run(hardware, "g.yaml", **options)
    return caught.value.render()


def attention(graph="naive", **config):
    config = {"architecture": "streaming_sdpa", "graph": graph, "tokens": 64} | config
    return {"schema": "archsim.workload/1", "name": "w", "model": {"config": config}}


def check(found, expected):
    assert found == dedent(expected).strip("\n")


def test_e201_an_output_and_an_input_dangle():
    expected = """
        g.yaml:6:12: error[E201]: output out of s dangles: no FIFO joins it
            6 |   - {name: s, does: sum, over: 8}
              |            ^
        g.yaml:7:12: error[E201]: input b of d dangles: no FIFO joins it
            7 |   - {name: d, does: divide, hold: {b: 8}}
              |            ^
        """
    check(refused("  - {from: s, to: d.b}\n"), expected)


def test_e201_a_node_that_only_feeds_itself_is_fed_by_no_source():
    expected = """
        g.yaml:9:12: error[E201]: z is fed by no source: how often it fires cannot be told
            9 |   - {name: z, does: exp}
              |            ^
        """
    with_node = "fifos:\n  - {from: z, to: z}\n"
    check(refused("fifos:\n", "  - {name: z, does: exp}\n" + with_node), expected)


def test_e101_a_source_gives_a_count_not_tokens():
    expected = """
        g.yaml:4:38: error[E101]: unknown key "tokens" in nodes[0]
            4 |   - {name: x, does: read, tensor: X, tokens: 8}
              |                                      ^^^^^^
              = help: did you mean "count"?  (archsim schema stream lists all keys)
        """
    check(refused("count: 8", "tokens: 8"), expected)


def refused_workload(config):
    with open("w.yaml", "w") as file:
        file.write(f"schema: archsim.workload/1\nname: w\nmodel:\n  config:\n{config}")
    with pytest.raises(ArchsimError) as caught:
        archsim.run("streaming", "w.yaml")
    return caught.value.render()


def test_every_mistake_of_a_graph_in_a_workload_is_told_at_its_own_fifo_or_node():
    graph = BASE.removeprefix("schema: archsim.stream/1\n").replace("depth: 10", "depth: 0")
    graph = graph.replace("  - {from: s, to: d.b}\n", "")
    expected = """
        w.yaml:10:16: error[E201]: output out of s dangles: no FIFO joins it
           10 |       - {name: s, does: sum, over: 8}
              |                ^
        w.yaml:11:16: error[E201]: input b of d dangles: no FIFO joins it
           11 |       - {name: d, does: divide, hold: {b: 8}}
              |                ^
        w.yaml:16:35: error[E107]: fifo e>d.a has depth 0: no token ever passes it
           16 |       - {from: e, to: d.a, depth: 0}
              |                                   ^
              = help: the least is 1; 2 let both ends work
        """
    check(refused_workload(indent("architecture: stream\n" + graph, "    ")), expected)


def test_every_depth_for_a_fifo_that_is_not_there_is_told_at_its_own_line():
    config = "architecture: streaming_sdpa\ngraph: reordered\ntokens: 8\n"
    found = refused_workload(indent(config + "depths:\n  exp>divide: 4\n  a>b: 3\n", "    "))
    assert 'w.yaml:9:7: error[E201]: no FIFO "exp>divide"' in found
    assert 'w.yaml:10:7: error[E201]: no FIFO "a>b"' in found


def test_e107_a_fifo_of_depth_zero():
    expected = """
        g.yaml:12:31: error[E107]: fifo e>d.a has depth 0: no token ever passes it
           12 |   - {from: e, to: d.a, depth: 0}
              |                               ^
              = help: the least is 1; 2 let both ends work
        """
    check(refused("depth: 10", "depth: 0"), expected)


def test_e202_rates_that_do_not_fit():
    expected = """
        g.yaml:13:19: error[E202]: fifo s>d.b: s gives 2 tokens an iteration, d takes 1
           13 |   - {from: s, to: d.b}
              |                   ^^^
              = help: a rate on the way does not fit
        """
    check(refused("over: 8", "over: 4"), expected)


def test_e202_a_rate_that_does_not_divide_the_firings():
    expected = """
        g.yaml:6:12: error[E202]: s fires 8 times an iteration, which its rate of 3 does not divide
            6 |   - {name: s, does: sum, over: 3}
              |            ^
        """
    assert refused("over: 8", "over: 3").startswith(dedent(expected).strip("\n"))


def test_e202_a_cycle_without_a_token():
    expected = """
        g.yaml:14:12: error[E202]: fifo e>e.back closes a cycle without a token: e -> e
           14 |   - {from: e, to: e.back}
              |            ^
              = help: give a FIFO of the cycle `initial` tokens
        """
    with_loop = BASE.replace(
        "does: exp", "kind: map, inputs: [in, back], outputs: [out], primitives: {exp: 1}"
    ).replace("to: e}", "to: e.in}")
    with_loop = with_loop.replace(
        "  - {from: d, to: y}", "  - {from: e, to: e.back}\n  - {from: d, to: y}"
    )
    with open("g.yaml", "w") as file:
        file.write(with_loop)
    with pytest.raises(ArchsimError) as caught:
        archsim.run("streaming", "g.yaml")
    check(caught.value.render(), expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("to: d.b}", "to: dd.b}", 'fifo s>dd.b: no node "dd"'),
        ("to: d.b}", "to: d.c}", 'fifo s>d.c: d has no input "c"'),
        ("to: d.b}", "to: d}", "fifo s>d: d has 2 inputs: say which"),
        ("from: s, to: d.b", "from: s, to: d.a", "another FIFO leads to d.a already"),
        ("name: d,", "name: e,", 'node "e" is given twice'),
        ("does: exp", "does: exp, elements: 2", "tokens of x have 1 elements, e takes 2"),
        (", over: 8", "", "s: a reduce, a scan and a repeat have `over`, others none"),
        (", tensor: Y", "", "y: a source and a sink have a `tensor`, others none"),
        ("hold: {b: 8}", "hold: {c: 8}", "d holds c, its inputs are: a, b"),
        ("does: exp", "does: exp, macs: 3", "e: ports and work of `does: exp` are known"),
        ("does: exp", "does: exp, kind: scan", "e: exp is a map, not a scan"),
    ],
)
def test_other_mistakes_say_what_is_wrong(old, new, expected):
    assert expected in refused(old, new)


def test_e401_more_nodes_than_units():
    expected = """
        error[E401]: stream/graph has 3 nodes that compute, fabric has 2 compute units
              = help: --set engines.fabric.compute_units=3, or fewer nodes
        """
    check(refused(set_=["engines.fabric.compute_units=2"]), expected)


def test_e401_more_data_than_memory_units_hold():
    expected = """
        error[E401]: stream/graph needs 4 memory units, fabric has 3 free ones of 42.67 MiB each
              = help: fifo e>d.a alone needs 2; larger or more memory units, or shorter FIFOs
        """
    few = ["engines.fabric.memory_units=3"]
    check(refused("depth: 10", "depth: 20000000", set_=few), expected)


def test_e302_no_engine_that_runs_streams():
    expected = """
        error[E302]: no engine of npu runs stream ops, and stream/graph is one
              = help: add an engine of a kind that does: see `archsim list components`
        """
    check(refused(hardware="npu"), expected)


def test_e201_a_depth_for_a_fifo_that_is_not_there():
    with pytest.raises(ArchsimError) as caught:
        archsim.run("streaming", attention("reordered", depths={"exp>divide": 4}))
    expected = """
        error[E201]: no FIFO "exp>divide"
              = help: FIFOs of reordered: divide>o, exp>mix, exp>sum, k>score, mix>divide, q>score, score>exp, sum>divide, v>mix
        """  # noqa: E501 - one line on the screen
    check(caught.value.render(), expected)


def test_e501_a_long_fifo_one_too_short_is_named_with_the_cycles_of_waiting():
    with pytest.raises(ArchsimError) as caught:
        archsim.run("streaming", attention(long_depth=63))
    assert caught.value.exit_code == 6
    expected = """
        error[E501]: sdpa/naive stands still
          fifo sum>divide is empty: divide waits since cycle 119
          fifo exp>sum is empty: sum waits since cycle 182
          fifo exp>divide is full (63 of 63 slots): exp waits since cycle 181
          fifo k>score is full (2 of 2 slots): k waits since cycle 183, behind the others
          fifo divide>mix is empty: mix waits since cycle 125, behind the others
          fifo mix>o is empty: o waits since cycle 0, behind the others
          fifo q>score is full (2 of 2 slots): q waits since cycle 183, behind the others
          fifo score>exp is full (2 of 2 slots): score waits since cycle 182, behind the others
          fifo v>mix is full (2 of 2 slots): v waits since cycle 126, behind the others
              = help: least depths for full throughput: exp>divide 66 (has 63); to come to an end at all: exp>divide 64
        """  # noqa: E501 - one line on the screen
    check(caught.value.render(), expected)
    waits = {w["fifo"]: w["state"] for w in caught.value.details["waits"]}
    assert waits["exp>divide"] == "full"
    with pytest.raises(ArchsimError) as reference:
        archsim.run("streaming", attention(long_depth=63), engine="simpy", exact=True)
    assert reference.value.render() == caught.value.render()
