"""How far two seeds of one encoder agree: features on samples, decoder and encoder rows, by frequency of firing."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.features import Features
from benchmark.jobs.experiment import Material
from benchmark.jobs.matrix import FOLD_SEED, PERMUTATION_SEED, RESAMPLES, resampled
from benchmark.metrics import (
    DecoderMatch,
    chance_measures,
    crossfit_both,
    frequency_deciles,
    held_out_rho_both,
    match_decoders,
    shared_latents,
)
from benchmark.metrics.groups import shared_groups
from benchmark.metrics.significance import activation_counts
from benchmark.sae import TopKSAE

THRESHOLD = 0.7
"""Cosine above which two latents count as the same, as in arXiv 2501.16615."""
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(6, 20))
"""0.30 to 0.95: cosines at which the share of matched latents is told, as no single threshold is the right one."""
Layer = tuple[str, int]
"""Encoder and layer."""


class SeedPairs(NamedTuple):
    """What pairs of seeds say, in long tables."""

    pairs: pd.DataFrame
    """One row per encoder, layer and ordered pair of seeds."""
    deciles: pd.DataFrame
    """One row per encoder, layer and decile of activation frequency, means over ordered pairs of seeds."""
    thresholds: pd.DataFrame
    """One row per encoder, layer and cosine of `THRESHOLDS`: share of live latents beyond it, means likewise."""
    means: dict[Layer, dict[str, float]]
    """Encoder and layer -> means over pairs of seeds, with the interval (low, high) of the cross-fitted one."""


class OneWay(NamedTuple):
    """What one seed says of another."""

    row: dict[str, Any]
    draws: NDArray[np.float64]
    """Resampled cross-fitted values."""
    deciles: pd.DataFrame
    thresholds: pd.DataFrame


class Untrained(NamedTuple):
    """What the first two seeds of an encoder's layer agree on before training."""

    figures: dict[str, float]
    """Keys `untrained_...`."""
    shares: list[float]
    """Share of the initial weights beyond each cosine of `THRESHOLDS`."""


class Rows(NamedTuple):
    """Rows of the weights of an SAE, (m, d) each."""

    encoder: NDArray[np.float32]
    decoder: NDArray[np.float32]


def seed_pairs(material: Material, varies: str) -> SeedPairs:
    """Compare every two seeds of every encoder, layer by layer (a layer with itself).

    `varies` says what the seeds change, for the tables: both, init or order.
    """
    rng = np.random.default_rng(0)
    seeds = material.plan.suite.seeds
    pairs: list[dict[str, Any]] = []
    deciles: list[pd.DataFrame] = []
    thresholds: list[pd.DataFrame] = []
    means: dict[Layer, dict[str, float]] = {}
    layers = {name: material.run_of(name, seeds[0]).layers for name in material.encoders}
    total = sum(map(len, layers.values())) * len(seeds) * (len(seeds) - 1) // 2
    with tqdm(total=total, desc=f"pairs of seeds ({varies})", unit="pair", mininterval=0.5) as bar:
        for name, own in layers.items():
            for layer in own:
                features = {seed: material.load_layer(name, seed, layer) for seed in seeds}
                rows = {seed: trained_rows(material, name, seed, layer) for seed in seeds}
                draws: dict[tuple[int, int], NDArray[np.float64]] = {}
                found: list[dict[str, Any]] = []
                for s, t in itertools.combinations(seeds, 2):
                    both = features[s], features[t]
                    for way in _compare(material, both, (rows[s], rows[t]), (s, t)):
                        draws[way.row["source_seed"], way.row["target_seed"]] = way.draws
                        found.append({"encoder": name, "layer": layer, "varies": varies, **way.row})
                        deciles.append(way.deciles.assign(encoder=name, layer=layer, varies=varies))
                        thresholds.append(way.thresholds.assign(encoder=name, layer=layer, varies=varies))
                    bar.update()
                pairs += found
                low, high = np.nanquantile(resampled(draws, rng, own=True), [0.025, 0.975])
                numbers = pd.DataFrame(found).select_dtypes(float).drop(columns=["crossfit_low", "crossfit_high"])
                means[name, layer] = {str(key): float(value) for key, value in numbers.mean().items()}
                means[name, layer] |= {"crossfit_sd": float(numbers.crossfit.std()), "low": low, "high": high}
    return SeedPairs(pd.DataFrame(pairs), _means(deciles, "decile"), _means(thresholds, "threshold"), means)


def _means(parts: list[pd.DataFrame], along: str) -> pd.DataFrame:
    by = ["encoder", "layer", "varies", along]
    return pd.concat(parts).groupby(by, sort=False).mean().reset_index().sort_values(by)


def _compare(
    material: Material, features: tuple[Features, Features], rows: tuple[Rows, Rows], seeds: tuple[int, int]
) -> list[OneWay]:
    """Return what both directions between two seeds say."""
    suite = material.plan.suite
    fits = crossfit_both(*features, folds=suite.folds, seed=FOLD_SEED, resamples=RESAMPLES)
    nulls = chance_measures(*features, permutations=suite.permutations, seed=PERMUTATION_SEED)["wmppc"]
    held_out = held_out_rho_both(*features, folds=suite.folds, seed=FOLD_SEED)
    groups = shared_groups([features[0]], [features[1]])
    out = []
    match = matched(*rows)
    for way, (matches, both) in enumerate((match, _back(*match))):
        counts, weights = activation_counts(features[way]), features[way].weights
        close = np.nan_to_num(matches.cosine, nan=-1.0) > THRESHOLD
        live = counts > 0
        shares = [DecoderMatch(matches.cosine[live], matches.partner[live]).share(at) for at in THRESHOLDS]
        row = {
            "source_seed": seeds[way], "target_seed": seeds[1 - way],
            "n_samples": len(features[0]), "n_groups": int(groups.max()) + 1,
            "crossfit": fits[way].value, "crossfit_low": fits[way].low, "crossfit_high": fits[way].high,
            "naive": nulls[way].naive, "chance": float(nulls[way].null.mean()) if len(nulls[way].null) else np.nan,
            "calibrated": nulls[way].calibrated, "p_value": nulls[way].p_value,
            "decoder_shared": float(close.mean()), "decoder_shared_live": float(close[live].mean()),
            "both_shared": float(both.mean()), "both_shared_live": float(both[live].mean()),
            "mcc": float(np.nanmean(matches.cosine)), "mcc_live": float(np.nanmean(matches.cosine[live])),
        }  # fmt: skip
        by_feature = pd.DataFrame({
            "decile": frequency_deciles(counts) + 1, "frequency": counts / len(features[way]),
            "weight": weights / weights.sum(), "correlation": held_out[way], "decoder_cosine": matches.cosine,
            "decoder_shared": close.astype(float), "both_shared": both.astype(float),
        })  # fmt: skip
        by_decile = by_feature[by_feature.decile > 0].groupby("decile")
        table = by_decile.mean().assign(weight=by_decile.weight.sum(), features=by_decile.size())
        by_threshold = pd.DataFrame({"threshold": THRESHOLDS, "decoder_shared_live": shares})
        out.append(OneWay(row, fits[way].draws, table.reset_index(), by_threshold))
    return out


def matched(own: Rows, other: Rows) -> tuple[DecoderMatch, NDArray[np.bool_]]:
    """Return the one-to-one partners of the decoder's rows, and which latents encoder and decoder both share."""
    decoder = match_decoders(own.decoder, other.decoder)
    return decoder, shared_latents(decoder, match_decoders(own.encoder, other.encoder), THRESHOLD)


def _back(match: DecoderMatch, both: NDArray[np.bool_]) -> tuple[DecoderMatch, NDArray[np.bool_]]:
    """Return what `matched` returns the other way round: between dictionaries of one size all have a partner."""
    inverse = np.argsort(match.partner)
    return DecoderMatch(match.cosine[inverse], inverse), both[inverse]


def trained_rows(material: Material, encoder: str, seed: int, layer: int) -> Rows:
    """Return the weights of a registered SAE."""
    import registry

    saes = pd.read_parquet(material.run_of(encoder, seed).folder / "saes.parquet")
    return _rows(registry.load_sae(str(saes.model_uri[saes.layer == layer].iloc[0])))


def untrained_pairs(material: Material) -> dict[Layer, Untrained]:
    """Return what the first two seeds of every encoder and layer agree on before training.

    The cross-fitted value on the recorded features of untrained SAEs (NaN where the suite records none), and the shares
    and mean cosine of their initial weights.
    """
    from benchmark.jobs.compare_units import recorded

    suite, first = material.plan.suite, material.plan.suite.seeds[:2]
    before = recorded(material.trained, len(material.dataset), untrained=True) if suite.untrained else {}
    by_size: dict[tuple[int, int, int], Untrained] = {}
    out: dict[Layer, Untrained] = {}
    for name in tqdm(material.encoders, desc="untrained", unit="encoder", mininterval=0.5):
        saes = pd.read_parquet(material.run_of(name, first[0]).folder / "saes.parquet")
        sides = [before[name, seed].load(material.compared, suite.min_count) for seed in first] if before else []
        for layer, d, m, k in zip(saes.layer, saes.d, saes.n_latents, saes.k, strict=True):
            if (d, m, k) not in by_size:
                rows = [_rows(TopKSAE(int(d), int(m), int(k), seed=material.plan.seeds_of(s).init)) for s in first]
                match, both = matched(*rows)
                figures = {
                    "untrained_decoder_shared": match.share(THRESHOLD), "untrained_both_shared": float(both.mean()),
                    "untrained_mcc": float(match.cosine.mean()),
                }  # fmt: skip
                by_size[d, m, k] = Untrained(figures, [match.share(at) for at in THRESHOLDS])
            fits = crossfit_both(*(side[layer] for side in sides), folds=suite.folds, resamples=0) if sides else ()
            floor = float(np.mean([fit.value for fit in fits])) if fits else np.nan
            weights = by_size[d, m, k]
            out[name, int(layer)] = Untrained({"untrained_crossfit": floor, **weights.figures}, weights.shares)
    return out


def _rows(sae: TopKSAE) -> Rows:
    return Rows(sae.W_enc.detach().cpu().numpy(), sae.W_dec.detach().cpu().numpy())


def spread(saes: pd.DataFrame, measures: Mapping[str, str]) -> dict[Layer, dict[str, float]]:
    """Return mean, standard deviation (n - 1), lowest and highest of quality figures over the seeds of each layer.

    `measures` is {column of `saes`: name in the result}.
    """
    out: dict[Layer, dict[str, float]] = {}
    for key, part in saes.groupby(["encoder", "layer"], sort=False):
        out[cast(Layer, key)] = {
            f"{name}{suffix}": float(getattr(part[column], how)())
            for column, name in measures.items()
            for suffix, how in (("", "mean"), ("_sd", "std"), ("_min", "min"), ("_max", "max"))
        }
    return out
