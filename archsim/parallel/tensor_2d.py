"""Matrices shared along both of their dimensions at once, on two parts of the tensor axis.

Source: Pope et al., Efficiently Scaling Transformer Inference (MLSys 2023), section 3.2.2. The
residual stream is dealt out along its width. For a matrix, inputs are gathered over `yz`; what a
device then yields is a term of a sum over `x`, which is reduced and dealt out again. The way back
is the mirror image. Keys and values of all heads come from the width that a device holds already.
Norms need one number a token of every device, or two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import Tensor
from archsim.parallel.held import Held
from archsim.parallel.tensor import Tensors
from archsim.parallel.tensor_base import COLUMNS, PARTIAL, WHOLE

X, YZ = "tensor.x", "tensor.yz"


class TwoDimensional(Tensors):
    """The pass at work."""

    rest = COLUMNS

    def _rule(self, op: Op) -> Iterator[Op]:
        self.rest = COLUMNS
        name = op.op_class
        full = name == "norm" and self.normed.get(op.reads[0].tensor) == self._width(op.reads[0])
        if full:
            return self._normed(op)
        if name in ("ffn", "qkv_proj", "lm_head", "out_proj", "pooler") and op.kind is Kind.GEMM:
            return self._square(op)
        if name == "embedding" and op.kind is not Kind.GATHER:
            return self._narrow(op)
        return super()._rule(op)

    def _square(self, op: Op) -> Iterator[Op]:
        if op.op_class == "out_proj" or op.name.endswith("down"):
            return self._back(op)
        return self._forth(op) if len(op.writes) == 1 else self._apart(op)

    def _along(self, name: str, axis: str, other: str) -> str:
        """A tensor whose columns are dealt over all, gathered over one part of the axis."""
        key = (name, Held.COLUMNS)
        if key not in self._turned:
            whole = self.before[name]
            ways = self.plan.ways(axis)
            shape = (*whole.shape[:-1], -(-whole.shape[-1] // ways))
            if len(whole.shape) > 2:
                shape = (self.before[name].elements // shape[-1] // ways, shape[-1])
            made = self._made(f"{name}.gathered", whole, shape)
            self.exchange(
                f"{self._makers.get(name, name)}.all_gather", "all_gather", (name, made.name),
                (made.elements // made.shape[-1], made.shape[-1]), made.bytes, other,
                self.plan.ways(other),
            )  # fmt: skip
            self._turned[key] = made.name
        return self._turned[key]

    def _made(self, name: str, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A new tensor of a device."""
        made = replace(like, name=name, shape=shape)
        self.before = {**self.before, name: made}
        self.put(name, WHOLE)
        return made

    def _dealt(self, op: Op, terms: Tensor, name: str, axis: str) -> None:
        """Reduce terms over a part of the axis, and deal the columns of the sum out over it."""
        self.exchange(f"{op.name}.reduce_scatter", "reduce_scatter", (terms.name, name),
                      (terms.shape[0], terms.shape[-1]), terms.bytes, axis, self.plan.ways(axis),
                      )  # fmt: skip

    def _forth(self, op: Op) -> Iterator[Op]:
        """From the residual stream: K over x, N over yz."""
        source, weight, *bias = op.reads
        read = self.want(source, COLUMNS)
        result = self.before[op.writes[0].tensor]
        deep = -(-op.ranks["K"] // self.plan.ways(X))
        wide = -(-op.ranks["N"] // self.plan.ways(YZ))
        if source.dims and source.touched:  # a few tokens: the others stay where they are
            name = self._few_along(source, op)
        else:
            name = self._along(read.tensor, X, YZ)
        matrix = self.split_weight(weight, "K", deep)
        matrix = self._cut(matrix, weight, "N", wide)
        ranks = {**op.ranks, "K": deep, "N": wide}
        terms = self._made(f"{result.name}.terms", result, (op.ranks["M"], wide))
        own = [self.split_weight(a, "N", wide) for a in bias]
        reads = (replace(source, tensor=name, touched=None), matrix, *own)
        write = replace(op.writes[0], tensor=terms.name)
        yield replace(op, ranks=ranks, reads=reads, writes=(write,))
        self.put(result.name, COLUMNS, self.columns(result.name, self.ways))
        self._dealt(op, terms, result.name, X)

    def _few_along(self, source: Access, op: Op) -> str:
        tensor = self.before[source.tensor]
        deep = op.ranks["K"] // self.plan.ways(X)
        made = self._made(f"{source.tensor}.few", tensor, (op.ranks["M"], deep))
        self.exchange(f"{op.name}.all_gather", "all_gather", (source.tensor, made.name),
                      (op.ranks["M"], deep), made.bytes, YZ, self.plan.ways(YZ))  # fmt: skip
        return made.name

    def _cut(self, part: Access, weight: Access, rank: str, size: int) -> Access:
        """Cut a weight along a second dimension."""
        found = [i for i, d in enumerate(weight.dims) if (rank, 1) in d.terms]
        tensor = self.tensors[part.tensor]
        at = found[0]
        shape = (*tensor.shape[:at], size, *tensor.shape[at + 1 :])
        self.tensors[part.tensor] = replace(tensor, shape=shape)
        return part

    def _back(self, op: Op) -> Iterator[Op]:
        """To the residual stream: K over yz, N over x."""
        source, weight, *bias = op.reads
        read = self.want(source, COLUMNS)
        deep = -(-op.ranks["K"] // self.plan.ways(YZ))
        wide = -(-op.ranks["N"] // self.plan.ways(X))
        name = self._along(read.tensor, YZ, X)
        matrix = self._cut(self.split_weight(weight, "K", deep), weight, "N", wide)
        result = op.writes[0].tensor
        self.put(result, PARTIAL, (op.ranks["M"], wide))
        own = [self.split_weight(a, "N", wide) for a in bias]
        reads = (replace(source, tensor=name), matrix, *own)
        yield replace(op, ranks={**op.ranks, "K": deep, "N": wide}, reads=reads)

    def _apart(self, op: Op) -> Iterator[Op]:
        """A fused projection: queries as any matrix, keys and values from the width held."""
        source, weight, *bias = op.reads
        rows = op.ranks["M"]
        for access in op.writes:
            width = self.before[access.tensor].elements // rows
            name = f"{op.name}.{access.tensor.rpartition('.')[2]}"
            own = [self._columns_of(a, name, width) for a in (weight, *bias)]
            write = replace(access, dims=(op.writes[0].dims))
            part = replace(op, name=name, ranks={**op.ranks, "N": width},
                           reads=(source, *own), writes=(write,))  # fmt: skip
            self._makers[access.tensor] = name
            if self._is_query(access) or self.kv_ways == self.ways:
                yield from self._forth(part)
                continue
            deep = -(-op.ranks["K"] // self.ways)
            read = self.want(source, COLUMNS)
            reads = (read, self.split_weight(own[0], "K", deep), *own[1:])
            self.put(access.tensor, PARTIAL)
            yield replace(part, ranks={**part.ranks, "K": deep}, reads=reads)
            if not self.by_sequence:  # every device keeps the keys of all heads
                self._renewed(access.tensor)

    def _renewed(self, name: str) -> None:
        """All-reduce a tensor, and let its sum bear its name from here on."""
        tensor = self.before[name]
        terms = self._made(f"{name}.terms", tensor, tensor.shape)
        op = self.out.pop()
        writes = (replace(op.writes[0], tensor=terms.name),)
        self.out.append(replace(op, writes=writes))
        self.held[name] = WHOLE
        width = tensor.shape[-1]
        size = (tensor.elements // width, width)
        self.exchange(f"{op.name}.all_reduce", "all_reduce", (terms.name, name), size, tensor.bytes)

    def _lookup(self, op: Op) -> Iterator[Op]:
        """Words over yz, their width over x."""
        ids, table = op.reads
        rows, width = self.before[table.tensor].shape
        held, wide = -(-rows // self.plan.ways(YZ)), -(-width // self.plan.ways(X))
        self.put(table.tensor, COLUMNS, (held, wide))
        used = min(-(-op.ranks["M"] // self.plan.ways(YZ)), held)  # assumed: words fall evenly
        access = Access(table.tensor, table.dims, used * wide if used < held else None)
        result = self.before[op.writes[0].tensor]
        terms = self._made(f"{result.name}.terms", result, (op.ranks["M"], wide))
        writes = (replace(op.writes[0], tensor=terms.name),)
        yield replace(op, ranks={**op.ranks, "N": wide}, reads=(ids, access), writes=writes)
        self.put(result.name, COLUMNS, self.columns(result.name, self.ways))
        self._dealt(op, terms, result.name, YZ)

    def _narrow(self, op: Op) -> Iterator[Op]:
        """A vector op on a device's share of the width."""
        size = -(-op.ranks["N"] // self.ways)
        reads = [
            self.want(a, COLUMNS) if self._moves(a) and self.of(a.tensor) is not COLUMNS
            else self._share(a, op.ranks["N"]) for a in op.reads
        ]  # fmt: skip
        for access in op.writes:
            self.put(access.tensor, COLUMNS, self.columns(access.tensor, self.ways))
        yield replace(op, ranks={**op.ranks, "N": size}, reads=tuple(reads))

    def _share(self, access: Access, width: int) -> Access:
        tensor = self.before[access.tensor]
        if not self._moves(access) and tensor.shape[-1] == width:
            self.put(tensor.name, COLUMNS, (*tensor.shape[:-1], -(-width // self.ways)))
        return self.part(access)

    def _normed(self, op: Op) -> Iterator[Op]:
        """A norm over the width of all devices: they exchange the sums of each row."""
        source = op.reads[0]
        rows, sums = op.ranks["M"], 2 if len(op.reads) > 2 else 1  # a mean where there is a bias
        like = self.before[source.tensor]
        made = self._made(f"{op.writes[0].tensor}.sums", like, (rows, sums))
        given = self.part(source)
        self.exchange(f"{op.name}.all_reduce", "all_reduce", (source.tensor, made.name),
                      (rows, sums), made.bytes)  # fmt: skip
        ask = self.out.pop()
        yield replace(ask, reads=(Access(source.tensor, (), rows * sums),))
        narrow = next(iter(self._narrow(op)))
        first = replace(narrow.reads[0], touched=given.touched)
        yield replace(narrow, reads=(first, *narrow.reads[1:], Access(made.name)))

    def _residual(self, op: Op) -> Iterator[Op]:
        """Terms over yz are added up, reduced and dealt out; the sum has the width held."""
        terms = [a for a in op.reads if self.of(a.tensor) is PARTIAL]
        rest = tuple(a for a in op.reads if a not in terms)
        first = self.local(terms[0].tensor)
        name = terms[0].tensor
        if len(terms) > 1:
            made = self._made(f"{op.writes[0].tensor}.terms", first, first.shape)
            name, wide = made.name, {**op.ranks, "N": first.shape[-1]}
            yield replace(op, name=f"{op.name}.terms", ranks=wide, reads=tuple(terms),
                          writes=(replace(op.writes[0], tensor=name),),
                          primitives={"add": len(terms) - 1})  # fmt: skip
        whole = self.before[op.writes[0].tensor]
        dealt = self._made(f"{name}.scattered", whole, self.columns(whole.name, self.ways))
        maker = replace(op, name=self._makers.get(name, f"{op.name}.terms"))
        self._dealt(maker, self.local(name), dealt.name, YZ)
        self.put(whole.name, COLUMNS, dealt.shape)
        reads = (replace(terms[0], tensor=dealt.name), *rest)
        ranks = {**op.ranks, "N": dealt.shape[-1]}
        yield replace(op, ranks=ranks, reads=reads, primitives={"add": len(rest)})
