"""A vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) trained as a classifier of one label per image."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmark.pretraining.augment import flipped, jittered
from benchmark.pretraining.data import PretrainingSet, normalised
from benchmark.pretraining.optimise import optimise
from benchmark.pretraining.vision import Vision


@dataclass(frozen=True)
class Supervised:
    """Size of the tower and how it is trained."""

    width: int = 96
    depth: int = 4
    head_width: int = 24
    batch: int = 32
    learning_rate: float = 1e-3
    jitter: float = 0.1

    def train(self, data: PretrainingSet, epochs: int, progress: bool) -> Vision:
        """Return a trained classifier. Seed torch first."""
        vision = Vision(self.width, self.depth, self.head_width, len(data.classes))

        def loss(rows: torch.Tensor) -> torch.Tensor:
            images = jittered(flipped(normalised(data.images[rows])), self.jitter)
            return F.cross_entropy(vision.model(images), data.labels[rows], label_smoothing=0.05)

        optimise(
            vision.model,
            loss,
            len(data),
            epochs=epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            title="small-vit",
            progress=progress,
        )
        return vision
