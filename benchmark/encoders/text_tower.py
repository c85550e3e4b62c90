"""Text encoders of transformers: tokenizing, padding and what stands in for an empty caption."""

import inspect
from typing import Any

import torch

from benchmark.encoders.blocks import hidden_states
from benchmark.encoders.vocabulary import caption_limit
from benchmark.errors import InputError


class TextTower:
    """A text model with its own tokenizer."""

    padding_side = "right"
    """Absolute positions count from the left, so padding there would shift a caption with its neighbours' lengths."""

    def __init__(self, module: Any, tokenizer: Any, padding: int) -> None:
        self.module = module
        self.tokenizer = tokenizer
        tokenizer.padding_side = self.padding_side
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.pad_token is None:
            raise InputError("the checkpoint's tokenizer has no padding and no end-of-text token; set one in it.")
        limit = caption_limit(tokenizer, module.config)
        if padding > limit:
            raise InputError(f"padding {padding} is longer than the model's limit of {limit} tokens; lower it.")
        self.lengths = {"padding": "max_length" if padding else "longest", "max_length": padding or limit}
        accepted = set(inspect.signature(module.forward).parameters)
        # SigLIP was trained without an attention mask, on captions of a fixed length, and its tokenizer says so.
        self.reads_padding = "attention_mask" not in tokenizer.model_input_names
        if self.reads_padding and not padding:
            raise InputError(
                "the model reads padding like words (its tokenizer gives no attention mask), so all captions must have "
                f"the length that it was trained with; set `padding` in the card (64 for SigLIP; at most {limit} here)."
            )
        self.accepted = accepted - {"attention_mask"} if self.reads_padding else accepted
        # SigLIP 2 was trained on lower-cased captions and its tokenizer's settings say so, but transformers loads it as
        # Gemma's class, which ignores them.
        asked = bool(tokenizer.init_kwargs.get("do_lower_case"))
        self.lower = asked and tokenizer("A")["input_ids"] != tokenizer("a")["input_ids"]

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Tokenize, pad (to the card's `padding`, else to the longest caption) and truncate to the model's limit."""
        batch = [text.lower() for text in batch] if self.lower else batch
        encoded = self._encode(batch)
        bare = (~encoded["attention_mask"].bool().any(1)).tolist()
        if any(bare):
            # Tokenizers without special tokens give nothing for "": such a caption becomes the end-of-text token.
            end = self.tokenizer.eos_token or self.tokenizer.pad_token
            encoded = self._encode([end if empty else text for text, empty in zip(batch, bare, strict=True)])
        inputs = {key: value for key, value in encoded.items() if key in self.accepted}
        return {**inputs, "mask": encoded["attention_mask"].bool()}

    def _encode(self, texts: list[str]) -> Any:
        return self.tokenizer(texts, truncation=True, return_attention_mask=True, return_tensors="pt", **self.lengths)

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d)."""
        return hidden_states(self.module, {key: value for key, value in inputs.items() if key != "mask"}, layers)
