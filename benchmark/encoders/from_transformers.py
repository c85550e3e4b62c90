"""Vision and text encoders of transformers."""

import inspect
import os
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmark.catalog import EncoderCard
from benchmark.errors import InputError, WorkError

# For a hub repository without safetensors (DeBERTa's), transformers would ask a hub service in the background to
# convert it; reading somebody's weights must not open pull requests there. torch's weights-only loader reads them.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")


class VisionTower:
    """A vision model with its own image processor."""

    def __init__(self, module: Any, processor: Any) -> None:
        self.module = module
        self.processor = processor

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Apply the checkpoint's image processor."""
        return {"pixel_values": self.processor(images=batch, return_tensors="pt")["pixel_values"]}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d)."""
        return block_outputs(self.module, inputs, layers)


class TextTower:
    """A text model with its own tokenizer."""

    def __init__(self, module: Any, tokenizer: Any, padding: int) -> None:
        self.module = module
        self.tokenizer = tokenizer
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        # Tokenizers without special tokens give nothing for "": such a caption becomes the end-of-text token.
        self.empty = "" if tokenizer("")["input_ids"] else tokenizer.eos_token
        limit = min(tokenizer.model_max_length, getattr(module.config, "max_position_embeddings", 512))
        if padding > limit:
            raise InputError(f"padding {padding} is longer than the model's limit of {limit} tokens; lower it.")
        self.lengths = {"padding": "max_length" if padding else "longest", "max_length": padding or limit}
        accepted = set(inspect.signature(module.forward).parameters)
        # SigLIP was trained without an attention mask and its tokenizer says so. Leaving the mask out is safe only at
        # a fixed length: with padding to the batch's longest caption, samples would depend on their neighbours.
        if padding and "attention_mask" not in tokenizer.model_input_names:
            accepted.discard("attention_mask")
        self.accepted = accepted

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Tokenize, pad (to the card's `padding`, else to the longest caption) and truncate to the model's limit."""
        texts = [text or self.empty for text in batch]
        encoded = self.tokenizer(
            texts, truncation=True, return_attention_mask=True, return_tensors="pt", **self.lengths
        )
        inputs = {key: value for key, value in encoded.items() if key in self.accepted}
        return {**inputs, "mask": encoded["attention_mask"].bool()}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d)."""
        return block_outputs(self.module, {key: value for key, value in inputs.items() if key != "mask"}, layers)


def block_outputs(module: Any, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
    """Return {layer: (B, T, d)}: entry i + 1 of `hidden_states` is what block i gives (entry 0 is the embedding)."""
    states = module(**inputs, output_hidden_states=True, return_dict=True).hidden_states[1:]
    return {layer: states[layer] for layer in (layers or range(len(states)))}


def load_tower(card: EncoderCard, folder: Path | None) -> VisionTower | TextTower:
    """Load from a folder or from the hub; only the tower that the card reads stays in memory."""
    source = str(folder or card.source)
    origin: dict[str, Any] = {"trust_remote_code": False}
    if card.revision and folder is None:
        origin["revision"] = card.revision
    module = _load_model(card, source, origin)
    if card.modality == "image":
        return VisionTower(module, transformers.AutoImageProcessor.from_pretrained(source, **origin))
    return TextTower(module, transformers.AutoTokenizer.from_pretrained(source, **origin), card.padding)


def _load_model(card: EncoderCard, source: str, origin: dict[str, Any]) -> Any:
    config = transformers.AutoConfig.from_pretrained(source, **origin)
    # Otherwise the last hidden state of language models is replaced by its normed form.
    config.tie_last_hidden_states = False
    model, report = _model_class(config).from_pretrained(
        source,
        config=config,
        dtype=torch.float32,
        weights_only=True,
        output_loading_info=True,
        **({"revision": origin["revision"]} if "revision" in origin else {}),
    )
    # A pooler comes after the last block and is never read; anything else that is missing would be random numbers.
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise WorkError(
            f"encoder '{card.name}': the checkpoint '{source}' lacks {len(missing)} tensors of the model "
            f"({', '.join(missing[:3])}), which would be random; use a complete checkpoint."
        )
    tower = "vision_model" if card.modality == "image" else "text_model"
    if hasattr(config, "vision_config") and hasattr(config, "text_config"):
        model = getattr(model, tower)  # the other tower is freed with the whole model
        model.config.tie_last_hidden_states = False
    return model


def _model_class(config: Any) -> Any:
    """AutoModel, or the checkpoint's own class of transformers where AutoModel has no entry (SiglipTextModel)."""
    if type(config) in transformers.MODEL_MAPPING:
        return transformers.AutoModel
    named = getattr(transformers, (config.architectures or [""])[0], None)
    if not (inspect.isclass(named) and issubclass(named, transformers.PreTrainedModel)):
        raise WorkError(f"transformers has no model for a checkpoint of type '{config.model_type}'.")
    return named
