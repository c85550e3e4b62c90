"""SimCLR (Chen et al. 2020, arXiv 2002.05709): two views of an image agree, without labels or captions."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from benchmark.pretraining.augment import cropped, jittered
from benchmark.pretraining.data import PretrainingSet, normalised
from benchmark.pretraining.optimise import optimise
from benchmark.pretraining.vision import Vision


@dataclass(frozen=True)
class SelfSupervised:
    """Size of the tower, the views, and how it is trained."""

    width: int = 96
    depth: int = 4
    head_width: int = 24
    projection: int = 64
    smallest_crop: float = 0.5
    jitter: float = 0.3
    temperature: float = 0.15
    batch: int = 128
    learning_rate: float = 1e-3

    def train(self, data: PretrainingSet, epochs: int, progress: bool) -> Vision:
        """Return a trained tower; the projection head is discarded. Seed torch first."""
        vision = Vision(self.width, self.depth, self.head_width, classes=0)
        hidden = 2 * self.width
        head = nn.Sequential(
            nn.Linear(self.width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, self.projection)
        )

        def loss(rows: torch.Tensor) -> torch.Tensor:
            images = normalised(data.images[rows])
            views = torch.cat([jittered(cropped(images, self.smallest_crop), self.jitter) for _ in range(2)])
            return nt_xent(head(vision.cls(views)), self.temperature)

        optimise(
            nn.ModuleList([vision.model, head]),
            loss,
            len(data),
            epochs=epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            title="small-ssl",
            progress=progress,
        )
        return vision


def nt_xent(codes: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the loss of (2B, d) codes whose rows i and i + B are views of one image (equation 1 of SimCLR)."""
    codes = F.normalize(codes, dim=-1)
    logits = codes @ codes.T / temperature
    logits.fill_diagonal_(float("-inf"))
    return F.cross_entropy(logits, torch.arange(len(codes)).roll(len(codes) // 2))
