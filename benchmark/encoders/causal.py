"""Causal language models of transformers as text encoders (GPT-2, GPT-NeoX, Qwen, Llama and their like)."""

from typing import Any

import torch
from transformers.models.auto import modeling_auto as auto

from benchmark.encoders.blocks import BlockOutputs, find_blocks
from benchmark.encoders.text_tower import TextTower


def is_causal(config: Any) -> bool:
    """Whether a model of this configuration reads text from left to right only and is no half of a larger model."""
    kind = config.model_type
    if kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES or getattr(config, "is_encoder_decoder", False):
        return False  # BERT and BART have heads for causal language modelling too
    trained_as = (getattr(config, "architectures", None) or [""])[0]
    return kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or trained_as.endswith(("ForCausalLM", "LMHeadModel"))


class CausalTower(TextTower):
    """A language model without its head, whose tokenizer may pad on either side.

    A caption gives the same vectors whatever stands beside it: padding is masked out, and a token's position is
    counted from the caption's first token. Layers are read at the blocks, because the last `hidden_states` of these
    models went through the final norm.
    """

    def __init__(self, module: Any, tokenizer: Any, padding: int) -> None:
        self.padding_side = tokenizer.padding_side  # either is right
        super().__init__(module, tokenizer, padding)
        module.config.use_cache = False
        self.blocks = BlockOutputs(find_blocks(module, module.config.num_hidden_layers))

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Tokenize, pad and truncate as `TextTower`; adds `position_ids` (B, T) where the model takes them."""
        inputs = super().preprocess(batch)
        if "position_ids" in self.accepted:
            inputs["position_ids"] = (inputs["mask"].long().cumsum(1) - 1).clamp(min=0)
        return inputs

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d), none of them normed."""
        fed = {key: value for key, value in inputs.items() if key != "mask"}
        return self.blocks.of(lambda: self.module(**fed), layers)
