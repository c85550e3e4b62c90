"""Image encoders of timm."""

import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import create_transform, resolve_model_data_config

from benchmark.catalog import EncoderCard
from benchmark.errors import InputError


class TimmTower:
    """A timm model read through `forward_intermediates`; a layer is a block, or a stage of a hierarchical model."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.transform = create_transform(**resolve_model_data_config(module), is_training=False)
        self.read = module.forward_intermediates
        self.has_prefix = "return_prefix_tokens" in inspect.signature(self.read).parameters

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Apply the model's own evaluation transform."""
        return {"pixel_values": torch.stack([self.transform(image) for image in batch])}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs as (B, T, d), prefix tokens (CLS, registers) first, in the model's own order."""
        kept = {"indices": layers, "norm": False, "stop_early": True, "intermediates_only": True}
        if self.has_prefix:
            read = self.read(inputs["pixel_values"], output_fmt="NLC", return_prefix_tokens=True, **kept)
            states = [torch.cat([state[1], state[0]], 1) if isinstance(state, tuple) else state for state in read]
        else:
            # Hierarchical models have no prefix tokens, and most give maps (B, d, H, W) only.
            read = self.read(inputs["pixel_values"], output_fmt="NCHW", **kept)
            states = [state.flatten(2).transpose(1, 2) for state in read]
        return dict(zip(layers or range(len(states)), states, strict=True))


def load_tower(card: EncoderCard, folder: Path | None) -> TimmTower:
    """Load from a folder (config.json and model.safetensors), from the hub, or by timm's model name (name.tag)."""
    if folder is not None:
        return TimmTower(timm.create_model(f"local-dir:{folder}", pretrained=True))
    hub_name = card.source.removeprefix("hf-hub:")
    if "/" in hub_name:
        name = f"hf-hub:{hub_name}" + (f"@{card.revision}" if card.revision else "")
    elif timm.is_model(card.source):
        name = card.source
    else:
        close = get_close_matches(card.source, timm.list_pretrained(), n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(f"encoder '{card.name}': '{card.source}' is neither a folder nor a model of timm{hint}.")
    return TimmTower(timm.create_model(name, pretrained=True))
