"""A dense Transformer: a decoder that generates with a KV cache, or an encoder.

Here are its numbers, its closed forms and its phases; the ops of a block are in `_attention` and
`_transformer_ops`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.graph import Block, OpGraph
from archsim.ir.tensor import DTYPES
from archsim.lowering.architectures._attention import attention
from archsim.lowering.architectures._transformer_ops import embedding, feed_forward, head
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, Decode, DTypes, Encode, Infer, Sequences

CONTEXT = 2048  # at which a model without a phase is counted, or all its positions where fewer


class Transformer(Spec):
    """A dense Transformer: a decoder that generates, or an encoder."""

    architecture: Literal["transformer"] = "transformer"
    """Which builder reads these numbers."""

    layers: Count
    """Blocks."""

    hidden: Count
    """Width of the residual stream."""

    heads: Count
    """Query heads."""

    kv_heads: Count
    """Key and value heads; fewer than `heads` is grouped, one is multi-query attention."""

    head_dim: Count
    """Width of a head."""

    ffn: Count
    """Inner width of the feed-forward part."""

    ffn_matrices: Literal[2, 3]
    """Two (up, down), or three with a gate."""

    activation: Literal["silu", "gelu", "gelu_tanh", "relu"]
    """Activation of the feed-forward part."""

    norm: Literal["rms", "layer"]
    """RMSNorm, or LayerNorm with a bias."""

    position: Literal["rope", "learned", "none"]
    """Rotary, a learned table that is added to the embedding, or none."""

    vocab: Count
    """Rows of the embedding."""

    positions: int = Field(default=0, ge=0, le=1_000_000_000)
    """Rows of the learned position table."""

    position_offset: int = Field(default=0, ge=0, le=1_000_000_000)
    """Rows at its beginning that no token uses (2 in OPT)."""

    token_types: int = Field(default=0, ge=0, le=1_000_000_000)
    """Rows of the token-type table (BERT)."""

    sliding_window: Count | None = None
    """Tokens that one attends to at most (Mistral); none where absent."""

    fused_qkv: bool = True
    """Q, K and V as one product over one weight matrix, or as three."""

    norm_first: bool = True
    """Norms before attention and feed-forward, or after their residuals (BERT)."""

    qkv_bias: bool = False
    """Biases on the Q, K and V projections."""

    out_bias: bool = False
    """Bias on the attention's output projection."""

    ffn_bias: bool = False
    """Biases on the feed-forward matrices."""

    tied: bool = False
    """The LM head shares the embedding's weights."""

    lm_head: bool = True
    """A decoder's head over the vocabulary."""

    embedding_norm: bool = False
    """A norm after the embedding (BERT)."""

    final_norm: bool = True
    """A norm after the last block."""

    pooler: bool = False
    """A dense layer on the first token (BERT)."""

    encoder: bool = False
    """No causal mask and no KV cache."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.heads % self.kv_heads:
            raise problem(
                "E202", f"{self.kv_heads} key-value heads do not divide {self.heads} heads"
            )
        if (self.position == "learned") != (self.positions > self.position_offset):
            raise problem(
                "E202",
                f"position {self.position} disagrees with positions: {self.positions}",
                "a learned table has rows that tokens use; other kinds have none",
            )
        return self

    @property
    def limit(self) -> int | None:
        """Most tokens of a sequence, where a learned table sets it."""
        return self.positions - self.position_offset if self.positions else None

    def parameters(self) -> int:
        """Parameters, each matrix, bias and norm counted, tied weights once."""
        h, wide, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        norm = h * (2 if self.norm == "layer" else 1)
        attention = h * (wide + 2 * kv) + wide * h
        attention += (wide + 2 * kv) * self.qkv_bias + h * self.out_bias
        ffn = self.ffn_matrices * h * self.ffn
        ffn += ((self.ffn_matrices - 1) * self.ffn + h) * self.ffn_bias
        tables = (self.vocab + self.positions + self.token_types) * h
        own_head = self.vocab * h if self.lm_head and not self.encoder and not self.tied else 0
        rest = norm * (self.embedding_norm + self.final_norm) + (h * h + h) * self.pooler
        return self.layers * (attention + ffn + 2 * norm) + tables + own_head + rest

    def macs_per_token(self, context: int) -> int:
        """MACs of one token that attends to `context` tokens, LM head included, pooler not."""
        h, wide, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        seen = min(context, self.sliding_window or context)
        linear = h * (wide + 2 * kv) + wide * h + self.ffn_matrices * h * self.ffn
        lm_head = self.vocab * h if self.lm_head and not self.encoder else 0
        return self.layers * (linear + 2 * wide * seen) + lm_head

    def kv_elements_per_token(self) -> int:
        """Elements of the KV cache that one token adds over all layers; 0 for an encoder."""
        return 0 if self.encoder else 2 * self.layers * self.kv_heads * self.head_dim

    def masked_macs(self, s: Sequences) -> int:
        """MACs spent on points that the causal mask, or a sliding window in a prompt, discards."""
        if self.encoder or s.new == 1:
            return 0
        seen = min(s.new, self.sliding_window or s.new)
        kept = seen * (seen + 1) // 2 + (s.new - seen) * seen
        return 2 * self.layers * s.batch * self.heads * self.head_dim * (s.new * s.new - kept)


class TransformerBuilder(Architecture):
    """Embedding, layers that repeat, head."""

    kind = "transformer"
    Spec = Transformer

    spec: Transformer

    @property
    def phases(self) -> tuple[str, ...]:
        """An encoder encodes; a decoder prefills and decodes."""
        return ("encode",) if self.spec.encoder else ("decode", "prefill")

    @property
    def keeps_cache(self) -> bool:
        """Decoders do."""
        return not self.spec.encoder

    def default_phase(self) -> AnyPhase:
        """One sequence at a context of 2048, or at as many tokens as the model has positions."""
        context = min(CONTEXT, self.spec.limit or CONTEXT)
        if self.spec.encoder:
            return Encode(kind="encode", tokens=context)
        return Decode(kind="decode", context=context)

    def objections(self, phase: AnyPhase) -> Iterator[Objection]:
        """A learned position table cannot be exceeded."""
        limit = self.spec.limit
        s = _sequences(phase)
        if limit is not None and s.longest > limit:
            key = "context" if isinstance(phase, Decode) else "tokens"
            yield Objection(
                key, "E107", f"{s.longest} tokens exceed the {limit} positions of the model"
            )

    def warnings(self, phase: AnyPhase) -> Iterator[tuple[str, str]]:
        """A window that shortens the context asked for."""
        window, s = self.spec.sliding_window, _sequences(phase)
        if window and s.longest > window:
            yield "W102", f"tokens attend to a sliding window of {window}, not to {s.longest}"

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """The masked points of a prefill are computed, as unfused kernels do."""
        m = self.spec
        s = _sequences(phase).within(m.sliding_window)
        layer = (*attention(parts, m, s), *feed_forward(parts, m, s))
        blocks = [
            Block("embed", 1, tuple(embedding(parts, m, s))),
            Block("layer", m.layers, layer, (("hidden", "hidden.out"),)),
        ]
        last = tuple(head(parts, m, s))
        return (*blocks, Block("head", 1, last)) if last else tuple(blocks)

    def facts(self, graph: OpGraph, phase: AnyPhase, dtypes: DTypes) -> dict[str, Any]:
        """Counts; `macs_causal` leaves out what the mask discards."""
        m, s = self.spec, _sequences(phase)
        bits = DTYPES[dtypes.kv_cache].bits if dtypes.kv_cache else 0
        return {
            "layers": m.layers,
            "parameters": m.parameters(),
            "macs": graph.macs(),
            "macs_causal": graph.macs() - m.masked_macs(s),
            "macs_per_token": m.macs_per_token(s.longest),
            "context": s.longest,
            "kv_bytes_per_token": m.kv_elements_per_token() * bits // 8,
            "output_tokens": s.tokens if m.encoder else s.batch,
        }


def _sequences(phase: AnyPhase) -> Sequences:
    assert not isinstance(phase, Infer), "phases of the model are checked before it is built"
    return Sequences.of(phase)
