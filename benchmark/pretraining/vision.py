"""The vision transformer of timm that the supervised and the self-supervised recipe train."""

import json
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors.torch import save_file

from benchmark.pretraining.data import MEAN, PATCH, SIDE, STD
from benchmark.pretraining.initial import sine_positions, widen

ARCHITECTURE = "vit_tiny_r_s16_p8_224"
"""timm's entry for a vision transformer with a CLS token whose patches are cut from a convolutional stem of stride 4
(Xiao et al. 2021, arXiv 2106.14881: such a stem learns faster); its sizes are overridden."""
STEM_STRIDE = 4


class Vision:
    """A small vision transformer and the arguments it was made with."""

    def __init__(self, width: int, depth: int, head_width: int, classes: int) -> None:
        """Make a vision transformer of random weights; classes 0: without a classifier."""
        self.classes = classes
        self.arguments: dict[str, Any] = {
            "img_size": SIDE,
            "patch_size": PATCH // STEM_STRIDE,
            "embed_dim": width,
            "depth": depth,
            "num_heads": width // head_width,
        }
        self.model = cast(Any, timm.create_model(ARCHITECTURE, num_classes=classes, **self.arguments))
        widen(self.model)
        with torch.no_grad():
            self.model.pos_embed.copy_(sine_positions(SIDE // PATCH, width))

    def cls(self, images: torch.Tensor) -> torch.Tensor:
        """Return the normed CLS token of normalised images, (B, width)."""
        return self.model.forward_features(images)[:, 0]

    def save(self, folder: Path) -> None:
        """Write what timm reads as `local-dir:FOLDER`."""
        config = {
            "architecture": ARCHITECTURE,
            "num_classes": self.classes,
            "model_args": self.arguments,
            "pretrained_cfg": {
                "input_size": [3, SIDE, SIDE],
                "crop_pct": 1.0,
                "interpolation": "bicubic",
                "mean": list(MEAN),
                "std": list(STD),
                "num_classes": self.classes,
            },
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file({k: v.contiguous() for k, v in self.model.state_dict().items()}, folder / "model.safetensors")
