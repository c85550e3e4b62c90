"""How well Comparative Sharedness finds the features that were planted as "shared with G, absent from H"."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.features import SparseFeatures
from benchmark.jobs.validation_scores import auc
from benchmark.jobs.validation_worlds import CONDITIONS, in_threads
from benchmark.metrics import comparative_sharedness, held_out_rho
from benchmark.worlds import WorldConfig, make_worlds

KINDS: dict[str, tuple[float, tuple[int, int, int, int]]] = {
    "G only": (0.1, (1, 1, 0, 0)),
    "H only": (0.1, (0, 0, 1, 1)),
    "G and H": (0.2, (1, 1, 1, 1)),
    "one of G": (0.1, (1, 0, 0, 0)),
    "G and one of H": (0.1, (1, 1, 1, 0)),
    "nowhere": (0.4, (0, 0, 0, 0)),
}
"""Kind of feature -> (its share of the source's features, which of G1, G2, H1, H2 have it)."""
WANTED = "G only"
TOP = 0.01
"""Share of features that the paper looks at."""


def sharedness_grid(samples: Sequence[int], seeds: Sequence[int], base: WorldConfig, *, folds: int = 5) -> pd.DataFrame:
    """Plant a source and four targets and rank its features; returns one row per world and ranking.

    Rankings: Delta as defined, the same without S, and both with cross-fitted rho. Columns: fidelity, n_samples, seed,
    ranking, auc (with which "G only" features rank above all others), precision (share of them among the top 1 %) and
    base (their share among all features).
    """
    weak = replace(base, fidelity=CONDITIONS["weak"].world["fidelity"])
    cells = [(config, n, seed) for config in (base, weak) for n in samples for seed in seeds]

    def work(cell: tuple[WorldConfig, int, int]) -> list[dict[str, Any]]:
        config, n, seed = cell
        kind = planted_kinds(config.n_latents, seed)
        presence = np.array([which for _, which in KINDS.values()], bool)[kind]
        made = make_worlds(config, n, [np.flatnonzero(column) for column in presence.T], seed)
        wanted = kind == list(KINDS).index(WANTED)
        scores = rankings(made[0].source, [world.target for world in made], folds)
        about = {"fidelity": config.fidelity, "n_samples": n, "seed": seed}
        return [about | {"ranking": name} | quality(score, wanted) for name, score in scores.items()]

    return pd.DataFrame([row for rows in in_threads(work, cells, "sharedness") for row in rows])


def planted_kinds(m: int, seed: int) -> NDArray[np.int64]:
    """Return the kind of each source feature, (m,) positions in KINDS, in their shares and random order."""
    ends = np.round(np.cumsum([share for share, _ in KINDS.values()]) * m).astype(np.int64)
    kinds = np.repeat(np.arange(len(KINDS)), np.diff(ends, prepend=0))
    return np.random.default_rng([seed, 3]).permutation(kinds)


def rankings(source: SparseFeatures, targets: Sequence[SparseFeatures], folds: int) -> dict[str, NDArray[np.float64]]:
    """Return the score of every source feature in each ranking; targets are two of G, then two of H."""
    found = comparative_sharedness(source, targets[:2], targets[2:])
    fair = np.stack([np.maximum(held_out_rho(source, target, folds=folds), 0) for target in targets]) ** 2
    plain, fair_plain = found.rho_shared**2 - found.rho_absent**2, fair[:2].min(0) - fair[2:].max(0)
    return {
        "Delta": found.delta,
        "without S": plain,
        "Delta, cross-fitted": found.weights * fair_plain,
        "without S, cross-fitted": fair_plain,
    }


def quality(score: NDArray[np.float64], wanted: NDArray[np.bool_]) -> dict[str, float]:
    """Return the AUC of a score (m,) for the wanted features, their share among its top 1 %, and among all."""
    top = np.argsort(-score, kind="stable")[: max(round(TOP * len(score)), 1)]
    return {
        "auc": auc(score[wanted], score[~wanted]),
        "precision": float(wanted[top].mean()),
        "base": float(wanted.mean()),
    }
