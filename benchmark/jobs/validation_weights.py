"""What weighting features by their total activation does: other weights, what features are worth, rare features."""

import numpy as np
import pandas as pd

from benchmark.metrics import wmppc

WEIGHTS: dict[str, str] = {
    "S": "total activation, as published",
    "S_norm": "total activation times the length of the decoder row: free of each latent's scale",
    "frequency": "share of samples on which the feature fires",
    "uniform": "equal weights (MPPC)",
}
LOSSES = ("fvu_loss", "probe_loss")
DECILES = 10


def weighted_wmppc(features: pd.DataFrame, partners: pd.DataFrame) -> pd.DataFrame:
    """Return wMPPC under each weight, naive and with cross-fitted rho, per source and target (mean over seeds).

    features: one row per feature with `encoder`, `seed`, `latent` and a column for each of WEIGHTS. partners: one row
    per feature and target with `source`, `target`, `seed`, `latent`, `rho` and `rho_crossfit`.
    """
    both = partners.merge(features.rename(columns={"encoder": "source"}), on=["source", "seed", "latent"])
    rows = []
    for (source, target, seed), part in both.groupby(["source", "target", "seed"], sort=False):
        for weight in WEIGHTS:
            values = {name: wmppc(part[column], part[weight]) for name, column in _RHO.items()}
            rows.append({"source": source, "target": target, "seed": seed, "weight": weight} | values)
    means = pd.DataFrame(rows).groupby(["source", "target", "weight"], sort=False)[list(_RHO)].mean()
    return means.reset_index()


_RHO = {"naive": "rho", "crossfit": "rho_crossfit"}


def worth(features: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's rank correlation of each weight with what live features are worth, per encoder and seed.

    Columns: encoder, seed, weight, and one for each of `fvu_loss` and `probe_loss`. Equal weights rank nothing and are
    left out.
    """
    live = features[features.S > 0]
    rows = []
    for (encoder, seed), part in live.groupby(["encoder", "seed"], sort=False):
        ranks = part[[*WEIGHTS, *LOSSES]].rank()
        for weight in WEIGHTS:
            if part[weight].nunique() > 1:
                values = {loss: ranks[weight].corr(ranks[loss]) for loss in LOSSES}
                rows.append({"encoder": encoder, "seed": seed, "weight": weight} | values)
    return pd.DataFrame(rows)


def by_frequency(features: pd.DataFrame, partners: pd.DataFrame) -> pd.DataFrame:
    """Return what live features are like by decile of how often they fire, 1 the rarest; means over encoders.

    Columns: decile, frequency (mean), S, S_norm, fvu_loss and probe_loss (the decile's share of the sum), and the means
    over features and targets of rho and rho_crossfit.
    """
    live = features[features.S > 0]
    keys = ["encoder", "seed"]
    order = live.groupby(keys).frequency.rank(method="first") - 1
    size = live.groupby(keys).frequency.transform("size")
    live = live.assign(decile=np.floor(order * DECILES / size).astype(int) + 1)
    shares = live.groupby([*keys, "decile"])[["S", "S_norm", *LOSSES]].sum()
    shares = shares / live.groupby(keys)[["S", "S_norm", *LOSSES]].sum()
    both = partners.rename(columns={"source": "encoder"}).merge(live[[*keys, "latent", "decile"]], on=[*keys, "latent"])
    return pd.concat(
        [
            live.groupby("decile").frequency.mean(),
            shares.groupby("decile").mean(),
            both.groupby("decile")[["rho", "rho_crossfit"]].mean(),
        ],
        axis=1,
    ).reset_index()
