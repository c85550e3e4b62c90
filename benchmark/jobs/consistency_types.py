"""The share of an encoder's features that are of a kind, on every dataset.

A feature is of a kind where all encoders of one kind have it more than any of another (Comparative Sharedness above 0).
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.jobs.experiment import Material
from benchmark.jobs.kinds_beside import kinds_beside, preset_of
from benchmark.jobs.matrix import FOLD_SEED
from benchmark.metrics import Estimate, held_out_rho_blocks, positive_share

WEIGHTED = ("weighted_share", "weighted_share_error", "weighted_share_freedom")


def typology(materials: Sequence[Material], rows: Sequence[NDArray[np.int64]], names: Sequence[str]) -> pd.DataFrame:
    """Return the share of each encoder's features that are shared with one kind of encoders more than with another.

    One row per dataset and encoder: shared_with and absent_from (kinds), features (live, mean over seeds), share of
    them with a positive Delta of held-out correlations and weighted_share (by S), each with error, freedom (of the
    error), low, high (95 %: seeds, by their spread, and samples, by the jackknife) and by_chance (over all ways of
    calling as many encoders by either kind), and order, the rank of weighted_share within the dataset (1 the highest).
    Same seed on both sides.
    """
    out = []
    kinds = kinds_beside(materials[0].encoders, names)
    beside = {name: set(with_ + without) for name, (with_, without) in kinds.items()}
    needed = [(a, b) for a, b in itertools.combinations(names, 2) if b in beside.get(a, ()) or a in beside.get(b, ())]
    seeds = materials[0].plan.suite.seeds
    total = len(materials) * len(seeds) * len(needed)
    with tqdm(total=total, desc="typology", unit="pair", mininterval=0.5) as bar:
        for material, chosen in zip(materials, rows, strict=True):
            shares: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
            for seed in seeds:
                features = {name: material.load_layer(name, seed, rows=chosen) for name in names}
                rho: dict[tuple[str, str], NDArray[np.float64]] = {}
                for a, b in needed:
                    rho[a, b], rho[b, a] = held_out_rho_blocks(
                        features[a], features[b], folds=material.plan.suite.folds, seed=FOLD_SEED
                    )
                    bar.update()
                for name, (with_, without) in kinds.items():
                    shared, absent = (np.stack([rho[name, other] for other in group]) for group in (with_, without))
                    weights = features[name].weights
                    found = {
                        "share": positive_share(shared, absent, weights > 0),
                        "weighted_share": positive_share(shared, absent, weights),
                    }
                    shares[name].append({
                        "features": float((weights > 0).sum()),
                        **{f"{key}{part}": getattr(value, field) for key, value in found.items()
                           for part, field in (("", "share"), ("_error", "error"), ("_by_chance", "by_chance"))},
                    })  # fmt: skip
            of_dataset = pd.DataFrame([
                {"dataset": material.dataset.name, "encoder": name,
                 **preset_of(material.encoders[name]), **_joined(pd.DataFrame(found))}
                for name, found in shares.items()
            ])  # fmt: skip
            if len(of_dataset):
                of_dataset["order"] = of_dataset.weighted_share.rank(ascending=False).astype(int)
            out.append(of_dataset)
    return pd.concat(out, ignore_index=True)


def type_differences(found: pd.DataFrame) -> pd.DataFrame:
    """Return how the shares by weight of two datasets differ, from the table of `typology`.

    One row per pair of datasets (first, second) and encoder: difference (second minus first), low, high (95 %), and
    resolved (the interval does not hold 0).
    """
    rows = []
    for first, second in itertools.combinations(dict.fromkeys(found.get("dataset", [])), 2):
        a, b = (found[found.dataset == dataset].set_index("encoder") for dataset in (first, second))
        for name in a.index:
            one, other = (Estimate(*(float(part.loc[name, column]) for column in WEIGHTED)) for part in (a, b))
            gap = other.minus(one)
            low, high = gap.interval()
            rows.append({
                "first": first, "second": second, "encoder": name, "shared_with": a.shared_with[name],
                "absent_from": a.absent_from[name], "difference": gap.value, "low": low, "high": high,
                "resolved": low > 0 or high < 0,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _joined(by_seed: pd.DataFrame) -> dict[str, float]:
    """Return means over seeds, with standard errors and 95 % intervals of seeds (n - 1) and samples."""
    out = {"features": float(by_seed.features.mean())}
    for name in ("share", "weighted_share"):
        of_seeds = float(by_seed[name].var(ddof=1)) / len(by_seed)
        of_samples = float((by_seed[f"{name}_error"] ** 2).mean())  # seeds see the same samples
        variance = of_seeds + of_samples
        # Satterthwaite's degrees of freedom; the samples' share counts as known.
        freedom = (len(by_seed) - 1) * (variance / of_seeds) ** 2 if of_seeds > 0 else np.inf
        found = Estimate(float(by_seed[name].mean()), variance**0.5, freedom)
        low, high = found.interval()
        out |= {
            name: found.value, f"{name}_error": found.error, f"{name}_freedom": found.freedom,
            f"{name}_low": max(low, 0.0), f"{name}_high": min(high, 1.0),
            f"{name}_by_chance": float(by_seed[f"{name}_by_chance"].mean()),
        }  # fmt: skip
    return out
