"""CLIP (Radford et al. 2021, arXiv 2103.00020): images and captions meet in one space by a contrastive loss."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transformer import text_global_pool
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from benchmark.pretraining.augment import flipped
from benchmark.pretraining.data import MEAN, PATCH, SIDE, STD, PretrainingSet, normalised
from benchmark.pretraining.initial import sine_positions
from benchmark.pretraining.optimise import optimise
from benchmark.pretraining.tokenizer import CONTEXT, caption_tokenizer


@dataclass(frozen=True)
class Contrastive:
    """Size of the two towers and how they are trained."""

    width: int = 96
    depth: int = 4
    head_width: int = 24
    batch: int = 128
    learning_rate: float = 1.5e-3

    def train(self, data: PretrainingSet, epochs: int, progress: bool) -> "Pair":
        """Return a trained pair. Seed torch first."""
        tokenizer = caption_tokenizer(data.captions, "clip")
        pair = Pair(self.config(len(tokenizer)), tokenizer)
        model = pair.model
        encoded = tokenizer(data.captions, padding="max_length", truncation=True, return_tensors="pt")
        ids = encoded["input_ids"]

        def loss(rows: torch.Tensor) -> torch.Tensor:
            image = model.encode_image(flipped(normalised(data.images[rows])), normalize=True)
            text = F.normalize(encode_text(model, ids[rows]), dim=-1)
            logits = model.logit_scale.exp().clamp(max=100) * image @ text.T
            target = torch.arange(len(rows))
            return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

        optimise(
            model,
            loss,
            len(data),
            epochs=epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            title="small-clip",
            progress=progress,
        )
        return pair

    def config(self, vocabulary: int) -> dict[str, Any]:
        """Return open_clip's model configuration."""
        return {
            "embed_dim": self.width,
            "vision_cfg": {
                "image_size": SIDE,
                "patch_size": PATCH,
                "layers": self.depth,
                "width": self.width,
                "head_width": self.head_width,
            },
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": vocabulary,
                "layers": self.depth,
                "width": self.width,
                "heads": self.width // self.head_width,
            },
        }


class Pair:
    """A CLIP of open_clip with its tokenizer."""

    def __init__(self, config: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
        """Make a CLIP of random weights."""
        self.config = config
        self.tokenizer = tokenizer
        self.model: Any = open_clip.CLIP(**config)
        with torch.no_grad():
            self.model.visual.positional_embedding.copy_(sine_positions(SIDE // PATCH, config["vision_cfg"]["width"]))

    def save(self, folder: Path) -> None:
        """Write what open_clip reads as `local-dir:FOLDER`."""
        # open_clip looks for a tokenizer in the folder itself whenever a name is given.
        text = {**self.config["text_cfg"], "hf_tokenizer_name": "local"}
        images = {"mean": list(MEAN), "std": list(STD), "interpolation": "bicubic", "resize_mode": "shortest"}
        written = {"model_cfg": {**self.config, "text_cfg": text}, "preprocess_cfg": images}
        (folder / "open_clip_config.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
        weights = {name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
        save_file(weights, folder / "open_clip_model.safetensors")
        self.tokenizer.save_pretrained(folder)


def encode_text(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Do what `model.encode_text` does, on the longest caption of the batch instead of the full context.

    Attention is causal, so that what follows the end of a caption cannot change it; this saves half of the work.
    """
    length = int(ids.argmax(1).max()) + 1
    ids = ids[:, :length]
    tokens = model.token_embedding(ids) + model.positional_embedding[:length]
    tokens = model.transformer(tokens, attn_mask=model.attn_mask[:length, :length])
    return text_global_pool(model.ln_final(tokens), ids, "argmax") @ model.text_projection
