"""Constructors of tensors and ops that every architecture shares.

An op addresses a tensor in its own view: merging or splitting dimensions of row-major data is free.
A tensor has the shape in which its reader wants it; whoever writes it names the same elements by
its own ranks. Where a dimension's index falls outside, nothing is read or written there, which is
how one product writes Q, K and V.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

from archsim.core.errors import InputError
from archsim.ir.op import Access, Dim, Group, Kind, Op, Window, dims
from archsim.ir.tensor import Role, Tensor
from archsim.lowering.kv import KvOptions
from archsim.lowering.phase import BlockFormat, DTypes, dtype
from archsim.lowering.primitives import total
from archsim.lowering.routing import Routing
from archsim.lowering.sparsity import SparsityOptions


@dataclass
class Parts:
    """Tensors made so far, and shorthand for ops over them."""

    dtypes: DTypes
    routing: Routing | None = None
    kv: KvOptions = field(default_factory=KvOptions)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    block: str = ""  # before the names of this block's tensors, where a model has several
    within: str = ""  # before the names of ops and tensors of one layer of a block of several
    renamed: dict[str, str] = field(default_factory=dict)  # tensors that blocks hand to each other
    step: str = ""  # before the names of what a later step computes
    sparsity: SparsityOptions | None = None
    block_diagonal: bool = False  # scores of all heads are one product over all heads' channels

    def scope(self, block: str, within: str, renamed: dict[str, str]) -> Parts:
        """The same parts under names of a block, or of one layer of it."""
        return replace(self, block=block, within=within, renamed=renamed)

    def name(self, tensor: str, role: Role = Role.ACTIVATION) -> str:
        """The name of a tensor in the whole graph; steps share what is stored."""
        step = self.step if role in (Role.ACTIVATION, Role.INDEX) else ""
        return self.renamed.get(tensor, f"{step}{self.block}{self.within}{tensor}")

    def tensor(self, name: str, shape: Sequence[int], role: Role = Role.ACTIVATION) -> Access:
        """A tensor of a role at the workload's element type, reached as a whole.

        Raises:
            InputError: E002 when the name is taken by another tensor, as by layers named alike.
        """
        full = self.name(name, role)
        return self._added(Tensor(full, tuple(shape), self.dtypes.of(role, full), role))

    def cache(self, name: str, shape: Sequence[int], part: Literal["keys", "values"]) -> Access:
        """A tensor of cached keys or values, in the form that they have there."""
        keys, values = self.kv.formats(self.dtypes)
        name, role = self.name(name, Role.KV_CACHE), Role.KV_CACHE
        return self._added(Tensor(name, tuple(shape), keys if part == "keys" else values, role))

    def _added(self, tensor: Tensor) -> Access:
        tensor = self.sparsity.thinned(tensor) if self.sparsity else tensor
        if self.tensors.setdefault(tensor.name, tensor) != tensor:
            raise InputError(f'two tensors would be named "{tensor.name}"', code="E002")
        return Access(tensor.name)

    def portion(self, access: Access, elements: int) -> Access:
        """So many elements of a tensor, somewhere in it; the access itself where that is all."""
        if elements == self.elements(access.tensor):
            return access
        return Access(access.tensor, (), elements)

    def formatted(self, name: str, shape: Sequence[int], form: str | BlockFormat | None) -> Access:
        """A weight at an element type of its own, where it has one."""
        if form is None:
            return self.weight(name, *shape)
        full = self.name(name, Role.WEIGHT)
        own = Tensor(full, tuple(shape), dtype(form), Role.WEIGHT)
        self.tensors[full] = self.sparsity.thinned(own) if self.sparsity else own
        return Access(full)

    def weight(self, name: str, *shape: int) -> Access:
        """A weight."""
        return self.tensor(name, shape, Role.WEIGHT)

    def shared(self, name: str, *shape: int) -> str:
        """Name of a weight that all blocks share."""
        return replace(self, block="", within="", renamed={}).weight(name, *shape).tensor

    def whole(self, name: str) -> Access:
        """A tensor made before, all of it."""
        return Access(self.tensors[name].name)

    def elements(self, name: str) -> int:
        """Elements of a tensor made before."""
        return self.tensors[name].elements

    def linear(
        self,
        name: str,
        op_class: str,
        source: Access,
        out: Access | Sequence[Access],
        size: tuple[int, int, int],
        *,
        bias: bool = False,
        tied: Access | None = None,
    ) -> Op:
        """`out[m,n] = source[m,k] @ weight[k,n] (+ bias)`; `size` is (m, n, k).

        Several outs lie side by side along n. A bias is where accumulation starts: it costs its
        bytes and no vector work. `tied` is a matrix that is there already, of n rows unless
        its access says so. Of a part of a tensor no dimensions are known.
        """
        m, n, k = size
        reads = [_whole(source, "M", "K")]
        if tied:
            reads.append(_whole(tied, "N", "K"))
        else:
            reads.append(Access(self.weight(f"{name}.weight", k, n).tensor, dims("K", "N")))
        if bias:
            reads.append(Access(self.weight(f"{name}.bias", n).tensor, dims("N")))
        outs = [out] if isinstance(out, Access) else out
        writes = self.side_by_side(outs, m)
        ranks = {"B": 1, "M": m, "N": n, "K": k}
        return Op(self.within + name, Kind.GEMM, op_class, ranks, tuple(reads), writes)

    def side_by_side(self, parts: Sequence[Access], rows: int) -> tuple[Access, ...]:
        """Accesses to tensors that together hold the columns N of `rows` rows M."""
        found, before = [], 0
        for part in parts:
            found.append(Access(part.tensor, (*dims("M"), Dim((("N", 1),), -before)), part.touched))
            before += self.elements(part.tensor) // rows
        return tuple(found)

    def batched(
        self,
        name: str,
        op_class: str,
        operands: tuple[Access, Access, Access],
        size: tuple[int, int, int, int],
        *,
        groups: tuple[Group, ...] = (),
        causal: bool = False,
    ) -> Op:
        """`out[b,m,n] = a[b,m,k] @ w[b,k,n]`; `size` is (b, m, n, k), that of the longest group.

        Ragged operands lie one after the other, so only their group's own view is affine.
        """
        default = (dims("B", "M", "K"), dims("B", "K", "N"), dims("B", "M", "N"))
        a, w, out = (
            Access(x.tensor, () if groups or (x.touched and not x.dims) else x.dims or d, x.touched)
            for x, d in zip(operands, default, strict=True)
        )
        ranks = dict(zip("BMNK", size, strict=True))
        return Op(
            self.within + name,
            Kind.GEMM,
            op_class,
            ranks,
            (a, w),
            (out,),
            groups=groups,
            causal=causal,
        )

    def vector(
        self,
        name: str,
        op_class: str,
        reads: Sequence[Access],
        writes: Sequence[Access],
        size: tuple[int, int],
        *forms: str,
        groups: tuple[Group, ...] = (),
        kind: Kind = Kind.VECTOR,
        window: Window | None = None,
        causal: bool = False,
    ) -> Op:
        """A vector op over rows x points; `forms` name what is computed at each point."""
        form = total(*forms)

        def plain(access: Access) -> Access:
            if access.dims or groups or window or kind is Kind.GATHER:
                return access
            shape = self.tensors[access.tensor].shape
            if shape == size[1:]:
                return replace(access, dims=dims("N"))
            whole = prod(shape) == prod(size) and access.touched is None
            return replace(access, dims=dims("M", "N")) if whole else access

        return Op(
            self.within + name,
            kind,
            op_class,
            {"M": size[0], "N": size[1]},
            tuple(plain(a) for a in reads),
            tuple(plain(a) for a in writes),
            primitives=form.point,
            row_primitives=form.row,
            reduces=form.reduces,
            groups=groups,
            window=window,
            causal=causal,
        )

    def move(
        self,
        name: str,
        op_class: str,
        sources: Sequence[Access],
        writes: Sequence[Access],
        size: tuple[int, int],
    ) -> Op:
        """Bytes that change place: sources lie side by side in rows of `size[1]` elements."""
        ranks = {"M": size[0], "N": size[1]}
        reads = self.side_by_side(sources, size[0])
        return Op(self.within + name, Kind.MOVE, op_class, ranks, reads, tuple(writes))

    def norm(self, name: str, form: str, source: Access, out: Access, size: tuple[int, int]) -> Op:
        """A norm over the last dimension with its scale (and bias)."""
        reads = [source, self.weight(f"{name}.scale", size[1])]
        if form == "layer":
            reads.append(self.weight(f"{name}.bias", size[1]))
        return self.vector(name, "norm", reads, [out], size, form)

    def with_read(self, op: Op, access: Access) -> Op:
        """An op that reads one more tensor, such as a bias."""
        return replace(op, reads=(*op.reads, access))

    def with_primitives(self, op: Op, primitives: dict[str, int]) -> Op:
        """A vector op that computes something of its own at each point."""
        return replace(op, primitives=primitives)


def _whole(access: Access, *ranks: str) -> Access:
    """An access with plain dimensions, unless it has its own or is of a part."""
    if access.dims or access.touched is not None:
        return access
    return replace(access, dims=dims(*ranks))
