"""A vision Transformer: patches of an image become tokens of an encoder, the first one classifies.

The patches are cut and projected by one convolution; the encoder is the `transformer`'s own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec
from archsim.ir.graph import Block
from archsim.ir.op import Access, Dim, Op, dims
from archsim.lowering.architectures._contradictions import misfit
from archsim.lowering.architectures._description import Transformer
from archsim.lowering.architectures.base import Architecture
from archsim.lowering.architectures.transformer import TransformerBuilder
from archsim.lowering.convolution import Geometry, Image, conv_op
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, Encode, Infer, Listed


class Vit(Spec):
    """A vision Transformer."""

    architecture: Literal["vit"] = "vit"
    """Which builder reads these numbers."""

    input: tuple[Count, Count, Count]
    """Channels, height and width of one image."""

    patch: Count
    """Height and width of a patch."""

    layers: Listed
    """Blocks."""

    hidden: Count
    """Width of the residual stream."""

    heads: Count
    """Heads, which divide the width."""

    ffn: Count
    """Inner width of the feed-forward part."""

    activation: Literal["silu", "gelu", "gelu_tanh", "relu"] = "gelu"
    """Activation of the feed-forward part."""

    qkv_bias: bool = True
    """Biases on the Q, K and V projections."""

    classes: int = Field(default=0, ge=0, le=1_000_000_000)
    """Width of the classifier on the first token; 0 where there is none."""

    pooler: bool = False
    """A dense layer and tanh on the first token."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.hidden % self.heads:
            message = f"{self.heads} heads do not divide a width of {self.hidden}"
            raise misfit("heads", "E202", message)
        if self.patch > min(self.input[1:]):
            size = f"{self.input[1]} x {self.input[2]}"
            raise misfit(
                "patch", "E107", f"a patch of {self.patch} does not fit an image of {size}"
            )
        return self

    @property
    def patches(self) -> tuple[int, int]:
        """Rows and columns of whole patches."""
        return self.input[1] // self.patch, self.input[2] // self.patch

    @property
    def tokens(self) -> int:
        """Patches, and one token for the class."""
        return self.patches[0] * self.patches[1] + 1

    def encoder(self) -> Transformer:
        """The blocks and the norm behind them."""
        return Transformer(
            layers=self.layers,
            hidden=self.hidden,
            heads=self.heads,
            kv_heads=self.heads,
            head_dim=self.hidden // self.heads,
            ffn=self.ffn,
            ffn_matrices=2,
            activation=self.activation,
            norm="layer",
            position="none",
            vocab=1,
            qkv_bias=self.qkv_bias,
            out_bias=True,
            ffn_bias=True,
            lm_head=False,
            encoder=True,
        )


class VitBuilder(Architecture):
    """Patches, encoder layers that repeat, head."""

    kind = "vit"
    Spec = Vit

    spec: Vit

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """The encoder's blocks with another beginning, and a head where there is one."""
        assert isinstance(phase, Infer)
        m, batch = self.spec, phase.batch
        encode = Encode(kind="encode", batch=batch, tokens=m.tokens)
        own = Parts(parts.dtypes)
        _, *rest = TransformerBuilder(m.encoder()).blocks(encode, own)
        kept = {a.tensor for b in rest for op in b.ops for a in (*op.reads, *op.writes)}
        parts.tensors.update({k: v for k, v in own.tensors.items() if k in kept})
        head = tuple(self._head(parts, batch))
        last = (Block("classifier", 1, head),) if head else ()
        return (Block("patches", 1, self._patches(parts, batch)), *rest, *last)

    def _patches(self, p: Parts, batch: int) -> tuple[Op, ...]:
        """Each patch to a token by one convolution; a class token before them; positions added."""
        m, (high, wide) = self.spec, self.spec.patches
        size = (batch * m.tokens, m.hidden)
        image = Image(p.tensor("input", (batch, *m.input)), *m.input)
        patch = (m.patch, m.patch)
        weight = p.weight("patch.weight", m.hidden, m.input[0], *patch)
        bias = p.weight("patch.bias", m.hidden)
        raised = p.tensor("patched", (batch, high * wide, m.hidden))
        op = conv_op("patch", image, weight, raised, Geometry(m.hidden, patch, patch), batch, bias)
        place = Dim((("OH", wide), ("OW", 1)))  # a token a patch, its channels side by side
        written = Access(raised.tensor, (*dims("B"), place, op.writes[0].dims[1]))
        first = p.weight("class_token", m.hidden)
        table = p.weight("positions.table", m.tokens, m.hidden)
        reads = [raised, first, table]
        out = p.tensor("hidden", size)
        add = p.vector("positions", "embedding", reads, [out], size, "add")
        return replace(op, writes=(written,)), add

    def _head(self, p: Parts, batch: int) -> list[Op]:
        """A pooler, a classifier, both or none, on the first token of each image."""
        m, ops = self.spec, []
        row = Dim((("M", m.tokens),))
        here = Access("head.normed", (row, *dims("K")), batch * m.hidden)
        if m.pooler:
            pooled, acted = (p.tensor(n, (batch, m.hidden)) for n in ("pooled", "pooled.tanh"))
            size = (batch, m.hidden, m.hidden)
            ops.append(p.linear("pooler", "pooler", here, pooled, size, bias=True))
            ops.append(p.vector("pooler.act", "activation", [pooled], [acted], size[:2], "tanh"))
            here = acted
        if m.classes:
            out = p.tensor("classes", (batch, m.classes))
            size = (batch, m.classes, m.hidden)
            ops.append(p.linear("classifier", "fc", here, out, size, bias=True))
        return ops
