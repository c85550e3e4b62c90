"""Image and text towers of open_clip."""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.timm_model import TimmModel
from open_clip.transform import PreprocessCfg, image_transform_v2
from open_clip.transformer import VisionTransformer

from benchmark.catalog import EncoderCard
from benchmark.encoders.from_timm import block_outputs, has_class_token, map_tokens
from benchmark.encoders.token_rules import check_class_token, check_end_token
from benchmark.encoders.vocabulary import check_vocabulary, missing_files_named
from benchmark.errors import InputError, unknown

# What a checkpoint's repository may bring: weights, configuration and the files of a tokenizer; never code.
FILES = ["open_clip_*.safetensors", "*.json", "*.txt", "*.model"]
PICKLES = ["open_clip_*.bin"]  # fetched only where a repository has no safetensors; read by the weights-only loader


class ImageTower:
    """The image tower alone: a ViT with CLS first, a model of timm (SigLIP, EVA, ConvNeXt) or CLIP's own ResNet."""

    def __init__(self, model: Any) -> None:
        self.module = model.visual
        self.transform: Any = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Apply the checkpoint's own evaluation transform."""
        return {"pixel_values": torch.stack([self.transform(image) for image in batch])}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d), prefix tokens first; of hierarchical towers one for each stage."""
        pixels, kept = inputs["pixel_values"], {"indices": layers, "stop_early": True, "intermediates_only": True}
        if isinstance(self.module, TimmModel):
            return block_outputs(self.module.trunk, pixels, layers)
        if isinstance(self.module, VisionTransformer):
            read = self.module.forward_intermediates(pixels, output_fmt="NLC", output_extra_tokens=True, **kept)
            pairs = zip(read["image_intermediates_prefix"], read["image_intermediates"], strict=True)
            states = [torch.cat(pair, 1) for pair in pairs]
        else:
            states = map_tokens(self.module.forward_intermediates(pixels, **kept)["image_intermediates"])
        return dict(zip(layers or range(len(states)), states, strict=True))

    def embedding(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return (B, e): images in the space that they share with captions."""
        return self.module(inputs["pixel_values"])

    def has_cls(self) -> bool:
        """Whether the first token is a class token."""
        if isinstance(self.module, TimmModel):
            return has_class_token(self.module.trunk)
        return isinstance(self.module, VisionTransformer)


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

    def embedding(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return (B, e): captions in the space that they share with images."""
        return self.module.encode_text(inputs["input_ids"])


def load_tower(card: EncoderCard, folder: Path | None, *, trust_remote_code: bool = False) -> ImageTower | TextTower:
    """Load one tower from a folder, from the hub (`hf-hub:...`), or as architecture plus `pretrained`.

    `trust_remote_code` changes nothing: no code of a checkpoint ever runs. Raises InputError for a name that open_clip
    does not know, a revision that cannot apply, a token rule that the tower does not pool by, and a tokenizer without
    its files or without an end token that can be found.
    """
    name = _name(card, folder)
    model = open_clip.create_model(
        name,
        pretrained=card.pretrained or None,
        require_pretrained=True,
        force_quick_gelu=folder is None and _trained_with_quick_gelu(card),
    )
    if card.modality == "image":
        tower = ImageTower(model)
        check_class_token(card, tower.has_cls())
        return tower
    text = getattr(model, "text", model)
    pooling = getattr(text, "text_pool_type", getattr(text, "pool_type", ""))
    if pooling != "argmax":
        raise InputError(
            f"encoder '{card.name}': this open_clip text tower pools its captions by '{pooling}', but only EOT as the "
            "highest token id is supported here; use the transformers copy of the model."
        )
    # A tokenizer's configuration must not be able to ask for code of the repository to be run.
    has_own = "hf_tokenizer_name" in (open_clip.get_model_config(name) or {}).get("text_cfg", {})
    checkpoint = Path(name.removeprefix("local-dir:")) if name.startswith("local-dir:") else None
    with missing_files_named(card, checkpoint):
        tokenizer = open_clip.get_tokenizer(name, **({"trust_remote_code": False} if has_own else {}))
    own = getattr(tokenizer, "tokenizer", None)
    if own is not None:
        check_vocabulary(card, str(folder or card.source), own)
    # Whatever the token rule: the end token is also where padding begins.
    known = tokenizer.encoder if own is None else own.get_vocab()
    check_end_token(card, lambda texts: tokenizer(texts).tolist(), known.values())
    return TextTower(model, tokenizer)


def _name(card: EncoderCard, folder: Path | None) -> str:
    if folder is not None:
        return f"local-dir:{folder}"
    is_hub = card.source.startswith("hf-hub:")
    if not is_hub:
        _check_architecture(card)
    if not card.revision:
        return card.source
    entry = {} if is_hub else open_clip.get_pretrained_cfg(card.source, card.pretrained)
    # The table writes 'organisation/name/' or 'organisation/name/file'.
    repository = card.source.removeprefix("hf-hub:") if is_hub else entry.get("hf_hub", "").rpartition("/")[0]
    if not repository:
        raise InputError(
            f"encoder '{card.name}': open_clip has no hub repository for '{card.source}' with pretrained "
            f"'{card.pretrained}', so `revision` cannot apply; leave it out."
        )
    return f"local-dir:{_fetch(card, repository)}"


def _check_architecture(card: EncoderCard) -> None:
    """Raise InputError unless the card names an architecture of open_clip and weights that its table has for it."""
    where = f"encoder '{card.name}'"
    if card.source not in open_clip.list_models():
        close = get_close_matches(card.source, open_clip.list_models(), n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(
            f"{where}: '{card.source}' is neither a folder nor an architecture of open_clip{hint}; "
            "hub repositories are written hf-hub:ORGANISATION/NAME."
        )
    tags = open_clip.list_pretrained_tags_by_model(card.source)
    if not card.pretrained:
        raise InputError(
            f"{where}: the architecture '{card.source}' needs weights: set `pretrained` in its card to one of "
            f"{', '.join(tags) or 'none (open_clip knows no weights for it; use a folder with a checkpoint)'}."
        )
    if not open_clip.get_pretrained_cfg(card.source, card.pretrained):
        raise InputError(f"{where}: {unknown(f'pretrained of {card.source}', card.pretrained, tags)}")


def _trained_with_quick_gelu(card: EncoderCard) -> bool:
    """Whether open_clip's table says that the weights were trained with QuickGELU.

    The architecture's name (ViT-B-32 against ViT-B-32-quickgelu) and the repository's configuration should say so too;
    where they do not, the model would load all the same, with the other activation, and give other vectors.
    """
    if not card.source.startswith("hf-hub:"):
        return bool(open_clip.get_pretrained_cfg(card.source, card.pretrained).get("quick_gelu"))
    entries = (open_clip.get_pretrained_cfg(*pair) for pair in open_clip.list_pretrained())
    name = card.source.removeprefix("hf-hub:")
    return any(entry.get("quick_gelu") and entry.get("hf_hub", "").rpartition("/")[0] == name for entry in entries)


def _fetch(card: EncoderCard, repository: str) -> Path:
    """Fetch the files of one commit to the hub's cache: open_clip itself has no way to name a commit."""
    from huggingface_hub import snapshot_download

    path = Path(snapshot_download(repository, revision=card.revision, allow_patterns=FILES))
    if not any(path.glob("open_clip_*.safetensors")):
        snapshot_download(repository, revision=card.revision, allow_patterns=PICKLES)
    if "model_cfg" not in json.loads((path / "open_clip_config.json").read_text(encoding="utf-8")):
        raise InputError(f"encoder '{card.name}': {repository} has no open_clip configuration.")
    return path
