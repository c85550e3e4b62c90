"""How good a trained encoder is: linear probes of the planted factors, and retrieval for the image-text pair."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.encoders import Encoder, load_encoder

PROBED = {
    "scenes": ("shape", "colour", "size", "count", "relation", "shape2", "colour2", "place", "texture", "level"),
    "blooms": ("growth", "colour", "petals", "petal_shape", "centre", "leaf", "stem", "background"),
}
"""The factors that are probed; the last ones of each (texture and level, background) are in no caption."""
PROBE_SAMPLES = 4000
"""Samples of each evaluation set that train and test the probes (halves)."""
PAIRS = 1000
"""Candidates of the retrieval."""
BATCH = 250

Probes = dict[str, dict[str, list[float]]]


def probe(card: EncoderCard, cache: Path, progress: bool = True) -> Probes:
    """Return {evaluation set: {factor: [accuracy, majority]}} of the card's last global token.

    Accuracy is that of a logistic regression trained on one half of the samples and tested on the other; majority is
    the share of the most frequent value of the tested half, what a probe reaches without looking.
    """
    encoder = load_encoder(card)
    results: Probes = {}
    for name, factors in PROBED.items():
        dataset = load_dataset(name, PROBE_SAMPLES, cache, progress)
        assert dataset.factors is not None  # both are procedural
        vectors = last_tokens(encoder, dataset)
        planted = {factor: dataset.factors[factor].to_numpy(dtype=str) for factor in factors}
        results[name] = {
            factor: [round(share, 3) for share in probe_factor(vectors, values, dataset.heldout)]
            for factor, values in planted.items()
        }
    return results


def probe_factor(vectors: np.ndarray, values: np.ndarray, tested: np.ndarray) -> tuple[float, float]:
    """Return (accuracy, majority rate) of a linear probe; vectors (N, d), values (N,), tested (N,) bool."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=300))
    model.fit(vectors[~tested], values[~tested])
    _, counts = np.unique(values[tested], return_counts=True)
    return float(model.score(vectors[tested], values[tested])), float(counts.max() / counts.sum())


def last_tokens(encoder: Encoder, dataset: PairedDataset) -> np.ndarray:
    """Return the global tokens of the encoder's last layer, (N, d) float32, in the dataset's order."""
    items: Sequence[Any] = dataset.captions()
    if encoder.modality == "image":
        items = [dataset[i].image for i in range(len(dataset))]
    last = encoder.layers[-1]
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    return torch.cat([encoder.run(batch, [last])[last].pooled for batch in batches]).numpy()


def retrieval(folder: Path, dataset: PairedDataset) -> dict[str, float]:
    """Return recall at 1, among all of `dataset`, of the open_clip pair in `folder`: captions by image and back."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name = f"local-dir:{folder.resolve()}"
    model: Any = open_clip.create_model(name).eval()
    transform: Any = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    images = torch.stack([transform(dataset[i].image) for i in range(len(dataset))])
    with torch.no_grad():
        seen = F.normalize(model.encode_image(images), dim=-1)
        read = F.normalize(model.encode_text(open_clip.get_tokenizer(name)(dataset.captions())), dim=-1)
    similarity = seen @ read.T
    own = torch.arange(len(dataset))
    return {
        "image_to_text_r1": round((similarity.argmax(1) == own).float().mean().item(), 3),
        "text_to_image_r1": round((similarity.argmax(0) == own).float().mean().item(), 3),
    }


def held_out_pairs(cache: Path, progress: bool = True) -> PairedDataset:
    """Return the scenes that retrieval is measured on: the first PAIRS of the evaluation set."""
    return load_dataset("scenes", PAIRS, cache, progress)
