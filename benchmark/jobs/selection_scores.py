"""Scores of image-text pairs: what each adds to the mean cross-modal wMPPC of a suite's encoders."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.features import Features
from benchmark.jobs.experiment import Material
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.sides import Side, loaded_pairs
from benchmark.metrics import chance_both, contributions, crossfit_both

Array = NDArray[np.float64]
PARTS = ("image_to_text", "text_to_image")


class Scored(NamedTuple):
    """Contributions of the compared samples, and the values that they contribute to."""

    samples: pd.DataFrame
    """One row per compared sample, in order: contribution, image_to_text, text_to_image, agreement, group_contribution
    and spread, all as changes of a mean wMPPC times the number of samples."""
    pairs: pd.DataFrame
    """One row per image encoder, text encoder and their seeds."""
    interval: tuple[float, float]
    """95 % interval of the mean cross-modal wMPPC; groups of samples are resampled."""
    of_seeds: list[Array]
    """Contributions under each position of the seeds alone."""
    of_encoders: Mapping[tuple[str, str], Array]
    """Contributions of each image encoder with each text encoder alone."""


def cross_pairs(material: Material) -> list[tuple[str, str]]:
    """Return every image encoder with every text encoder."""
    modality = {name: card.modality for name, card in material.encoders.items()}
    return [(a, b) for a in modality if modality[a] == "image" for b in modality if modality[b] == "text"]


def loaded_cross_pairs(
    material: Material, seeds: Sequence[tuple[int, int]]
) -> Iterator[tuple[Side, Side, list[Features], list[Features]]]:
    """Yield every image encoder with every text encoder under some pairs of seeds, with the compared features."""
    sides = [((a, s), (b, t)) for a, b in cross_pairs(material) for s, t in seeds]
    for a, b, left, right in loaded_pairs(
        sides, material.sides, material.compared, min_count=material.plan.suite.min_count, budget=memory_budget("cpu")
    ):
        yield a, b, list(left.values()), list(right.values())


def scores(material: Material) -> Scored:
    """Return the contribution of every compared sample, averaged over encoders, seeds and both directions."""
    suite, seeds = material.plan.suite, material.plan.suite.seeds
    n, folds = len(material.compared), suite.folds
    groups = np.unique(material.dataset.groups[material.compared], return_inverse=True)[1].astype(np.int64)
    sizes = np.bincount(groups)
    grouped = bool((sizes > 1).any())
    sums = {name: np.zeros(n) for name in (*PARTS, "agreement")}
    by_seeds: dict[tuple[int, int], Array] = {}
    by_encoders: dict[tuple[str, str], Array] = {}
    whole, table, drawn = np.zeros(len(sizes)), [], []
    combinations = [(s, t) for s in seeds for t in seeds]
    total = len(cross_pairs(material)) * len(combinations)
    with tqdm(total=total, desc="contributions", unit="pair", mininterval=0.5) as bar:
        for a, b, left, right in loaded_cross_pairs(material, combinations):
            found = contributions(left, right, folds=folds)
            both = found[0].change + found[1].change
            for name, part in zip(PARTS, found, strict=True):
                sums[name] += n * part.change / total
                sums["agreement"] += n * part.agreement / (2 * total)
            of_groups = contributions(left, right, folds=folds, units=groups) if grouped else found
            whole += n * (of_groups[0].change + of_groups[1].change) / (2 * total)
            by_seeds[a[1], b[1]] = by_seeds.get((a[1], b[1]), np.zeros(n)) + both
            by_encoders[a[0], b[0]] = by_encoders.get((a[0], b[0]), np.zeros(n)) + both
            fits = crossfit_both(left, right, folds=folds)
            drawn.append((fits[0].draws + fits[1].draws) / 2)
            row = {"image": a[0], "text": b[0], "image_seed": a[1], "text_seed": b[1], "n_samples": n}
            # Chance levels are those of the naive values; one pair of seeds shows them.
            levels = chance_both(left, right, permutations=suite.permutations) if a[1] == b[1] == seeds[0] else None
            for i, (name, fit) in enumerate(zip(PARTS, fits, strict=True)):
                row |= {name: fit.value, f"{name}_low": fit.low, f"{name}_high": fit.high}
                row |= {
                    f"{name}_naive": levels[i].naive if levels else np.nan,
                    f"{name}_chance": levels[i].null.mean() if levels and suite.permutations else np.nan,
                }
            table.append(row)
            bar.update()
    frame = pd.DataFrame(sums)
    frame.insert(0, "contribution", (frame.image_to_text + frame.text_to_image) / 2)
    frame["group_contribution"] = (whole / sizes)[groups]
    per_seeds = n * np.stack(list(by_seeds.values())) * len(combinations) / (2 * total)
    frame["spread"] = per_seeds.std(0, ddof=1) if len(per_seeds) > 1 else np.nan
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    alone = [by_seeds[s, s] for s in seeds]
    return Scored(frame, pd.DataFrame(table), (float(low), float(high)), alone, by_encoders)


def ranked(scored: pd.DataFrame, keep: float) -> pd.DataFrame:
    """Return scores with the columns rank (1: the highest contribution), group_rank and keep (the first share).

    Samples of one group share a group_rank; ties go to the sample that comes first.
    """
    order = np.argsort(-scored.contribution.to_numpy(), kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    group_rank = scored.group_contribution.rank(method="dense", ascending=False).astype(np.int64)
    return scored.assign(rank=rank, group_rank=group_rank, keep=rank <= round(keep * len(order)))
