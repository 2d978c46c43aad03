"""Context parallelism: the tokens of each sequence, or its cached keys and values, dealt out.

Sources: Liu et al., Ring Attention (2023), for keys and values passed round; Brandon et al.,
Striped Attention (2023), for stripes that make causal work even; Dao et al., Flash-Decoding (2023),
for decode over parts of the cache. Each device of a ring computes with what it holds while that is
passed on; in contiguous parts a device leaves out keys behind its own tokens. In decode all but
attention is done on every device of the axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Dim, Kind, Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role, Tensor
from archsim.parallel.experts import dealt_tokens
from archsim.parallel.held import exchange, with_facts
from archsim.parallel.rows import STORED
from archsim.parallel.shape import Shape

# Of partial results a and b with their rows' maxima and sums: m = max(m_a, m_b), c = exp(m_x - m),
# out = (c_a sum_a a + c_b sum_b b) / (c_a sum_a + c_b sum_b)
JOIN_POINT = {"mul": 2, "add": 1}
JOIN_ROW = {"max": 1, "add": 3, "exp": 2, "mul": 4, "div": 1}
PRODUCTS = ("attention_score", "attention_value")


def context_parallel(
    graph: OpGraph, plan: ParallelPlan, shape: Shape, index: int
) -> tuple[OpGraph, Shape]:
    """The graph of one device of the context axis, and its sizes."""
    if plan.context == 1:
        return graph, shape
    made = _Context(graph, plan, index)
    decodes = shape.tokens == shape.batch
    found = made.run(decodes=decodes)
    return found, shape if decodes else replace(shape, tokens=shape.tokens // plan.context)


class _Context:
    """The pass at work, for one device."""

    def __init__(self, graph: OpGraph, plan: ParallelPlan, index: int) -> None:
        self.graph, self.plan, self.index, self.ways = graph, plan, index, plan.context
        self.tensors = dict(graph.tensors)
        self.cut: dict[str, tuple[int, ...]] = {}

    def run(self, *, decodes: bool) -> OpGraph:
        blocks = []
        for block in self.graph.blocks:
            ops = self._decoding(block) if decodes else self._prompt(block)
            blocks.append(replace(block, ops=tuple(ops)))
        tensors = {n: replace(t, shape=self.cut.get(n, t.shape)) for n, t in self.tensors.items()}
        return with_facts(replace(self.graph, blocks=tuple(blocks), tensors=tensors))

    def _made(self, name: str, like: str, shape: tuple[int, ...], role: Role | None = None) -> str:
        tensor = self.graph.tensors[like]
        self.tensors[name] = Tensor(name, shape, tensor.dtype, role or tensor.role)
        return name

    def _part(self, access: Access) -> Access:
        """An access whose tensor is cut: it touches a share of what it did."""
        if access.touched is None or self.graph.tensors[access.tensor].role in STORED:
            return access
        return replace(access, touched=-(-access.touched // self.ways))

    # decode: keys are dealt out, and partial results combined

    def _decoding(self, block: Block) -> Iterator[Op]:
        for op in block.ops:
            if op.op_class in PRODUCTS:
                yield from self._split_keys(op)
            elif op.op_class == "softmax":
                yield self._fewer(op, "N", ("scores", "shares"))
            elif op.op_class == "kv_append" and self._role(op.writes[0]) is Role.KV_CACHE:
                for access in op.writes:
                    self._cut_keys(access.tensor)
                yield op  # the newest token goes to one of the devices; here to this one
            else:
                yield op

    def _role(self, access: Access) -> Role:
        return self.graph.tensors[access.tensor].role

    def _cut_keys(self, name: str) -> None:
        """A share of the tokens of a cache or of scores."""
        shape = self.graph.tensors[name].shape
        at = {3: 2 if name.endswith(("scores", "shares")) else 1}.get(len(shape), 0)
        self.cut[name] = (*shape[:at], -(-shape[at] // self.ways), *shape[at + 1 :])

    def _fewer(self, op: Op, rank: str, ends: tuple[str, ...]) -> Op:
        for access in (*op.reads, *op.writes):
            if access.tensor.endswith(ends):
                self._cut_keys(access.tensor)
        groups = tuple(
            replace(g, extents=tuple(
                (r, -(-n // self.ways) if r == rank else n) for r, n in g.extents))
            for g in op.groups
        )  # fmt: skip
        ranks = {**op.ranks, rank: -(-op.ranks[rank] // self.ways)}
        reads = tuple(self._part(a) if a.tensor in self.cut else a for a in op.reads)
        return replace(op, ranks=ranks, groups=groups, reads=reads)

    def _split_keys(self, op: Op) -> Iterator[Op]:
        if op.op_class == "attention_score":
            yield self._fewer(op, "N", ("scores",))
            return
        found = self._fewer(op, "K", ("shares",))
        name = op.writes[0].tensor
        whole = self.graph.tensors[name]
        part = self._made(f"{name}.part", name, whole.shape)
        yield replace(found, writes=(replace(op.writes[0], tensor=part),))
        rows, width = whole.elements // op.ranks["N"], op.ranks["N"]
        # with each row's maximum and sum
        size = whole.dtype.bytes(rows * (width + 2))
        yield exchange(f"{op.name}.combine", "all_reduce", (part, name), (rows, width + 2),
                       "context", self.ways, size)  # fmt: skip

    # prompts: tokens are dealt out, and keys travel

    def _prompt(self, block: Block) -> Iterator[Op]:
        ops = list(block.ops)
        while ops:
            op = ops.pop(0)
            if op.op_class == "attention_score":
                softmax, value = ops.pop(0), ops.pop(0)
                attend = self._gathered if self.plan.context_kind == "all_gather" else self._ring
                yield from attend(op, softmax, value)
            else:
                yield self._rows(op)

    def _rows(self, op: Op) -> Op:
        """An op for a device's tokens; one for the last token of each sequence stays."""
        rank = "M"
        if op.is_mac and op.ranks["M"] == 1 and op.ranks["B"] > 1:
            rank = "B"
        for access in (*op.reads, *op.writes):
            self._cut_rows(access.tensor)
        if op.op_class == "moe_expert":  # assumed: each device's tokens fall alike
            return dealt_tokens(op, self.graph.tensors, self.ways, 0)
        if op.ranks[rank] % self.ways or op.op_class in ("lm_head", "sampling") or (
            op.reads[0].touched and not op.writes[0].touched and op.op_class != "embedding"
        ):  # fmt: skip
            return self._last(op)
        table = op.op_class == "embedding"
        reads = tuple(
            replace(a, touched=-(-a.touched // self.ways)) if a.touched and table else self._part(a)
            for a in op.reads
        )
        ranks = {**op.ranks, rank: op.ranks[rank] // self.ways}
        return replace(op, ranks=ranks, reads=reads, writes=tuple(map(self._part, op.writes)))

    def _last(self, op: Op) -> Op:
        """An op on a few tokens: whoever holds them does it; counted on every device."""
        for access in (*op.reads, *op.writes):
            if self.graph.tensors[access.tensor].shape[0] == op.ranks["M"]:
                self.cut.pop(access.tensor, None)
        return replace(op, reads=tuple(self._newest(a) if a.touched else a for a in op.reads))

    def _newest(self, access: Access) -> Access:
        """The last token of each sequence, among a device's own."""
        dims = tuple(
            Dim(((d.terms[0][0], step // self.ways),), step // self.ways - 1)
            if d.terms and (step := d.terms[0][1]) > 1 else d
            for d in access.dims
        )  # fmt: skip
        return replace(access, dims=dims)

    def _cut_rows(self, name: str) -> None:
        tensor = self.graph.tensors[name]
        if tensor.role in STORED or name in self.cut:
            return
        shape = tensor.shape
        at = 1 if len(shape) == 3 else 0
        if shape[at] % self.ways == 0:
            self.cut[name] = (*shape[:at], shape[at] // self.ways, *shape[at + 1 :])

    def _queries(self, op: Op) -> Op:
        """A product or softmax for a device's queries."""
        ranks = {**op.ranks, "M": op.ranks["M"] // self.ways}
        for access in (op.reads[0], op.writes[0]):
            self._cut_rows(access.tensor)
        return replace(op, ranks=ranks, queries=op.queries // self.ways)

    def _gathered(self, score: Op, softmax: Op, value: Op) -> Iterator[Op]:
        """All keys and values first, then attention for the device's queries."""
        for op in (score, softmax, value):
            found = self._queries(op)
            if op is not softmax:
                name = op.reads[1].tensor
                tensor = self.graph.tensors[name]
                self._cut_rows(name)
                made = self._made(f"{name}.gathered", name, tensor.shape, Role.ACTIVATION)
                width = tensor.shape[-1]
                yield exchange(
                    f"{op.name}.all_gather", "all_gather", (name, made),
                    (tensor.elements // width, width), "context", self.ways, tensor.bytes,
                )  # fmt: skip
                found = replace(found, reads=(op.reads[0], replace(op.reads[1], tensor=made)))
            yield found

    def _ring(self, score: Op, softmax: Op, value: Op) -> Iterator[Op]:
        """A part of the keys after the other: while one is used, it is passed on."""
        keys, values = score.reads[1].tensor, value.reads[1].tensor
        striped = self.plan.context_kind == "striped" or not score.causal
        steps = self.ways if striped else self.index + 1  # keys behind the tokens are left out
        for name in (keys, values, score.reads[0].tensor, value.writes[0].tensor):
            self._cut_rows(name)
        out = value.writes[0].tensor
        parts = []
        for s in range(self.ways):
            if s + 1 < self.ways:
                yield from (self._shift(name, s, score.name) for name in (keys, values))
            if s >= steps:
                continue
            causal = score.causal and (striped or s == 0)
            at = self._step(out, out, s) if steps > 1 else out
            names = {n: self._step(n, n, s) for n in (keys, values) if s}
            names |= {a.tensor: self._block(a.tensor, s) for a in (score.writes + softmax.writes)}
            names[out] = at
            for op, rank in ((score, "N"), (softmax, "N"), (value, "K")):
                found = self._queries(op)
                found = replace(
                    found, name=f"{op.name}.{s}", causal=causal,
                    ranks={**found.ranks, rank: op.ranks[rank] // self.ways},
                    reads=tuple(replace(a, tensor=names.get(a.tensor, a.tensor)) for a in op.reads),
                    writes=tuple(replace(a, tensor=names.get(a.tensor, a.tensor))
                                 for a in op.writes),
                )  # fmt: skip
                yield found
            parts.append(at)
        if steps > 1:
            yield self._join(value, parts)

    def _step(self, name: str, like: str, s: int) -> str:
        """A tensor as it is in one step of the ring."""
        shape = self.cut.get(like, self.graph.tensors[like].shape)
        return self._made(f"{name}.{s}", like, shape, Role.ACTIVATION)

    def _block(self, name: str, s: int) -> str:
        """Scores of a device's queries and one part of the keys."""
        b, m, n = self.graph.tensors[name].shape
        return self._made(f"{name}.{s}", name, (b, m // self.ways, n // self.ways))

    def _shift(self, name: str, s: int, score: str) -> Op:
        """Pass what came last to the next device."""
        source = name if s == 0 else f"{name}.{s}"
        made = self._step(name, name, s + 1)
        tensor = self.tensors[made]
        sent = [0] * self.ways**2
        for i in range(self.ways):
            sent[i * self.ways + (i + 1) % self.ways] = tensor.bytes
        width = tensor.shape[-1]
        kind = name.rpartition(".")[2]
        return exchange(
            f"{score.removesuffix('score')}{kind}.shift.{s}", "all_to_all", (source, made),
            (tensor.elements // width, width), "context", self.ways, tensor.bytes,
            sent=tuple(sent),
        )  # fmt: skip

    def _join(self, value: Op, parts: list[str]) -> Op:
        """Partial results into one."""
        name = value.writes[0].tensor
        width = value.ranks["N"]
        shape = self.cut.get(name, self.graph.tensors[name].shape)
        rows = 1
        for n in shape:
            rows *= n
        times = len(parts) - 1
        return Op(
            f"{value.name.removesuffix('value')}join", Kind.VECTOR, "softmax",
            {"M": rows // width, "N": width}, tuple(Access(p) for p in parts), (Access(name),),
            primitives={k: n * times for k, n in JOIN_POINT.items()},
            row_primitives={k: n * times for k, n in JOIN_ROW.items()},
        )  # fmt: skip
