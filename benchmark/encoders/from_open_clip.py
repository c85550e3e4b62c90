"""Image and text towers of open_clip."""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2

from benchmark.catalog import EncoderCard
from benchmark.errors import InputError

# What a checkpoint's repository may bring: weights, configuration and the files of a tokenizer; never code.
FILES = ["*.safetensors", "open_clip_*.bin", "*.json", "*.txt", "*.model"]


class ImageTower:
    """The image tower alone; its first token is CLS where the architecture has one."""

    def __init__(self, model: Any) -> None:
        self.module = model.visual
        self.transform: Any = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Apply the checkpoint's own evaluation transform."""
        return {"pixel_values": torch.stack([self.transform(image) for image in batch])}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d), prefix tokens first."""
        read = self.module.forward_intermediates(
            inputs["pixel_values"],
            indices=layers,
            stop_early=True,
            normalize_intermediates=False,
            intermediates_only=True,
            output_fmt="NLC",
            output_extra_tokens=True,
        )
        states = read["image_intermediates"]
        if "image_intermediates_prefix" in read:
            states = [torch.cat(pair, 1) for pair in zip(read["image_intermediates_prefix"], states, strict=True)]
        return dict(zip(layers or range(len(states)), states, strict=True))


class TextTower:
    """The text tower alone. Captions have a fixed length; real tokens are those up to and including EOT."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        model.visual = None  # the image tower is most of the memory, and nothing on the text path looks at it
        self.module = model
        self.tokenizer = tokenizer

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Tokenize to the model's context length; EOT is the highest id (CLIP's pooling rule)."""
        ids = self.tokenizer(batch)
        return {"input_ids": ids, "mask": torch.arange(ids.shape[1]) <= ids.argmax(1, keepdim=True)}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d)."""
        read = self.module.forward_intermediates(
            text=inputs["input_ids"], text_indices=layers, normalize_intermediates=False, intermediates_only=True
        )
        return dict(zip(layers or range(len(read["text_intermediates"])), read["text_intermediates"], strict=True))


def load_tower(card: EncoderCard, folder: Path | None) -> ImageTower | TextTower:
    """Load one tower from a folder, from the hub (`hf-hub:...`), or as architecture plus `pretrained`."""
    name = _name(card, folder)
    model = open_clip.create_model(name, pretrained=card.pretrained or None, require_pretrained=True)
    if card.modality == "image":
        return ImageTower(model)
    text = getattr(model, "text", model)
    pooling = getattr(text, "text_pool_type", getattr(text, "pool_type", ""))
    if pooling != "argmax":
        raise InputError(
            f"encoder '{card.name}': this open_clip text tower pools its captions by '{pooling}', but only EOT as the "
            "highest token id is supported here; use the transformers copy of the model."
        )
    # A tokenizer's configuration must not be able to ask for code of the repository to be run.
    has_own = "hf_tokenizer_name" in (open_clip.get_model_config(name) or {}).get("text_cfg", {})
    return TextTower(model, open_clip.get_tokenizer(name, **({"trust_remote_code": False} if has_own else {})))


def _name(card: EncoderCard, folder: Path | None) -> str:
    if folder is not None:
        return f"local-dir:{folder}"
    is_hub = card.source.startswith("hf-hub:")
    if not is_hub and card.source not in open_clip.list_models():
        close = get_close_matches(card.source, open_clip.list_models(), n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(
            f"encoder '{card.name}': '{card.source}' is neither a folder nor an architecture of open_clip{hint}; "
            "hub repositories are written hf-hub:ORGANISATION/NAME."
        )
    if not card.revision:
        return card.source
    if not is_hub:
        raise InputError(f"encoder '{card.name}': `revision` applies to `hf-hub:` sources; open_clip fixes the others.")
    # open_clip has no way to name a commit, so the commit's files are fetched first and loaded as a folder.
    from huggingface_hub import snapshot_download

    repository = card.source.removeprefix("hf-hub:")
    path = snapshot_download(repository, revision=card.revision, allow_patterns=FILES)
    config = json.loads(Path(path, "open_clip_config.json").read_text(encoding="utf-8"))
    if "model_cfg" not in config:
        raise InputError(f"encoder '{card.name}': {repository} has no open_clip configuration.")
    return f"local-dir:{path}"
