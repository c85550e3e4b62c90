"""What the samples of a dataset say of features: words of captions, and images as a contrastive pair reads them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.catalog import EncoderCard, find_card
from benchmark.datasets import PairedDataset
from benchmark.errors import InputError
from benchmark.jobs import keys
from benchmark.jobs.plan import Plan
from benchmark.jobs.results import CACHE
from benchmark.metrics.naming import Evidence
from benchmark.metrics.phrases import terms
from benchmark.metrics.soft_wpmi import ImageWords, word_probabilities

NONE = "none"
"""Value of the parameter `pair` for names from captions alone."""
IMAGES, CANDIDATES = 16_384, 8_192
"""Images that the pair reads, and candidates that it scores, at most: half a gigabyte of probabilities."""
TEXTS = 256
"""Candidates that the text tower reads at a time."""


@dataclass(frozen=True)
class Half:
    """One half of the groups of samples: names are chosen on one and tested on the other."""

    rows: NDArray[np.int64]
    """Its samples in the dataset."""
    groups: NDArray[np.int64]
    """Group 0..G-1 of each."""
    evidence: Evidence


@dataclass(frozen=True)
class Samples:
    """Both halves, and the candidates for names."""

    names: list[str]
    chosen_on: Half
    tested_on: Half
    pair: str
    """Encoder card whose checkpoint read the images, "" for names from captions alone."""


def pair_card(choice: str, dataset: PairedDataset, encoders: dict[str, EncoderCard]) -> EncoderCard | None:
    """Return the card of one tower of the pair that reads the images; None: names come from captions alone.

    choice: the parameter `pair`: a card of open_clip, `none`, or "" for the first of the suite's encoders that is one.
    Raises InputError for a card that is unknown or not of open_clip, and for data without images.
    """
    if choice == NONE or not choice and not dataset.has_images:
        return None
    if choice:
        dataset.require("image")
        return checked_pair(choice)
    return next((card for card in encoders.values() if card.library == "open_clip"), None)


def checked_pair(choice: str) -> EncoderCard | None:
    """Return the card that the parameter `pair` names, None for "" and `none`; raises InputError where none fits."""
    if choice in ("", NONE):
        return None
    card = find_card(EncoderCard, choice)
    if card.library != "open_clip":
        raise InputError(
            f"pair must be a tower of a contrastive pair of open_clip, but encoder '{card.name}' is of library "
            f"{card.library}; name another one, or none."
        )
    return card


def gather(dataset: PairedDataset, card: EncoderCard | None, plan: Plan) -> Samples:
    """Return the evidence of both halves of a dataset; the held-out half tests.

    Raises InputError for data without captions, or whose captions repeat no word.
    """
    dataset.require("text")
    found = terms(dataset.captions(), **({} if card is None else {"most": CANDIDATES}))
    if not found.names:
        raise InputError(f"no word occurs in five captions of dataset '{dataset.name}'; use more samples.")
    if not 0 < dataset.heldout.sum() < len(dataset):
        raise InputError(f"dataset '{dataset.name}' has too few groups of samples to test names on; use more samples.")
    read = None if card is None else _read(dataset, card, plan, found.names)
    halves = []
    for mask in (~dataset.heldout, dataset.heldout):
        rows = np.flatnonzero(mask)
        seen, images = np.empty(0, np.int64), None
        if read is not None:
            positions, vectors, words = read
            kept = mask[positions]
            seen = np.searchsorted(rows, positions[kept])
            images = ImageWords(word_probabilities(vectors[kept], words))
        groups = np.unique(dataset.groups[rows], return_inverse=True)[1].astype(np.int64)
        halves.append(Half(rows, groups, Evidence(found.matrix[rows], seen, images)))
    chosen_on, tested_on = halves
    return Samples(found.names, chosen_on, tested_on, "" if card is None else card.name)


def _read(
    dataset: PairedDataset, card: EncoderCard, plan: Plan, names: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return the samples whose images are read, ascending, their vectors and those of the candidates."""
    from benchmark.encoders.contrastive import LAYER, load_pair
    from benchmark.jobs.activations import extract

    here = plan.here()
    pair = load_pair(card, here.device, precision=here.precision)
    some = dataset.limited(IMAGES)
    name = keys.content_key({
        "encoder": keys.encoder_identity(pair.image.card), "version": keys.ACTIVATIONS, "embedding": True,
        "samples": some.fingerprint, "content": some.content_hash, "precision": here.precision,
    })  # fmt: skip
    folder = CACHE / "activations" / f"{pair.image.name}-{name}"
    vectors = np.asarray(extract(pair.image, some, [LAYER], folder).pooled[LAYER])
    row = {sample: i for i, sample in enumerate(dataset.ids)}
    batches = [names[start : start + TEXTS] for start in range(0, len(names), TEXTS)]
    read = [
        pair.text.run(batch)[LAYER].pooled.cpu().numpy()
        for batch in tqdm(batches, "candidates", unit="batch", mininterval=0.5)
    ]
    return np.array([row[sample] for sample in some.ids]), vectors, np.concatenate(read)
