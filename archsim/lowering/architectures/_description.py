"""The numbers of a Transformer, and its closed forms: parameters, MACs, cache."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec
from archsim.lowering.architectures._contradictions import contradictions, misfit
from archsim.lowering.architectures._layers import Kind
from archsim.lowering.architectures._mla import Mla
from archsim.lowering.architectures._moe import Experts
from archsim.lowering.block_sparse import BlockSparse
from archsim.lowering.phase import Count, Listed, Several
from archsim.lowering.sequences import Sequences


class Transformer(Spec):
    """A Transformer: a decoder that generates, or an encoder; dense or in experts."""

    architecture: Literal["transformer"] = "transformer"
    """Which builder reads these numbers."""

    layers: Listed
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

    position: Literal["rope", "learned", "relative", "none"]
    """Rotary, a learned table that is added to the embedding, biases on the scores by distance, or
    none."""

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

    window_pattern: Several[bool] = (True,)
    """Which layers have the window, cycled over all of them."""

    block_sparse: BlockSparse | None = None
    """Blocks of queries and keys that are scored; all where absent."""

    rotary_dim: Count | None = None
    """Elements of a head that are rotated; all where absent."""

    relative_buckets: int = Field(default=0, ge=0, le=65536)
    """Rows of the table of relative position biases (T5)."""

    block: Literal["sequential", "parallel"] = "sequential"
    """Feed-forward behind attention, or both side by side on one residual (PaLM, Falcon)."""

    parallel_norms: Literal[1, 2] = 1
    """Norms of a parallel block: one for both parts, or one each."""

    qk_norm: Literal["none", "rms", "layer"] = "none"
    """Norm over each query and key head."""

    sandwich_norms: bool = False
    """Norms behind attention and feed-forward too (Gemma)."""

    attention_sinks: bool = False
    """A learned score a head that takes part in the softmax (gpt-oss)."""

    mla: Mla | None = None
    """Latent attention (DeepSeek)."""

    moe: Experts | None = None
    """Experts in place of the feed-forward matrices."""

    dense_layers: int = Field(default=0, ge=0, le=100_000)
    """First layers that have no experts."""

    moe_every: Count = 1
    """Of the layers behind them, the last of each so many has experts."""

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

    lm_head_bias: bool = False
    """Bias on the LM head."""

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
        for found in contradictions(self):
            raise misfit(*found)
        return self

    @property
    def limit(self) -> int | None:
        """Most tokens of a sequence, where a learned table sets it."""
        return self.positions - self.position_offset if self.positions else None

    def layer_kinds(self) -> tuple[Kind, ...]:
        """What each layer is."""
        pattern = self.window_pattern
        return tuple(
            Kind(
                self.moe is not None
                and i >= self.dense_layers
                and (i - self.dense_layers) % self.moe_every == self.moe_every - 1,
                self.sliding_window is not None and pattern[i % len(pattern)],
            )
            for i in range(self.layers)
        )

    def parameters(self) -> int:
        """Parameters, each matrix, bias and norm counted, tied weights once."""
        experts = [kind.moe for kind in self.layer_kinds()]
        return self._without_ffn() + sum(self._ffn(moe=moe, active=False) for moe in experts)

    def active_parameters(self) -> int:
        """Those that one token visits."""
        experts = [kind.moe for kind in self.layer_kinds()]
        return self._without_ffn() + sum(self._ffn(moe=moe, active=True) for moe in experts)

    def _ffn(self, *, moe: bool, active: bool) -> int:
        """Parameters of one layer's feed-forward part."""
        h = self.hidden
        if moe and self.moe:
            count = self.moe.active_parameters if active else self.moe.parameters
            return count(h, self.ffn_matrices)
        bias = ((self.ffn_matrices - 1) * self.ffn + h) * self.ffn_bias
        return self.ffn_matrices * h * self.ffn + bias

    def _attention(self) -> int:
        """Parameters of one layer's attention."""
        h, wide, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        if self.mla:
            return self.mla.parameters(h, self.heads)
        found = h * (wide + 2 * kv) + wide * h
        found += (wide + 2 * kv) * self.qkv_bias + h * self.out_bias
        norm = {"none": 0, "rms": 1, "layer": 2}[self.qk_norm]
        return found + 2 * norm * self.head_dim + self.heads * self.attention_sinks

    def _without_ffn(self) -> int:
        """Parameters of everything but the feed-forward parts."""
        h = self.hidden
        norm = h * (2 if self.norm == "layer" else 1)
        norms = (self.parallel_norms if self.block == "parallel" else 2) + 2 * self.sandwich_norms
        tables = (self.vocab + self.positions + self.token_types) * h
        tables += self.relative_buckets * self.heads
        has_head = self.lm_head and not self.encoder
        own_head = self.vocab * h if has_head and not self.tied else 0
        own_head += self.vocab * (has_head and self.lm_head_bias)
        rest = norm * (self.embedding_norm + self.final_norm) + (h * h + h) * self.pooler
        return self.layers * (self._attention() + norms * norm) + tables + own_head + rest

    def macs_per_token(self, context: int) -> int:
        """MACs of one token that attends to `context` tokens, LM head included, pooler not."""
        h, wide, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        total = self.vocab * h if self.lm_head and not self.encoder else 0
        for kind in self.layer_kinds():
            seen = min(context, self.sliding_window or context) if kind.windowed else context
            seen = self.block_sparse.attended(context) if self.block_sparse else seen
            if self.mla:
                absorbed = self.mla.absorb != "never"
                again = 0 if absorbed else seen - 1  # tokens before it, raised anew
                total += self.mla.projections(h, self.heads) + again * self.mla.raising(self.heads)
                total += self.mla.attention_macs(self.heads, seen, absorbed=absorbed)
            else:
                total += h * (wide + 2 * kv) + wide * h + 2 * wide * seen
            experts = self.moe if kind.moe else None
            total += (
                experts.macs(h, self.ffn_matrices) if experts else self.ffn_matrices * h * self.ffn
            )
        return total

    def cached_elements(self) -> tuple[int, int]:
        """Elements of keys and of values that a token leaves in the cache, over all layers.

        An encoder keeps none; a latent is both, and counts as a key.
        """
        if self.encoder:
            return 0, 0
        if self.mla:
            return self.layers * self.mla.cached, 0
        each = self.layers * self.kv_heads * self.head_dim
        return each, each

    def kv_elements_per_token(self) -> int:
        """Elements of the KV cache that one token adds over all layers; 0 for an encoder."""
        return sum(self.cached_elements())

    def masked_macs(self, s: Sequences) -> int:
        """MACs spent on points that the causal mask, or a sliding window in a prompt, discards."""
        if self.encoder or s.new == 1:
            return 0
        total = 0
        width = 2 * self.head_dim
        if s.blocks:  # of a row of blocks, only its own is masked
            half = s.blocks.block * (s.blocks.block - 1) // 2
            rows = s.tokens // s.blocks.block
            return self.layers * width * self.heads * rows * half
        if self.mla:
            a, absorbed = self.mla, self.mla.absorbed(s)
            width = a.cached + a.kv_lora_rank if absorbed else a.query + a.v_head_dim
        for kind in self.layer_kinds():
            seen = s.within(self.sliding_window if kind.windowed else None)
            for keys, sequences in seen.lengths:
                reach = min(seen.window or keys, keys)
                growing = max(0, min(s.new, reach - (keys - s.new)))  # see one key more each
                kept = s.new * reach - growing * (growing - 1) // 2
                total += width * sequences * self.heads * (s.new * keys - kept)
        return total
