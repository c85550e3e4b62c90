"""Are wrong pairs found? Captions are moved among a share of the samples, and every score has to tell which."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student
from tqdm import tqdm

from benchmark.datasets import PairedDataset
from benchmark.jobs.experiment import Material
from benchmark.jobs.pair_similarity import contrastive_pairs, embeddings
from benchmark.jobs.selection_scores import cross_pairs, loaded_cross_pairs
from benchmark.jobs.train_encoder import activations_of
from benchmark.jobs.validation_scores import auc
from benchmark.metrics import contributions
from benchmark.metrics.cka_contribution import cka_contributions
from benchmark.metrics.mismatches import Moved, moved_captions, with_rows_of

ALL = "all"
"""Stands for every encoder: scores averaged over all image and text encoders."""
Array = NDArray[np.float64]
Key = tuple[str, str, str]
"""Image encoder, text encoder, score."""


class Baselines:
    """Scores without SAEs: similarity by the contrastive pairs among the encoders, and linear CKA of activations."""

    def __init__(self, material: Material) -> None:
        """Embed the compared samples with every contrastive pair; activations are those that trained the SAEs."""
        plan, dataset, rows = material.plan, material.dataset, material.compared
        cards = material.encoders
        self.pairs = [(a.name, b.name) for a, b in contrastive_pairs(list(cards.values()))]
        self.vectors = {
            name: embeddings(cards[name], dataset, rows, plan.device) for pair in self.pairs for name in pair
        }
        self.activations: dict[str, Array] = {}
        self.crossed = cross_pairs(material)
        for name in dict.fromkeys(name for pair in self.crossed for name in pair):
            found = activations_of(plan, cards[name], dataset).activations.pooled
            self.activations[name] = np.asarray(found[max(found)][rows], np.float64)

    def scores(self, source: NDArray[np.int64]) -> dict[Key, Array]:
        """Return the scores (N,) of samples that have the captions of samples `source` (N,)."""
        found = {
            (a, b, "similarity"): np.einsum("ne,ne->n", self.vectors[a], self.vectors[b][source]).astype(np.float64)
            for a, b in self.pairs
        }
        for a, b in self.crossed:
            found[a, b, "cka"] = cka_contributions(self.activations[a], self.activations[b][source])[1]
        every = [score for (_, _, name), score in found.items() if name == "cka"]
        return {**found, (ALL, ALL, "cka"): np.mean(every, axis=0)}


def captions_of(dataset: PairedDataset, rows: NDArray[np.int64]) -> list[str]:
    """Return the captions of some samples; their ids where there are none (recorded activations)."""
    texts = dataset.captions() if dataset.has_captions else dataset.ids
    return [texts[i] for i in rows]


def scores_with(material: Material, moves: Mapping[tuple[float, int], Moved]) -> dict[tuple[float, int], dict]:
    """Return {move: {(image, text, score): (N,)}} of contributions where captions have moved.

    Move number d of a share is scored under the seed at position d modulo their number, so that differences between
    moves hold those between SAEs.
    """
    seeds, folds = material.plan.suite.seeds, material.plan.suite.folds
    found: dict[tuple[float, int], dict[Key, Array]] = {move: {} for move in moves}
    used = sorted({draw % len(seeds) for _, draw in moves})
    pairs = cross_pairs(material)
    with tqdm(total=len(moves) * len(pairs), desc="moved captions", unit="score", mininterval=0.5) as bar:
        for a, b, left, right in loaded_cross_pairs(material, [(seeds[i], seeds[i]) for i in used]):
            for move, moved in moves.items():
                if seeds[move[1] % len(seeds)] != a[1]:
                    continue
                there, back = contributions(left, [with_rows_of(f, moved.source) for f in right], folds=folds)
                parts = {
                    "contribution": (there.change + back.change) / 2,
                    "image_to_text": there.change,
                    "text_to_image": back.change,
                    "agreement": (there.agreement + back.agreement) / 2,
                }
                for name, score in parts.items():
                    found[move][a[0], b[0], name] = score
                    every = (ALL, ALL, name)
                    found[move][every] = found[move].get(every, np.zeros(len(score))) + score / len(pairs)
                bar.update()
    return found


def injected(
    material: Material, baselines: Baselines, rates: Sequence[float], draws: int
) -> tuple[pd.DataFrame, dict[str, Array]]:
    """Return how well each score finds moved captions, one row per score, rate and draw; and one draw to look at.

    Columns: image, text, score, rate, draw, auc (the probability that a right pair scores higher than a wrong one),
    precision (share of wrong pairs among as many of the lowest scores as there are wrong pairs), wrong (their number).
    The example holds wrong (1.0, 0.0) and contribution of the samples in the first draw of the middle rate.
    """
    captions = captions_of(material.dataset, material.compared)
    groups = material.dataset.groups[material.compared]
    moves = {
        (rate, draw): moved_captions(captions, groups, rate, np.random.default_rng([draw, round(rate * 1e6)]))
        for rate in rates
        for draw in range(draws)
    }
    found = scores_with(material, moves)
    rows = []
    for (rate, draw), moved in moves.items():
        wrong = moved.wrong
        if not wrong.any() or wrong.all():
            continue  # one caption for all samples, say: there is nothing to find
        chance = np.random.default_rng([draw, 1]).random(len(wrong))
        every = {**found[rate, draw], **baselines.scores(moved.source), (ALL, ALL, "random"): chance}
        for (image, text, name), score in every.items():
            lowest = np.argsort(score, kind="stable")[: wrong.sum()]
            rows.append({
                "image": image, "text": text, "score": name, "rate": rate, "draw": draw,
                "auc": auc(score[~wrong], score[wrong]), "precision": float(wrong[lowest].mean()),
                "wrong": int(wrong.sum()),
            })  # fmt: skip
    middle = (sorted(rates)[len(rates) // 2], 0)
    n = len(captions)
    example = {"wrong": moves[middle].wrong.astype(float), "contribution": n * found[middle][ALL, ALL, "contribution"]}
    columns = ["image", "text", "score", "rate", "draw", "auc", "precision", "wrong"]
    return pd.DataFrame(rows, columns=columns), example


def summarised(table: pd.DataFrame, by: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Return the mean of each measure over draws, with `MEASURE_low` and `MEASURE_high`, and the number of draws.

    Intervals are those of Student's t for the mean (95 %), NaN for a single draw.
    """
    rows = []
    for key, part in table.groupby(list(by), sort=False):
        count = len(part)
        row = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True)) | {"draws": count}
        half = student.ppf(0.975, count - 1) / np.sqrt(count) if count > 1 else np.nan
        for name in measures:
            mean, spread = part[name].mean(), part[name].std(ddof=1)
            row |= {name: mean, f"{name}_low": mean - half * spread, f"{name}_high": mean + half * spread}
        rows.append(row)
    return pd.DataFrame(rows)
