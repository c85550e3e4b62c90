"""Image encoders of timm."""

import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import create_transform, resolve_model_data_config

from benchmark.catalog import EncoderCard
from benchmark.encoders.token_rules import check_class_token
from benchmark.errors import InputError


class TimmTower:
    """A timm model read through `forward_intermediates`.

    A layer is a block. In a hierarchical model it is a stage: the last output at each resolution, as timm's
    `feature_info` lists them (where two of EfficientNet's seven groups share a resolution, the later one).
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.transform = create_transform(**resolve_model_data_config(module), is_training=False)

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Apply the model's own evaluation transform."""
        return {"pixel_values": torch.stack([self.transform(image) for image in batch])}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d)."""
        return block_outputs(self.module, inputs["pixel_values"], layers)


def block_outputs(module: Any, pixels: torch.Tensor, layers: list[int] | None) -> dict[int, torch.Tensor]:
    """Return {layer: (B, T, d)} of a timm model: prefix tokens (CLS, registers) first, then the map row by row."""
    kept = {"indices": layers, "norm": False, "stop_early": True, "intermediates_only": True}
    if prefix_tokens(module):
        read = module.forward_intermediates(pixels, output_fmt="NLC", return_prefix_tokens=True, **kept)
        states = [torch.cat([prefix, patches], 1) for patches, prefix in read]
    else:
        # Maps (B, d, H, W) are the one format that all models have; Swin's own order inside is (B, H, W, d).
        states = map_tokens(module.forward_intermediates(pixels, output_fmt="NCHW", **kept))
    return dict(zip(layers or range(len(states)), states, strict=True))


def map_tokens(maps: list[torch.Tensor]) -> list[torch.Tensor]:
    """Turn feature maps (B, d, H, W) into tokens (B, H * W, d), row by row."""
    return [state.flatten(2).transpose(1, 2) for state in maps]


def prefix_tokens(module: Any) -> int:
    """Return how many tokens (CLS, registers) a timm model puts before the patches in every layer."""
    given = "return_prefix_tokens" in inspect.signature(module.forward_intermediates).parameters
    return module.num_prefix_tokens if given else 0


def has_class_token(module: Any) -> bool:
    """Whether the first token of a timm model is a class token, not a register or a patch."""
    holders = (module, getattr(module, "embeds", None))  # NaFlexViT keeps its tokens in a module of their own
    registers = [token for holder in holders if (token := getattr(holder, "reg_token", None)) is not None]
    return prefix_tokens(module) > sum(token.shape[1] for token in registers)


def load_tower(card: EncoderCard, folder: Path | None, *, trust_remote_code: bool = False) -> TimmTower:
    """Load from a folder (config.json and model.safetensors), from the hub, or by timm's model name (name.tag).

    `trust_remote_code` changes nothing: timm runs no code of a checkpoint. Raises InputError for a name that timm does
    not know and for the token rule cls where there is no class token.
    """
    module: Any = timm.create_model(_name(card, folder), pretrained=True)
    check_class_token(card, has_class_token(module))
    return TimmTower(module)


def _name(card: EncoderCard, folder: Path | None) -> str:
    if folder is not None:
        return f"local-dir:{folder}"
    hub_name = card.source.removeprefix("hf-hub:")
    if "/" in hub_name:
        return f"hf-hub:{hub_name}" + (f"@{card.revision}" if card.revision else "")
    if timm.is_model(card.source):
        return card.source
    close = get_close_matches(card.source, timm.list_pretrained(), n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise InputError(f"encoder '{card.name}': '{card.source}' is neither a folder nor a model of timm{hint}.")
