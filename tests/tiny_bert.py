"""A model of somebody else, small enough for a test: a random BERT of two layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
"""The first of the words that it knows."""


def save(folder: Path, words: Sequence[str], kind: str = "BertModel", **more: Any) -> None:
    """Write the model and its tokenizer, which takes one text or a pair."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(5)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {f"{mark.strip('[]').lower()}_token": mark for mark in MARKS}
    wrap: Any = transformers.PreTrainedTokenizerFast
    wrap(tokenizer_object=tokenizer, model_max_length=24, **names).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
        **more,
    )
    getattr(transformers, kind)(config).save_pretrained(folder)
