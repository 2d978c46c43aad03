"""Where numbers of a spec come from in a `config.json`, and which of its fields nobody reads.

Both are about names that transformers gives to fields, whatever the model type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import AliasChoices

if TYPE_CHECKING:
    from pydantic import BaseModel

    from archsim.core.document import Document, Path_

ORIGINS = {
    "heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "hidden": ("hidden_size", "n_embd", "n_embed"),
    "positions": ("max_position_embeddings", "n_positions", "n_ctx"),
    "window_pattern": ("layer_types", "sliding_window_pattern"),
    "top_k": ("num_experts_per_tok", "experts_per_token"),
    "groups": ("n_group",),
    "dense_layers": ("first_k_dense_replace", "mlp_only_layers"),
    "moe_every": ("decoder_sparse_step",),
    "patch": ("patch_size",),
}
"""Fields of a `config.json`, by the key of a spec that they become; others keep their name."""

WITHOUT_COST = re.compile(
    r"_?name_or_path|model_type|architectures|auto_map|torch_dtype|dtype|transformers_version"
    r"|.*_token_id|.*_token_index|forced_.*|.*vocab_file"  # tokens that have a meaning
    r"|.*dropout.*|.*_pdrop|layerdrop|gradient_checkpointing|init.*_(range|std|factor|cutoff_factor)"
    r"|.*_loss_coef|aux_loss_alpha|seq_aux|router_jitter_noise|output_router_logits"  # of training
    r"|pretraining_tp|ep_size|use_cache|cache_implementation|tokenizer_class|prefix|is_decoder"
    r"|.*(layer|rms)_?norm_eps(ilon)?|layer_norm_elementwise_affine|_remove_final_layer_norm"
    r"|rope_.*|max_position_embeddings|n_ctx"
    r"|initial_context_length|max_window_layers|model_max_length"
    r"|query_pre_attn_scalar|swiglu_limit|routed_scaling_factor|norm_topk_prob|scoring_func"
    r"|topk_method|scale_attn_.*|reorder_and_upcast_attn|summary_.*|task_specific_params"
    r"|id2label|label2id|problem_type|classifier_dropout|return_dict|output_(attentions|hidden_states)"
    r"|encoder_stride"
)
"""Fields that change neither the ops nor their sizes, and so are left out in silence: those of
`PretrainedConfig` and of the families' own classes in transformers."""


def place_of(key: str, document: Document) -> Path_:
    """Path of the field that became a number; the whole file where it has none of the names."""
    fields = (name for name in ORIGINS.get(key, (key,)) if name in document.data)
    return tuple(fields)[:1]


def unread(document: Document, config: type[BaseModel]) -> tuple[str, ...]:
    """Fields that say something which may change the cost, and that a model type does not read.

    Args:
        document: of a `config.json`.
        config: fields of its model type.
    """
    read = set(_names(config))
    return tuple(
        sorted(
            key
            for key, value in document.data.items()
            if value and key not in read and not WITHOUT_COST.fullmatch(key)
        )
    )


def _names(config: type[BaseModel]) -> Iterable[str]:
    """Spellings of the fields that are read."""
    for name, field in config.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            yield from (str(choice) for choice in field.validation_alias.choices)
        else:
            yield name
