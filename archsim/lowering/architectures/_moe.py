"""A feed-forward part in experts: router, choice, permutation, ragged products, combination.

Each of an expert's matrices is one ragged product over the experts that have tokens; the others'
weights are stored and never read. How tokens fall on experts is said by `lowering.routing`: a
choice limited to groups leaves every expert the same share, so the draw is the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec
from archsim.ir.op import Access, Group, Kind, Op, Picks, dims
from archsim.ir.tensor import Role
from archsim.lowering.architectures._contradictions import misfit
from archsim.lowering.parts import Parts
from archsim.lowering.phase import Count, Listed, StoredAs
from archsim.lowering.primitives import FORMS
from archsim.lowering.routing import Routing, tokens_of_experts

if TYPE_CHECKING:
    from archsim.lowering.architectures._description import Transformer


class Experts(Spec):
    """Experts that each token visits some of, and experts that every token visits."""

    experts: Listed
    """Experts to choose from."""

    top_k: Count
    """Experts that a token goes to."""

    ffn: Count
    """Inner width of one expert."""

    shared: int = Field(default=0, ge=0, le=1024)
    """Experts that every token goes to, without a choice."""

    shared_ffn: Count | None = None
    """Inner width of one shared expert. Default: that of the others."""

    shared_gate: bool = False
    """The shared experts' result is scaled by a sigmoid of the token (Qwen2-MoE)."""

    bias: bool = False
    """Biases on the experts' matrices."""

    router: Literal["softmax", "sigmoid"] = "softmax"
    """How scores become weights."""

    router_bias: bool = False
    """A bias for each expert: on the router's product, or on a sigmoid's score for the choice."""

    groups: Count = 1
    """Groups of experts; a token chooses among the best, by the sum of their two best scores."""

    top_groups: Count = 1
    """Groups that a token chooses among."""

    weights: StoredAs | None = Field(default=None, examples=["mxfp4"])
    """Element type of the experts' matrices. Default: that of the other weights."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.top_k > self.experts:
            message = f"top_k {self.top_k} exceeds the {self.experts} experts"
            raise misfit("top_k", "E107", message, f"top_k: 1 to {self.experts}")
        if self.experts % self.groups or self.top_groups > self.groups:
            message = f"{self.top_groups} of {self.groups} groups do not fit {self.experts} experts"
            raise misfit("groups", "E202", message)
        among = self.experts // self.groups * self.top_groups
        if self.top_k > among:
            message = f"top_k {self.top_k} exceeds the {among} experts of the groups chosen among"
            raise misfit("top_k", "E107", message, f"top_k: 1 to {among}")
        if not self.shared and (self.shared_ffn or self.shared_gate):
            key = "shared_ffn" if self.shared_ffn else "shared_gate"
            message = f"{key} is of shared experts, and there are none"
            raise misfit(key, "E202", message, "shared: 1")
        return self

    @property
    def shared_width(self) -> int:
        """Inner width of all shared experts together."""
        return self.shared * (self.shared_ffn or self.ffn)

    def matrices(self, hidden: int, count: int) -> int:
        """Elements of one expert's matrices and biases."""
        bias = ((count - 1) * self.ffn + hidden) * self.bias
        return count * hidden * self.ffn + bias

    def parameters(self, hidden: int, count: int) -> int:
        """Parameters of a layer's router, experts and shared experts."""
        router = hidden * self.experts + self.experts * self.router_bias
        shared = count * hidden * self.shared_width + hidden * self.shared_gate
        return router + self.experts * self.matrices(hidden, count) + shared

    def active_parameters(self, hidden: int, count: int) -> int:
        """Those of them that one token visits."""
        idle = (self.experts - self.top_k) * self.matrices(hidden, count)
        return self.parameters(hidden, count) - idle

    def macs(self, hidden: int, count: int) -> int:
        """MACs of one token."""
        wide = self.top_k * self.ffn + self.shared_width
        return hidden * (self.experts + self.shared_gate) + count * hidden * wide

    def choice(self) -> tuple[dict[str, int], dict[str, int]]:
        """Primitives of scores, choice and weights, per expert and per token.

        Assumed: as many passes over the scores as experts are chosen, two to rank groups.
        """
        form = FORMS[self.router]
        point, row = Counter(form.point), Counter(form.row)
        point["max"] += self.top_k
        if self.router == "sigmoid":
            point["add"] += self.router_bias
        if self.groups > 1:
            point.update({"max": 2, "mul": 1})  # the two best; other groups' scores are cleared
            row.update({"add": self.groups, "max": self.groups * self.top_groups})
        # the chosen weights are scaled to their sum
        row.update({"add": self.top_k - 1, "div": 1, "mul": self.top_k})
        return dict(+point), dict(+row)


class Tokens(Protocol):
    """Sequences of one step, or of a part of it."""

    @property
    def tokens(self) -> int:
        """New tokens of all sequences."""


def routed_tokens(p: Parts, m: Transformer, tokens: int, layer: int, step: int) -> dict[int, int]:
    """Tokens by expert in a layer, the most first; experts without any are left out."""
    moe, routing = m.moe, p.routing or Routing()
    assert moe is not None
    kinds = [kind.moe for kind in m.layer_kinds()]
    before = sum(kinds[:layer]) if routing.layered else 0
    counts = tokens_of_experts(routing, moe.experts, moe.top_k, tokens, before, step, sum(kinds))
    busy = [(-int(n), expert) for expert, n in enumerate(counts) if n]
    return {expert: -n for n, expert in sorted(busy)}


def expert_ops(
    p: Parts,
    m: Transformer,
    s: Tokens,
    source: Access,
    out: Access,
    layer: int,
    step: int = 1,
) -> list[Op]:
    """From the normed input to the sum of the experts' results, before the residual.

    Args:
        p: tensors so far; its routing says how tokens fall on experts.
        m: the model.
        s: sequences of the step.
        source: tokens x hidden.
        out: the same, written.
        layer: which of the model's layers.
        step: which of the phase's steps, from 1.
    """
    moe = m.moe
    assert moe is not None
    tokens, h, k = s.tokens, m.hidden, moe.top_k
    routed = routed_tokens(p, m, tokens, layer, step)
    busy, experts = Counter(routed.values()), len(routed)
    groups = tuple(Group(n, (("M", rows),)) for rows, n in sorted(busy.items(), reverse=True))
    logits = p.tensor("moe.logits", (tokens, moe.experts))
    shares, index = (
        p.tensor("moe.shares", (tokens, k)),
        p.tensor("moe.index", (tokens, k), Role.INDEX),
    )
    picks = Picks(p.name("moe", Role.WEIGHT), tuple(routed), index.tensor)
    rows, raised = p.tensor("moe.rows", (tokens * k, h)), (tokens * k, moe.ffn)
    lowered = p.tensor("moe.lowered", (tokens * k, h))
    late_bias = moe.router_bias and moe.router == "sigmoid"
    scores = [logits, p.weight("moe.topk.bias", moe.experts)] if late_bias else [logits]
    topk = p.vector("moe.topk", "moe_topk", scores, [shares, index], (tokens, moe.experts))
    point, row = moe.choice()
    ops = [
        p.linear("moe.router", "moe_router", source, logits, (tokens, moe.experts, h),
                 bias=moe.router_bias and not late_bias),
        replace(topk, primitives=point, row_primitives=row, reduces=True),
        p.vector("moe.permute", "moe_permute", [source, index], [rows], (tokens * k, h), "gather",
                 kind=Kind.GATHER),
    ]  # fmt: skip

    def product(name: str, given: Access, result: Access, n: int, depth: int) -> Op:
        weight = p.formatted(f"{name}.weight", (moe.experts, depth, n), moe.weights)
        touched = Access(weight.tensor, dims("B", "K", "N"), experts * depth * n)
        size = (experts, max(busy), n, depth)
        op = p.batched(name, "moe_expert", (given, touched, result), size, groups=groups)
        op = replace(op, picks=picks)
        if not moe.bias:
            return op
        bias = p.weight(f"{name}.bias", moe.experts, n)
        return p.with_read(op, Access(bias.tensor, dims("B", "N"), experts * n))

    gates = ["gate"] if m.ffn_matrices == 3 else []
    wide = [p.tensor(f"moe.{name}d", raised) for name in (*gates, "raise")]
    for name, result in zip((*gates, "up"), wide, strict=True):
        ops.append(product(f"moe.{name}", rows, result, moe.ffn, h))
    acted = p.tensor("moe.acted", raised)
    act = (m.activation, "mul") if gates else (m.activation,)
    ops.append(p.vector("moe.act", "activation", wide, [acted], raised, *act))
    ops.append(product("moe.down", acted, lowered, h, moe.ffn))
    parts = [lowered, shares]
    if moe.shared:
        ops += _shared(p, m, s, source)
        parts.append(p.tensor("shared.lowered", (tokens, h)))
    if moe.shared_gate:
        parts.append(p.tensor("shared.share", (tokens, 1)))
    combine = p.vector("moe.combine", "moe_combine", parts, [out], (tokens, h), "mul")
    work = Counter({"mul": k + moe.shared_gate, "add": k - 1 + bool(moe.shared)})
    ops.append(p.with_primitives(combine, dict(+work)))
    return ops


def _shared(p: Parts, m: Transformer, s: Tokens, source: Access) -> list[Op]:
    """The experts that every token visits, side by side as one."""
    assert m.moe is not None
    inner, size = (s.tokens, m.moe.shared_width), (s.tokens, m.hidden)
    names = ("gate", "up") if m.ffn_matrices == 3 else ("up",)
    wide = [p.tensor(f"shared.{name}.out", inner) for name in names]
    acted, out = p.tensor("shared.acted", inner), p.tensor("shared.lowered", size)
    ops = [
        p.linear(f"shared.{name}", "moe_shared", source, result, (*inner, m.hidden))
        for name, result in zip(names, wide, strict=True)
    ]
    act = (m.activation, "mul") if len(names) > 1 else (m.activation,)
    ops.append(p.vector("shared.act", "activation", wide, [acted], inner, *act))
    ops.append(p.linear("shared.down", "moe_shared", acted, out, (*size, inner[1])))
    if m.moe.shared_gate:
        score, share = (p.tensor(f"shared.{name}", (s.tokens, 1)) for name in ("score", "share"))
        size = (s.tokens, 1)
        ops.append(p.linear("shared.scale", "moe_shared", source, score, (*size, m.hidden)))
        ops.append(p.vector("shared.scale_act", "activation", [score], [share], size, "sigmoid"))
    return ops
