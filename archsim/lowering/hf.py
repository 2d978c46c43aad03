"""Hugging Face `config.json`: the fields of each model type, in the old and the new spelling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from archsim.core.document import Document
from archsim.core.errors import InputError, Unsupported, nearest
from archsim.core.yamlio import load_yaml
from archsim.lowering.model import Transformer

ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "relu": "relu", "gelu": "gelu", "gelu_new": "gelu",
    "gelu_fast": "gelu", "gelu_pytorch_tanh": "gelu", "gelu_python": "gelu",
}  # fmt: skip


class Fields:
    """A config's fields, each error at its line and column."""

    def __init__(self, document: Document) -> None:
        self.document = document
        if not isinstance(document.data, dict):
            raise document.error((), "E105", "config.json expects a mapping")
        self.data: dict[str, Any] = document.data

    def number(self, *names: str, default: int | None = None) -> int:
        """A positive whole number under one of its names."""
        for name in names:
            value = self.data.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise self.document.error(
                    (name,), "E105", f"{name} expects a positive whole number, got {value!r}"
                )
            return value
        if default is None:
            raise self.document.error((), "E102", f'config.json needs "{names[0]}"')
        return default

    def flag(self, name: str, default: bool) -> bool:
        """A true or false."""
        value = self.data.get(name, default)
        return default if value is None else bool(value)

    def activation(self, *names: str, default: str) -> Any:
        """The activation function."""
        for name in names:
            word = self.data.get(name)
            if word is None:
                continue
            if not isinstance(word, str) or word not in ACTIVATIONS:
                close = nearest(str(word), ACTIVATIONS)
                raise self.document.error(
                    (name,), "E108", f'{name} "{word}" is not one of {", ".join(ACTIVATIONS)}',
                    help=f'did you mean "{close}"?' if close else None,
                )  # fmt: skip
            return ACTIVATIONS[word]
        return default

    def divided(self, heads: int, hidden: int) -> int:
        """Width of a head: stated, or the hidden width over the heads."""
        if self.data.get("head_dim") is None and hidden % heads:
            raise self.document.error(
                (), "E202", f"{heads} attention heads do not divide a hidden size of {hidden}"
            )
        return self.number("head_dim", default=hidden // heads)


def _llama(f: Fields) -> dict[str, Any]:
    hidden, heads = f.number("hidden_size"), f.number("num_attention_heads")
    return {
        "layers": f.number("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": f.number("num_key_value_heads", default=heads),
        "head_dim": f.divided(heads, hidden),
        "ffn": f.number("intermediate_size"),
        "ffn_matrices": 3,
        "activation": f.activation("hidden_act", default="silu"),
        "norm": "rms",
        "position": "rope",
        "vocab": f.number("vocab_size"),
        "qkv_bias": f.flag("attention_bias", False),
        "out_bias": f.flag("attention_bias", False),
        "ffn_bias": f.flag("mlp_bias", False),
        "tied": f.flag("tie_word_embeddings", False),
    }


def _gpt2(f: Fields) -> dict[str, Any]:
    hidden, heads = f.number("n_embd", "hidden_size"), f.number("n_head", "num_attention_heads")
    return {
        "layers": f.number("n_layer", "num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": heads,
        "head_dim": f.divided(heads, hidden),
        "ffn": f.number("n_inner", default=4 * hidden),
        "ffn_matrices": 2,
        "activation": f.activation("activation_function", default="gelu"),
        "norm": "layer",
        "position": "learned",
        "positions": f.number("n_positions", "n_ctx", "max_position_embeddings"),
        "vocab": f.number("vocab_size"),
        "qkv_bias": True,
        "out_bias": True,
        "ffn_bias": True,
        "tied": f.flag("tie_word_embeddings", True),
    }


def _opt(f: Fields) -> dict[str, Any]:
    hidden, heads = f.number("hidden_size"), f.number("num_attention_heads")
    width = f.number("word_embed_proj_dim", default=hidden)
    if width != hidden:
        raise Unsupported(
            f"word_embed_proj_dim {width} differs from hidden_size {hidden}: the projections "
            "between them have no builder",
            code="E301",
        )
    bias = f.flag("enable_bias", True)
    return {
        "layers": f.number("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": heads,
        "head_dim": f.divided(heads, hidden),
        "ffn": f.number("ffn_dim"),
        "ffn_matrices": 2,
        "activation": f.activation("activation_function", default="relu"),
        "norm": "layer",
        "position": "learned",
        "positions": f.number("max_position_embeddings") + 2,  # the class keeps two rows spare
        "vocab": f.number("vocab_size"),
        "qkv_bias": bias,
        "out_bias": bias,
        "ffn_bias": bias,
        "tied": f.flag("tie_word_embeddings", True),
    }


def _bert(f: Fields) -> dict[str, Any]:
    hidden, heads = f.number("hidden_size"), f.number("num_attention_heads")
    return {
        "layers": f.number("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": heads,
        "head_dim": f.divided(heads, hidden),
        "ffn": f.number("intermediate_size"),
        "ffn_matrices": 2,
        "activation": f.activation("hidden_act", default="gelu"),
        "norm": "layer",
        "position": "learned",
        "positions": f.number("max_position_embeddings"),
        "token_types": f.number("type_vocab_size", default=2),
        "vocab": f.number("vocab_size"),
        "qkv_bias": True,
        "out_bias": True,
        "ffn_bias": True,
        "tied": True,
        "lm_head": False,
        "embedding_norm": True,
        "final_norm": False,
        "pooler": True,
        "encoder": True,
    }


READERS: dict[str, Callable[[Fields], dict[str, Any]]] = {
    "bert": _bert,
    "gpt2": _gpt2,
    "llama": _llama,
    "mistral": _llama,
    "opt": _opt,
}


def read_config(path: str | Path) -> Transformer:
    """The model of a `config.json`.

    Raises:
        InputError: E102, E105 or E108 at the field.
        Unsupported: E301 for a model type without a reader.
    """
    document = load_yaml(path)
    fields = Fields(document)
    kind = fields.data.get("model_type")
    if kind is None:
        raise document.error((), "E102", 'config.json needs "model_type"',
                             help=f"one of {', '.join(READERS)}")  # fmt: skip
    reader = READERS.get(str(kind))
    if reader is None:
        close = nearest(str(kind), READERS)
        supported = f"supported: {', '.join(READERS)}"
        raise Unsupported(
            f'model_type "{kind}" has no builder',
            code="E301",
            help=f"closest: {close}; {supported}" if close else supported,
            where=document.diagnostic(("model_type",), "E301", ""),
        )
    model = Transformer.model_validate(reader(fields))
    if model.heads % model.kv_heads:
        raise InputError.of([document.diagnostic(
            ("num_key_value_heads",), "E202",
            f"{model.kv_heads} key-value heads do not divide {model.heads} heads")])  # fmt: skip
    return model
