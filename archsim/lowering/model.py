"""What a model file says: the architecture's numbers, what they must come out as, the source."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from archsim.core.spec import PositiveInt, Spec


class Transformer(Spec):
    """A dense Transformer: a decoder that generates, or an encoder."""

    architecture: Literal["transformer"] = "transformer"
    """Which builder reads these numbers."""

    layers: PositiveInt
    """Blocks."""

    hidden: PositiveInt
    """Width of the residual stream."""

    heads: PositiveInt
    """Query heads."""

    kv_heads: PositiveInt
    """Key and value heads; fewer than `heads` is grouped, one is multi-query attention."""

    head_dim: PositiveInt
    """Width of a head."""

    ffn: PositiveInt
    """Inner width of the feed-forward part."""

    ffn_matrices: Literal[2, 3]
    """Two (up, down), or three with a gate."""

    activation: Literal["silu", "gelu", "relu"]
    """Activation of the feed-forward part."""

    norm: Literal["rms", "layer"]
    """RMSNorm, or LayerNorm with a bias."""

    position: Literal["rope", "learned"]
    """Rotary, or a learned table that is added to the embedding."""

    vocab: PositiveInt
    """Rows of the embedding."""

    positions: int = 0
    """Rows of the learned position table."""

    token_types: int = 0
    """Rows of the token-type table (BERT)."""

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

    def parameters(self) -> int:
        """Parameters, each matrix, bias and norm counted, tied weights once."""
        h, wide, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        norm = h * (2 if self.norm == "layer" else 1)
        attention = h * (wide + 2 * kv) + wide * h
        attention += (wide + 2 * kv) * self.qkv_bias + h * self.out_bias
        ffn = self.ffn_matrices * h * self.ffn
        ffn += ((self.ffn_matrices - 1) * self.ffn + h) * self.ffn_bias
        tables = (self.vocab + self.positions + self.token_types) * h
        head = self.vocab * h if self.lm_head and not self.tied else 0
        rest = norm * (self.embedding_norm + self.final_norm) + (h * h + h) * self.pooler
        return self.layers * (attention + ffn + 2 * norm) + tables + head + rest

    def macs_per_token(self, context: int) -> int:
        """MACs of one token that attends to `context` tokens, head included."""
        h, wide, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        linear = h * (wide + 2 * kv) + wide * h + self.ffn_matrices * h * self.ffn
        head = self.vocab * h if self.lm_head and not self.encoder else 0
        return self.layers * (linear + 2 * wide * context) + head

    def kv_elements_per_token(self) -> int:
        """Elements of the KV cache that one token adds over all layers; 0 for an encoder."""
        return 0 if self.encoder else 2 * self.layers * self.kv_heads * self.head_dim


class Cnn(Spec):
    """A convolutional network as a list of layers."""

    architecture: Literal["cnn"] = "cnn"
    """Which builder reads these numbers."""

    input: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Channels, height and width of one input."""

    layers: tuple[dict[str, Any], ...]
    """In order: conv, pool, bottleneck (a residual block, with `count`), mean, linear."""


class AtContext(Spec):
    """A count that depends on how many tokens are attended."""

    context: PositiveInt
    """Tokens attended."""

    value: PositiveInt
    """The count there."""


class Expect(Spec):
    """What a model file's numbers must come out as; a contract test checks them."""

    parameters: PositiveInt
    """Parameters of the released checkpoint, or as printed."""

    within: int = 0
    """How far ours may be off: half of the last digit printed, 0 for an exact count."""

    macs_per_token: AtContext | None = None
    """MACs of one token at a context."""

    macs: int | None = None
    """MACs of one input, for models without tokens."""

    kv_bytes_per_token: int | None = None
    """Bytes of KV cache a token in 16 bit."""


class ModelFile(Spec):
    """A model that ships: one file in `workloads/models`."""

    schema_: Literal["archsim.model/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name that `preset:` takes."""

    source: str
    """Where the numbers come from."""

    expect: Expect
    """What they must come out as."""

    model: Annotated[Transformer | Cnn, Field(discriminator="architecture")]
    """The architecture."""
