"""The same features on other data: SAEs trained on one dataset, applied to the samples of another.

SAEs of different datasets have different features, so what is compared feature by feature is one dictionary on two
datasets: are its most shared features still the most shared ones there, and do its features keep their partners?
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.features import Features
from benchmark.jobs.experiment import Material
from benchmark.jobs.kinds_beside import kinds_beside
from benchmark.jobs.matrix import FOLD_SEED
from benchmark.jobs.train_encoder import activations_of
from benchmark.metrics import (
    TopAgreement,
    correlation_with,
    crossfit_both,
    held_out_rho_both,
    max_correlation,
    squares_apart,
    top_agreement,
    wmppc,
)
from benchmark.sae.reconstruction import baseline, reconstruction

Rho = dict[tuple[str, str], NDArray[np.float64]]
"""(source, target) -> (m,) held-out correlations."""


class Applied(NamedTuple):
    """An SAE on another dataset."""

    features: Features
    fvu: float
    """Fraction of variance unexplained there."""


def transfers(
    materials: Sequence[Material], rows: Sequence[NDArray[np.int64]], names: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what is left of kinds and partners of features on other data.

    Returns:
        `transfer`, one row per trained_on, applied_to, encoder and seed: fvu and fvu_there (held-out samples of either
        dataset), live_there (share of the features live on the first that are live on the second), and for the encoders
        with both kinds beside them the share of the top 1 % by Delta that is on top there too, share_by_chance (given
        S), p_value, correlation (Spearman's, of Delta), and split_half, that share between two halves of the first
        dataset's own samples: what half as many samples let agree.
        `partners`, one row per trained_on, applied_to, source, target and seed: own (cross-fitted on the first),
        refitted (cross-fitted on the second: partners chosen anew there) and kept (on the second, partners chosen on
        the first).
    """
    transfer: list[dict[str, Any]] = []
    partners: list[dict[str, Any]] = []
    kinds = kinds_beside(materials[0].encoders, names)
    seeds = materials[0].plan.suite.seeds
    ways = list(itertools.permutations(range(len(materials)), 2))
    with tqdm(total=len(ways) * len(seeds) * len(names), desc="transfer", unit="SAE", mininterval=0.5) as bar:
        for i, j in ways:
            here, there = materials[i], materials[j]
            between = {"trained_on": here.dataset.name, "applied_to": there.dataset.name}
            vectors = {name: _vectors(there, name) for name in names}
            for seed in seeds:
                own = {name: here.load_layer(name, seed, rows=rows[i]) for name in names}
                applied = {}
                for name in names:
                    applied[name] = _apply(here, name, seed, vectors[name], there, rows[j])
                    bar.update()
                other = {name: item.features for name, item in applied.items()}
                for row in _partners(own, other, here.plan.suite.folds):
                    partners.append({**between, "seed": seed, **row})
                half = rows[i][::2], rows[i][1::2]
                halves = [{name: here.load_layer(name, seed, rows=part) for name in names} for part in half]
                rho, rho_there, *of_halves = (_rho(f, here.plan.suite.folds) for f in (own, other, *halves))
                for name in names:
                    live = own[name].weights > 0
                    row = {
                        **between, "encoder": name, "seed": seed, "fvu": _fvu(here, name, seed),
                        "fvu_there": applied[name].fvu, "live_there": float((other[name].weights > 0)[live].mean()),
                    }  # fmt: skip
                    if name in kinds:
                        found = _top(kinds[name], name, (rho, rho_there), (own, other))
                        split = _top(kinds[name], name, tuple(of_halves), tuple(halves))
                        row |= {
                            "share": found.share, "share_by_chance": found.by_chance, "p_value": found.p_value,
                            "correlation": found.correlation, "split_half": split.share,
                        }  # fmt: skip
                    transfer.append(row)
    return pd.DataFrame(transfer), pd.DataFrame(partners)


def _vectors(material: Material, name: str) -> NDArray[np.float32]:
    """Return the global vectors (N, d) of an encoder's last layer on a dataset, from the cache or extracted again."""
    found = activations_of(material.plan.here(), material.encoders[name], material.dataset)
    return found.activations.pooled[max(found.widths)]


def _apply(
    here: Material, name: str, seed: int, vectors: NDArray[np.float32], there: Material, rows: NDArray[np.int64]
) -> Applied:
    """Return what the SAE of one dataset makes of the samples of another."""
    import registry

    saes = pd.read_parquet(here.run_of(name, seed).folder / "saes.parquet")
    sae = registry.load_sae(str(saes.model_uri[saes.layer == saes.layer.max()].iloc[0]))
    taken = np.asarray(vectors[rows])
    about, codes = (there.dataset.fingerprint, there.dataset.groups[rows]), here.plan.suite.codes
    topk = sae.features(taken, *about).rounded()
    features: Features = topk if codes == "topk" else sae.features(taken, *about, codes=codes).rounded()
    found = reconstruction(sae, taken, topk, measured_against=baseline(taken))
    return Applied(features.without_rare(here.plan.suite.min_count), found.fvu)


def _fvu(material: Material, name: str, seed: int) -> float:
    saes = pd.read_parquet(material.run_of(name, seed).folder / "saes.parquet")
    return float(saes.fvu[saes.layer == saes.layer.max()].iloc[0])


def _rho(features: dict[str, Features], folds: int) -> Rho:
    found: Rho = {}
    for a, b in itertools.combinations(features, 2):
        found[a, b], found[b, a] = held_out_rho_both(features[a], features[b], folds=folds, seed=FOLD_SEED)
    return found


def _partners(own: dict[str, Features], other: dict[str, Features], folds: int) -> list[dict[str, Any]]:
    """Return own, refitted and kept value of every pair of encoders, both ways."""
    rows = []
    for a, b in itertools.combinations(own, 2):
        here = crossfit_both(own[a], own[b], folds=folds, seed=FOLD_SEED, resamples=0)
        there = crossfit_both(other[a], other[b], folds=folds, seed=FOLD_SEED, resamples=0)
        chosen = max_correlation(own[a], own[b])
        for way, (source, target, partner) in enumerate(((a, b, chosen.source_match), (b, a, chosen.target_match))):
            kept = correlation_with(other[source], other[target], partner)
            rows.append({
                "source": source, "target": target, "own": here[way].value, "refitted": there[way].value,
                "kept": wmppc(kept, other[source].weights),
            })  # fmt: skip
    return rows


def _top(
    kinds: tuple[list[str], list[str]], name: str, rho: Sequence[Rho], features: Sequence[dict[str, Features]]
) -> TopAgreement:
    """Return how far the top features of one dictionary agree between two sets of samples."""
    difference = [squares_apart(*([found[name, other] for other in group] for group in kinds)) for found in rho]
    weights = [side[name].weights for side in features]
    itself = np.arange(len(weights[0]))
    return top_agreement((difference[0], difference[1]), (weights[0], weights[1]), itself)
