"""What a train run keeps for people who look at its features: their samples, captions and thumbnails.

At COCO's size, 118,287 samples and 8,192 features a layer, the tables of a layer take 1 MB and 2 seconds to make. A run
has at most 30,000 thumbnails however many layers it has: 30 to 45 MB, and a minute of one core to make.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.datasets import PairedDataset
from benchmark.features import load_features
from benchmark.jobs.feature_levels import feature_levels, feature_summary
from benchmark.jobs.thumbnails import thumbnails
from registry.queries import feature_path
from registry.samples import SAMPLES, THUMBNAILS, samples_path, summary_path

LETTERS = 200
"""Letters that are kept of a caption."""
IMAGES = 30_000
"""Thumbnails of a run, at most: those of the strongest samples of every feature first."""
ROW_GROUP = 256
"""Thumbnails that are read together: a reader of a few of them need not read the file."""


def log_feature_samples(folder: Path, layers: Iterable[int], dataset: PairedDataset) -> None:
    """Write the samples, summaries, captions and thumbnails of the features that a train run's folder holds.

    The features of one layer are in memory at a time; they are read from the folder, so that samples belong to the
    features that were recorded (rounded, and without TopK where the suite says so). `registry.feature_samples` reads
    what is written. Raises WorkError where an image of the dataset changed since it was scanned.
    """
    urgency = np.full(len(dataset), np.iinfo(np.int16).max, np.int16)
    for layer in layers:
        features = load_features(folder / feature_path(layer))
        levels = feature_levels(features)
        _write(levels, folder / samples_path(layer))
        _write(feature_summary(features), folder / summary_path(layer))
        # The first sample of a quarter is as urgent as the third of the top.
        later = np.where(levels.level == "top", levels["rank"], levels["rank"] + 2)
        np.minimum.at(urgency, levels.row.to_numpy(), later.astype(np.int16))
    rows = np.flatnonzero(urgency < np.iinfo(np.int16).max)
    captions = dataset.captions() if dataset.has_captions else None
    samples = pd.DataFrame({
        "row": rows.astype(np.int32),
        "id": [dataset.ids[i] for i in rows],
        "group": dataset.groups[rows],
        "caption": [cut(captions[i]) if captions else "" for i in rows],
        "image": np.full(len(rows), -1, np.int32),
    })  # fmt: skip
    if dataset.has_images:
        numbers = dataset.image_numbers[rows]
        chosen = _most_urgent(numbers, urgency[rows])
        samples["image"] = np.where(np.isin(numbers, list(chosen)), numbers, -1).astype(np.int32)
        small = thumbnails(dataset, {number: int(rows[at]) for number, at in chosen.items()})
        table = pd.DataFrame({"image": np.array(list(small), np.int32), "jpeg": list(small.values())})
        _write(table, folder / THUMBNAILS, row_group_size=ROW_GROUP)
    _write(samples, folder / SAMPLES)


def cut(caption: str) -> str:
    """Return a caption of at most `LETTERS` letters, with an ellipsis where something is missing."""
    return caption if len(caption) <= LETTERS else f"{caption[: LETTERS - 1]}…"


def _most_urgent(numbers: NDArray[np.int64], urgency: NDArray[np.int16]) -> dict[int, int]:
    """Return number -> position of a sample for at most `IMAGES` images, by ascending number."""
    order = np.argsort(urgency, kind="stable")
    found, first = np.unique(numbers[order], return_index=True)
    kept = np.sort(np.argsort(first, kind="stable")[:IMAGES])
    return dict(zip(found[kept].tolist(), order[first[kept]].tolist(), strict=True))


def _write(table: pd.DataFrame, path: Path, row_group_size: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False, compression="zstd", row_group_size=row_group_size)
