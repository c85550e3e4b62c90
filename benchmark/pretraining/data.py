"""What the small encoders are trained on: scenes and blooms of seeds that no evaluation set uses."""

from dataclasses import dataclass
from functools import cache as remembered
from pathlib import Path

import numpy as np
import torch

from benchmark.catalog import DatasetCard, find_card
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.datasets.blooms import FACTORS as BLOOM_FACTORS
from benchmark.datasets.scenes import FACTORS as SCENE_FACTORS
from benchmark.errors import InputError

MEAN = STD = (0.5, 0.5, 0.5)
"""Pixels of 0..1 are normalised by these in training, and by every library that loads a checkpoint."""
SIDE, PATCH = 48, 8
"""Sides of an image and of a patch, in pixels."""
SOURCES = {"scenes-pretrain": 5, "blooms-pretrain": 2}
"""Dataset cards and their shares of the samples."""
LABELS = {"scenes-pretrain": ("shape", "colour"), "blooms-pretrain": ("colour", "petal_shape")}
"""The two factors whose combination is an image's one class."""


@dataclass(frozen=True)
class PretrainingSet:
    """N images with a caption and a class each, in a fixed order."""

    images: torch.Tensor
    """(N, 3, 48, 48) uint8."""
    captions: list[str]
    labels: torch.Tensor
    """(N,) int64: the main shape with its colour, or the colour and shape of the petals."""
    classes: tuple[str, ...]
    """What each label stands for."""

    def __len__(self) -> int:
        return len(self.captions)


@remembered
def load_pretraining(samples: int, cache: Path, progress: bool = True) -> PretrainingSet:
    """Return the first samples of scenes-pretrain and blooms-pretrain (5 : 2), `samples` in all, kept in memory.

    Raises InputError if `samples` is too small for both or larger than both hold.
    """
    total = sum(SOURCES.values())
    counts = {name: samples * share // total for name, share in SOURCES.items()}
    images: list[torch.Tensor] = []
    captions: list[str] = []
    labels: list[torch.Tensor] = []
    classes: list[str] = []
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"pretraining needs at least {total} samples, not {samples}.")
        size = find_card(DatasetCard, name).size
        if count > size:
            raise InputError(f"pretraining on {samples} samples needs {count} of {name}, which has {size}.")
        dataset = load_dataset(name, count, cache, progress)
        names, numbers = _classes(name, dataset)
        images.append(pixels(dataset))
        captions += dataset.captions()
        labels.append(numbers + len(classes))
        classes += names
    return PretrainingSet(torch.cat(images), captions, torch.cat(labels), tuple(classes))


def pixels(dataset: PairedDataset) -> torch.Tensor:
    """Return the images of a procedural dataset, (N, 3, 48, 48) uint8."""
    stacked = np.stack([np.asarray(dataset[i].image) for i in range(len(dataset))])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Turn uint8 images into the float32 that the models read."""
    return (images.float() / 255 - MEAN[0]) / STD[0]


def _classes(name: str, dataset: PairedDataset) -> tuple[list[str], torch.Tensor]:
    """Return the class names of one source and each sample's class."""
    factors = SCENE_FACTORS if name.startswith("scenes") else BLOOM_FACTORS
    first, second = LABELS[name]
    names = [f"{a} {b}" for a in factors[first] for b in factors[second]]
    number = {label: i for i, label in enumerate(names)}
    assert dataset.factors is not None  # both sources are procedural
    pairs = zip(dataset.factors[first], dataset.factors[second], strict=True)
    return names, torch.tensor([number[f"{a} {b}"] for a, b in pairs])
