"""Vision-language decoders of the LLaVA type: what a language model makes of an image alone, or of a caption alone."""

import inspect
from typing import Any

import torch
from transformers.models.auto import modeling_auto as auto

from benchmark.encoders.blocks import BlockOutputs, find_blocks
from benchmark.errors import InputError

SUPPORTED = ("llava", "llava_next")
"""Model types whose image tokens have been checked; others arrange them in ways of their own."""


def is_decoder(card_name: str, config: Any) -> bool:
    """Whether this is a language model that reads images; raises InputError for one that is not supported."""
    kind = config.model_type
    if kind not in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return False
    if kind not in SUPPORTED:
        raise InputError(
            f"encoder '{card_name}': vision-language decoders of type '{kind}' are not supported; "
            f"{' and '.join(SUPPORTED)} are."
        )
    return True


class DecoderImageTower:
    """The language model's residual stream over an image's tokens.

    The prompt is the image placeholder alone, with the special tokens that the tokenizer adds by itself (Llama's start
    token) and no word: no chat template, no question. Only the image's tokens count as real; the mask leaves out the
    start token, whose vectors are huge and the same for every image.
    """

    def __init__(self, module: Any, processor: Any) -> None:
        """Raise InputError for a processor that cannot tell how many tokens an image takes, as old copies cannot."""
        if processor.patch_size is None:
            raise InputError("the checkpoint's processor_config.json says no patch_size; use a newer copy of it.")
        self.module = module
        self.processor = processor
        self.image_token = module.config.image_token_id
        self.accepted = set(inspect.signature(module.forward).parameters)
        decoder = module.language_model
        decoder.config.use_cache = False
        self.blocks = BlockOutputs(find_blocks(decoder, decoder.config.num_hidden_layers))

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Apply the checkpoint's processor: pixels, and token ids (B, T) with a placeholder per image token."""
        prompts = [self.processor.image_token] * len(batch)
        # Always the same settings: threads may share the tokenizer, which refuses simultaneous changes of them.
        encoded = self.processor(images=batch, text=prompts, padding=True, return_tensors="pt")
        inputs = {key: value for key, value in encoded.items() if key in self.accepted}
        return {**inputs, "mask": encoded["input_ids"] == self.image_token}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return outputs (B, T, d) of the language model's blocks."""
        fed = {key: value for key, value in inputs.items() if key != "mask"}
        return self.blocks.of(lambda: self.module(**fed), layers)
