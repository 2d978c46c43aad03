"""Constructors of ops and tensors that every architecture shares, and what a vector op costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from archsim.ir.op import Access, Group, Kind, Op, Window, dims
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.lowering.spec import DTypes

# arithmetic primitives per point and per row of the vector ops, from their textbook forms:
# softmax  scale, mask, max, subtract, exp, sum, times 1/sum
# rms      square, sum, times 1/rms, times gamma;  layer norm also mean, subtract, beta
# silu     x / (1 + exp(-x));  gelu its tanh form, tanh by one exp and one divide
POINT = {
    "softmax": {"mul": 2, "add": 3, "max": 1, "exp": 1},
    "rms": {"mul": 3, "add": 1},
    "layer": {"mul": 3, "add": 4},
    "rope": {"mul": 2, "add": 1},
    "add": {"add": 1},
    "silu": {"exp": 1, "add": 1, "div": 1},
    "gelu": {"mul": 4, "add": 3, "exp": 1, "div": 1},
    "relu": {"max": 1},
    "gather": {"gather": 1},
}
ROW = {"softmax": {"div": 1}, "rms": {"rsqrt": 1}, "layer": {"rsqrt": 1, "mul": 1}}


@dataclass
class Parts:
    """Tensors made so far, and shorthand for ops over them."""

    dtypes: DTypes
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def tensor(self, name: str, shape: Sequence[int], role: Role = Role.ACTIVATION) -> Access:
        """A tensor of a role at the workload's element type, read or written as a whole."""
        kind = {
            Role.WEIGHT: self.dtypes.weights,
            Role.KV_CACHE: self.dtypes.kv_cache,
            Role.INDEX: "int32",
        }.get(role, self.dtypes.activations)
        tensor = Tensor(name, tuple(shape), DTYPES[kind], role)
        assert self.tensors.setdefault(name, tensor) == tensor, f"{name} has two shapes"
        return Access(name)

    def weight(self, name: str, *shape: int) -> Access:
        """A weight."""
        return self.tensor(name, shape, Role.WEIGHT)

    def linear(
        self,
        name: str,
        op_class: str,
        source: Access,
        out: Access | Sequence[Access],
        size: tuple[int, int, int],
        *,
        bias: bool = False,
        weight: Access | None = None,
    ) -> Op:
        """`out[m,n] = source[m,k] @ weight[k,n] (+ bias)`; `size` is (m, n, k)."""
        m, n, k = size
        reads = [Access(source.tensor, dims("B", "M", "K"), source.touched)]
        matrix = weight or self.weight(f"{name}.weight", k, n)
        reads.append(Access(matrix.tensor, dims("K", "N")))
        if bias:
            reads.append(Access(self.weight(f"{name}.bias", n).tensor, dims("N")))
        outs = [out] if isinstance(out, Access) else out
        writes = tuple(Access(o.tensor, dims("B", "M", "N"), o.touched) for o in outs)
        ranks = {"B": 1, "M": m, "N": n, "K": k}
        return Op(name, Kind.GEMM, op_class, ranks, tuple(reads), writes)

    def batched(
        self,
        name: str,
        op_class: str,
        operands: tuple[Access, Access, Access],
        size: tuple[int, int, int, int],
        groups: tuple[Group, ...] = (),
    ) -> Op:
        """`out[b,m,n] = a[b,m,k] @ w[b,k,n]`; `size` is (b, m, n, k)."""
        a, w, out = operands
        return Op(
            name,
            Kind.GEMM,
            op_class,
            dict(zip("BMNK", size, strict=True)),
            (Access(a.tensor, dims("B", "M", "K")), Access(w.tensor, dims("B", "K", "N"))),
            (Access(out.tensor, dims("B", "M", "N")),),
            groups=groups,
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
    ) -> Op:
        """A vector op over rows x points; `forms` name what is computed at each point."""
        point: dict[str, int] = {}
        row: dict[str, int] = {}
        for form in forms:
            for total, part in ((point, POINT[form]), (row, ROW.get(form, {}))):
                for primitive, n in part.items():
                    total[primitive] = total.get(primitive, 0) + n
        return Op(
            name,
            kind,
            op_class,
            {"M": size[0], "N": size[1]},
            tuple(reads),
            tuple(writes),
            primitives=point,
            row_primitives=row,
            reduces=any(form in ROW for form in forms),
            groups=groups,
            window=window,
        )

    def norm(self, name: str, form: str, source: Access, out: Access, size: tuple[int, int]) -> Op:
        """A norm over the last dimension with its scale (and bias)."""
        reads = [source, self.weight(f"{name}.scale", size[1])]
        if form == "layer":
            reads.append(self.weight(f"{name}.bias", size[1]))
        return self.vector(name, "norm", reads, [out], size, form)
