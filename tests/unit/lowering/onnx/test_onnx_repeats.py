"""Do folded layers, run one after the other, give back exactly the model that was written out?"""

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Kind, Op, dims
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.lowering.onnx.repeat import Folder

SIZE = 4


class Chain:
    """Ops of one size, written out; each names a tensor of its own."""

    def __init__(self):
        self.tensors, self.ops = {}, []
        self.tensor("in")

    def tensor(self, name, role=Role.ACTIVATION):
        self.tensors[name] = Tensor(name, (SIZE, SIZE), DTYPES["bf16"], role)
        return Access(name, dims("M", "K"))

    def linear(self, source, weight):
        out = f"t{len(self.ops)}"
        reads = (Access(source, dims("M", "K")), self.tensor(weight, Role.WEIGHT))
        ranks = {"B": 1, "M": SIZE, "N": SIZE, "K": SIZE}
        self.tensor(out)
        self.ops.append(Op(out, Kind.GEMM, "linear", ranks, reads, (Access(out),)))
        return out

    def vector(self, *sources):
        out = f"t{len(self.ops)}"
        self.tensor(out)
        reads = tuple(Access(x) for x in dict.fromkeys(sources))
        ranks = {"M": SIZE, "N": SIZE}
        counts = {"add": len(sources)}
        self.ops.append(Op(out, Kind.VECTOR, "add", ranks, reads, (Access(out),), counts))
        return out

    def fold(self, results=()):
        return Folder(self.ops, self.tensors, results).blocks()


def run(blocks, tensors):
    """Every op of every repeat with the versions of the tensors that it reads and writes."""
    latest, steps = {}, []
    for block in blocks:
        carry = dict(block.carry)
        for j in range(block.count):
            start = dict(latest)
            for op in block.ops:
                reads = []
                for a in op.reads:
                    if tensors[a.tensor].role is Role.WEIGHT:
                        reads.append((a.tensor, block.name, j) if block.count > 1 else a.tensor)
                    elif j and a.tensor in carry:
                        reads.append(start[carry[a.tensor]])
                    else:
                        reads.append(latest.get(a.tensor, a.tensor))
                writes = []
                for a in op.writes:
                    latest[a.tensor] = (a.tensor, len(steps))
                    writes.append(latest[a.tensor])
                steps.append((op, reads, writes))
    return steps


def check(chain, blocks):
    """The steps are the ops that were written out, under a one-to-one change of names."""
    steps = run(blocks, chain.tensors)
    assert len(steps) == len(chain.ops)
    forth, back = {}, {}
    for (op, reads, writes), own in zip(steps, chain.ops, strict=True):
        assert (op.kind, op.ranks, op.primitives) == (own.kind, own.ranks, own.primitives)
        names = [a.tensor for a in (*own.reads, *own.writes)]
        for version, name in zip([*reads, *writes], names, strict=True):
            assert forth.setdefault(version, name) == name
            assert back.setdefault(name, version) == version
    used = {a.tensor for b in blocks for op in b.ops for a in (*op.reads, *op.writes)}
    graph = OpGraph("g", blocks, {name: chain.tensors[name] for name in used})
    graph.check()
    weights = sum(t.bytes for t in chain.tensors.values() if t.role is Role.WEIGHT)
    assert graph.stored_bytes(Role.WEIGHT) == weights
    assert graph.macs() == sum(op.macs() for op in chain.ops)


@st.composite
def chains(draw):
    """Stages of layers that repeat, now and then with a reach back or a weight that is shared."""
    chain, here = Chain(), "in"
    for _ in range(draw(st.integers(1, 3))):
        pattern = draw(st.lists(st.sampled_from(["linear", "one", "skip", "old"]), min_size=1,
                                max_size=4))  # fmt: skip
        first = here
        for _ in range(draw(st.integers(1, 5))):
            start = here
            for kind in pattern:
                if kind == "linear":
                    shared = draw(st.integers(0, 19)) == 0
                    here = chain.linear(here, "shared" if shared else f"w{len(chain.ops)}")
                elif kind == "one":
                    here = chain.vector(here)
                else:
                    here = chain.vector(here, start if kind == "skip" else first)
        if draw(st.booleans()):
            names = ["in", *(op.name for op in chain.ops)]
            here = chain.vector(here, draw(st.sampled_from(names)))
    results = draw(st.lists(st.sampled_from([op.name for op in chain.ops]), max_size=2))
    return chain, [*results, here]


@given(chains())
@settings(max_examples=300, deadline=None)
def test_a_folded_model_is_the_model_that_was_written_out(case):
    chain, results = case
    blocks = chain.fold(results)
    check(chain, blocks)
    assert set(results) <= {a.tensor for b in blocks for op in b.ops for a in op.writes} | last(
        chain, blocks
    )


def last(chain, blocks):
    """Tensors that the last repeat of a block writes, under their own names."""
    found, at = set(), 0
    for block in blocks:
        at += block.count * len(block.ops)
        found |= {a.tensor for op in chain.ops[at - len(block.ops) : at] for a in op.writes}
    return found


def layers(count, shared=False, peek=False):
    """Residual layers of two products; a later op may look into the first one."""
    chain, here = Chain(), "in"
    for i in range(count):
        up = chain.linear(here, "shared" if shared else f"u{i}")
        here = chain.vector(here, chain.linear(chain.vector(up), f"d{i}"))
    chain.vector(here, "t0" if peek else here)
    return chain


def test_layers_that_repeat_are_one_block_that_carries_the_stream():
    chain = layers(6)
    blocks = chain.fold()
    assert [(b.count, len(b.ops)) for b in blocks] == [(6, 4), (1, 1)]
    assert blocks[0].carry == (("in", "t3"),)
    assert [a.tensor for a in blocks[1].ops[0].reads] == ["t3"]
    check(chain, blocks)


def test_a_weight_that_layers_share_is_not_stored_once_a_layer():
    chain = layers(6, shared=True)
    check(chain, chain.fold())


def test_a_layer_that_others_look_into_stays_by_itself():
    chain = layers(6, peek=True)
    blocks = chain.fold()
    check(chain, blocks)
    assert blocks[0].count == 1


def test_a_result_inside_a_layer_is_not_hidden():
    chain = layers(6)
    blocks = chain.fold(["t7"])
    check(chain, blocks)
    assert "t7" in last(chain, blocks) | {a.tensor for b in blocks for o in b.ops for a in o.writes}
