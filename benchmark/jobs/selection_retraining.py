"""Does filtering help? A small contrastive pair, trained from scratch on subsets of pairs of which many are wrong.

Captions of `RATE` of the compared samples are moved. Subsets of equal size are then chosen by contribution, at random,
by similarity and by an oracle that knows the wrong pairs, and a CLIP of `RECIPE` is trained on each. What it retrieves
among `TESTED` other samples, whose captions are their own, says how good the subset was. Everything is repeated under
every seed: which captions move, which samples are drawn, and the initial weights.

A training takes about 40 seconds of one core (3,600 samples, 20 passes); all of them `SEEDS` times 5 of these.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset
from benchmark.errors import InputError
from benchmark.jobs.experiment import Material
from benchmark.jobs.selection_injection import ALL, Baselines, captions_of, scores_with
from benchmark.jobs.selection_scores import cross_pairs
from benchmark.metrics.mismatches import Moved, moved_captions

if TYPE_CHECKING:
    import torch

    from benchmark.pretraining.contrastive import Pair

RATE = 0.4
"""Share of captions that are moved."""
POOL = 6000
"""Samples to choose from, at most."""
TESTED = 1000
"""Samples that nothing is trained on, at most; a quarter of the compared ones where there are few."""
SEEDS = 3
EPOCHS = 20
RECIPE = {"width": 48, "depth": 2}
"""Half as wide and deep as the pair that ships with the project: a sixth of the time."""
LEAST = 400
"""Compared samples below which nothing can be learned."""


def check_retraining(material: Material) -> None:
    """Raise InputError, before anything is scored, where there are too few samples, or no images or captions."""
    for modality in ("image", "text"):
        material.dataset.require(modality)
    if len(material.compared) < LEAST:
        raise InputError(f"retraining needs at least {LEAST} compared samples, got {len(material.compared)}.")


def retrained(material: Material, baselines: Baselines) -> pd.DataFrame:
    """Return one row per seed and subset: size, wrong (share of wrong pairs in it), tested, r1, r10 and mrr.

    The measures are means over both directions of retrieval among the tested samples.
    """
    import torch

    from benchmark.encoders.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    from benchmark.pretraining.contrastive import Contrastive
    from benchmark.pretraining.data import PretrainingSet

    dataset, rows = material.dataset, material.compared
    tested, pool = split(dataset, rows)
    images, captions = pixels(dataset, rows), captions_of(dataset, rows)
    groups = dataset.groups[rows]
    moves = {
        (RATE, seed): moved_captions(captions, groups, RATE, np.random.default_rng([seed, 2])) for seed in range(SEEDS)
    }
    found = scores_with(material, moves)
    table = []
    for (_, seed), moved in moves.items():
        given = [captions[i] for i in moved.source]
        scores = {"contribution": found[RATE, seed][ALL, ALL, "contribution"], **_apart(material, found[RATE, seed])}
        for (*_, name), score in baselines.scores(moved.source).items():
            if name == "similarity":
                scores[name] = score
        for subset, chosen in subsets(moved, pool, scores, np.random.default_rng([seed, 3])).items():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                labels = torch.zeros(len(chosen), dtype=torch.long)
                data = PretrainingSet(images[chosen], [given[i] for i in chosen], labels, ("none",))
                pair = Contrastive(**RECIPE).train(data, EPOCHS, progress=True)
            shown = [captions[i] for i in tested]
            measured = retrieval(*embedded(pair, images[tested], shown), shown)
            wrong = float(moved.wrong[chosen].mean())
            about = {"seed": seed, "subset": subset, "size": len(chosen), "wrong": wrong, "tested": len(tested)}
            table.append({**about, **measured})
    return pd.DataFrame(table)


def split(dataset: PairedDataset, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return positions among `rows` that are tested, and those to choose from: no group is in both."""
    groups = np.unique(dataset.groups[rows], return_inverse=True)[1]
    order = np.argsort(np.random.default_rng(0).permutation(groups.max() + 1)[groups], kind="stable")
    tested = order[: min(TESTED, len(rows) // 4)]
    pool = order[len(tested) :]
    return np.sort(tested), np.sort(pool[~np.isin(groups[pool], groups[tested])][:POOL])


def subsets(
    moved: Moved, pool: NDArray[np.int64], scores: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Return subsets of the pool as large as its right pairs are many: the best of each score, random and oracle."""
    right = pool[~moved.wrong[pool]]
    chosen = {
        name: np.sort(pool[np.argsort(-score[pool], kind="stable")[: len(right)]]) for name, score in scores.items()
    }
    return {**chosen, "random": np.sort(rng.permutation(pool)[: len(right)]), "oracle": right}


def _apart(material: Material, found: dict) -> dict[str, NDArray[np.float64]]:
    """Return the contribution over encoders that were not trained together, under its name, if there are any."""
    cards = material.encoders
    scores = [
        found[a, b, "contribution"] for a, b in cross_pairs(material) if not _vlm(cards[a]) and not _vlm(cards[b])
    ]
    return {"contribution, apart": np.mean(scores, axis=0)} if scores else {}


def _vlm(card: EncoderCard) -> bool:
    return card.kind == "vlm"


def pixels(dataset: PairedDataset, rows: NDArray[np.int64]) -> "torch.Tensor":
    """Return images as the small pair reads them, (N, 3, 48, 48) uint8."""
    import torch
    from PIL import Image
    from tqdm import tqdm

    from benchmark.pretraining.data import SIDE

    found = []
    for i in tqdm(rows.tolist(), "images", unit="image", mininterval=0.5, leave=False):
        image = dataset[i].image
        assert image is not None  # checked before anything was trained
        found.append(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


def embedded(
    pair: "Pair", images: "torch.Tensor", captions: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a trained pair makes of images (N, 3, 48, 48) and captions: two arrays (N, e) of length 1."""
    import torch
    import torch.nn.functional as F

    from benchmark.pretraining.contrastive import encode_text
    from benchmark.pretraining.data import normalised

    with torch.no_grad():
        seen = torch.cat([pair.model.encode_image(normalised(part), normalize=True) for part in images.split(250)])
        ids = pair.tokenizer(list(captions), padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
        read = torch.cat([F.normalize(encode_text(pair.model, part), dim=-1) for part in ids.split(250)])
    return seen.double().numpy(), read.double().numpy()


def retrieval(images: NDArray[np.float64], texts: NDArray[np.float64], captions: Sequence[str]) -> dict[str, float]:
    """Return recall at 1 and 10 and the mean reciprocal rank among all N, means of both directions.

    Another sample with the same caption is no mistake: it is left out of the ranks.
    """
    similarity = images @ texts.T
    text = np.unique(np.asarray(captions, dtype=object).astype(str), return_inverse=True)[1]
    same = text[:, None] == text[None]
    found = []
    for view in (similarity, similarity.T):
        own = view.diagonal()[:, None]
        rank = ((view >= own) & ~same).sum(1)  # a tie counts against it: equal vectors for all samples find nothing
        found.append(((rank < 1).mean(), (rank < 10).mean(), (1 / (rank + 1)).mean()))
    return {name: float(value) for name, value in zip(("r1", "r10", "mrr"), np.mean(found, axis=0), strict=True)}
