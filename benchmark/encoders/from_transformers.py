"""Vision encoders, text encoders, language models and vision-language decoders of transformers."""

import inspect
import os
from pathlib import Path
from typing import Any

import huggingface_hub.utils as hub_bars
import torch
import transformers

from benchmark.catalog import EncoderCard
from benchmark.encoders.blocks import hidden_states
from benchmark.encoders.causal import CausalTower, is_causal
from benchmark.encoders.text_tower import TextTower
from benchmark.encoders.token_rules import check_class_token, check_end_token, has_class_parameter
from benchmark.encoders.vision_language import DecoderImageTower, is_decoder
from benchmark.encoders.vocabulary import load_tokenizer
from benchmark.errors import InputError, WorkError

# For a hub repository without safetensors (DeBERTa's), transformers would ask a hub service in the background to
# convert it; reading somebody's weights must not open pull requests there. torch's weights-only loader reads them.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")

# A bar for every model that is read from disk says nothing; the hub client's bars over downloads stay as they are.
_downloads_shown = not hub_bars.are_progress_bars_disabled()
transformers.utils.logging.disable_progress_bar()
if _downloads_shown:
    hub_bars.enable_progress_bars()

ENCODER_ALONE = "EncoderModel"
"""How transformers calls the encoder half of an encoder-decoder that is saved without its decoder."""
READS = {"input_ids": "text", "pixel_values": "image"}
"""The modality of a model by its main input."""


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
        return hidden_states(self.module, inputs, layers)


def load_tower(
    card: EncoderCard, folder: Path | None, *, trust_remote_code: bool = False
) -> VisionTower | TextTower | DecoderImageTower:
    """Load from a folder or from the hub; only the tower that the card reads stays in memory.

    trust_remote_code: run the model's code in the checkpoint's repository; the caller has asked the user. Raises
    InputError for a model of the other modality or with a decoder behind its encoder, for a token rule that the model
    does not allow and for a tokenizer without its files, and WorkError for a checkpoint that lacks tensors or holds
    them in another shape.
    """
    source = str(folder or card.source.removeprefix("hf-hub:"))
    origin: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if card.revision and folder is None:
        origin["revision"] = card.revision
    config = transformers.AutoConfig.from_pretrained(source, **origin)
    # Otherwise the last hidden state of some encoders is replaced by its normed form.
    config.tie_last_hidden_states = False
    decoder = is_decoder(card.name, config)
    built = _model_class(config, trust_remote_code)
    _check_kind(card, config, built)
    model = _load_model(card, source, config, origin, built)
    if decoder and card.modality == "image":
        check_class_token(card, has_cls=False)  # the first token is the prompt's, the same for every image
        return DecoderImageTower(model, transformers.AutoProcessor.from_pretrained(source, **origin))
    if decoder:
        module = model.language_model
    elif hasattr(config, "vision_config") and hasattr(config, "text_config"):
        module = model.vision_model if card.modality == "image" else model.text_model
        module.config.tie_last_hidden_states = False
    else:
        module = model
    # The rest of a model with several towers is freed with `model`.
    if card.modality == "image":
        check_class_token(card, has_class_parameter(module))
        return VisionTower(module, transformers.AutoImageProcessor.from_pretrained(source, **origin))
    tokenizer = load_tokenizer(card, source, folder, **origin)
    if card.token == "eot":
        check_end_token(card, lambda texts: tokenizer(texts)["input_ids"], tokenizer.get_vocab().values())
    if not is_causal(module.config):
        return TextTower(module, tokenizer, card.padding)
    if card.token == "cls":
        raise InputError(
            f"encoder '{card.name}': a causal language model's first token has seen nothing of the rest of a caption; "
            "set token: last or mean in its card."
        )
    return CausalTower(module, tokenizer, card.padding)


def _load_model(card: EncoderCard, source: str, config: Any, origin: dict[str, Any], built: Any) -> Any:
    model, report = built.from_pretrained(
        source,
        config=config,
        dtype=torch.float32,
        weights_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # not ignored: reported, where transformers would write a table into its log
        **origin,
    )
    for key, stored, built in sorted(report["mismatched_keys"]):
        if "pooler" not in key:
            raise WorkError(
                f"encoder '{card.name}': the checkpoint '{source}' does not fit its config.json: '{key}' is "
                f"{tuple(stored)}, the model needs {tuple(built)}."
            )
    # A pooler comes after the last block and is never read; anything else that is missing would be random numbers.
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise WorkError(
            f"encoder '{card.name}': the checkpoint '{source}' lacks {len(missing)} tensors of the model "
            f"({', '.join(missing[:3])}), which would be random; use a complete checkpoint."
        )
    return model


def _model_class(config: Any, trust_remote_code: bool) -> Any:
    """AutoModel where the checkpoint brings its class, else the class of transformers that fits its configuration.

    That is the class which the checkpoint itself names where AutoModel has no entry for it (SiglipTextModel), or would
    build a decoder that the checkpoint does not hold (T5EncoderModel).
    """
    if trust_remote_code and "AutoModel" in getattr(config, "auto_map", {}):
        return transformers.AutoModel
    architecture = (config.architectures or [""])[0]
    if type(config) in transformers.MODEL_MAPPING and not architecture.endswith(ENCODER_ALONE):
        return transformers.AutoModel
    named = getattr(transformers, architecture, None)
    if not (inspect.isclass(named) and issubclass(named, transformers.PreTrainedModel)):
        raise WorkError(f"transformers has no model for a checkpoint of type '{config.model_type}'.")
    return named


def _check_kind(card: EncoderCard, config: Any, built: Any) -> None:
    """Raise InputError for an encoder with a decoder, and for a model of one modality that the card does not read.

    Of a model by the checkpoint's own code neither can be told.
    """
    where, kind = f"encoder '{card.name}'", config.model_type
    if built is transformers.AutoModel:
        built = transformers.MODEL_MAPPING.get(type(config), None)
    if built is None:
        return
    name = getattr(built, "__name__", "")
    if getattr(config, "is_encoder_decoder", False) and not name.endswith(ENCODER_ALONE):
        raise InputError(
            f"{where}: a model of type '{kind}' is an encoder with a decoder behind it, which is not supported; use a "
            "checkpoint of an encoder alone (as T5EncoderModel saves it), or another model."
        )
    reads = READS.get(getattr(built, "main_input_name", ""), card.modality)
    if reads != card.modality and not config.sub_configs:  # models with several parts read several things
        raise InputError(f"{where}: a model of type '{kind}' reads {reads}; set modality: {reads} in its card.")
