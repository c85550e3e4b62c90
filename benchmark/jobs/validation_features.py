"""The features of a suite's trained SAEs, with all that is known of each: factor, partners, weights and worth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmark.datasets import PairedDataset
from benchmark.features import SparseFeatures
from benchmark.jobs.plan import Plan
from benchmark.jobs.results import Trained
from benchmark.jobs.train_encoder import activations_of
from benchmark.jobs.validation_factors import planted_factors, recovered, told
from benchmark.jobs.validation_probe import probes
from benchmark.metrics import held_out_rho, max_correlation
from benchmark.metrics.significance import activation_counts
from benchmark.sae.ablation import removal_losses


class FeatureTables(NamedTuple):
    """Everything on held-out samples, last layers."""

    features: pd.DataFrame
    """One row per feature: encoder, modality, seed, layer, latent, S, S_norm, frequency, uniform, factor, eta2,
    captioned, fvu_loss, probe_loss."""
    partners: pd.DataFrame
    """One row per feature and other encoder (same seed): source, target, seed, latent, match (the partner's latent,
    -1 for constant features), rho, rho_crossfit."""
    concepts: pd.DataFrame
    """One row per planted value, encoder and seed: encoder, modality, seed and the columns of `recovered`."""
    probes: pd.DataFrame
    """One row per encoder, seed and factor: accuracy of the probe on the codes, and of guessing."""


def feature_tables(plan: Plan, dataset: PairedDataset, trained: Sequence[Trained]) -> FeatureTables:
    """Measure every feature of the trained SAEs' last layers on the held-out samples.

    Raises InputError for a dataset without planted factors.
    """
    import registry
    from registry.queries import feature_path

    planted = planted_factors(dataset, plan.suite.dataset)
    held = dataset.heldout
    recorded = {
        (item.encoder.name, item.seed): SparseFeatures.load(item.folder / feature_path(item.layers[-1]))
        for item in trained
    }
    tables, probed, concepts = [], [], []
    for item in tqdm(trained, desc="features", unit="SAE", mininterval=0.5):
        layer, found = item.layers[-1], recorded[item.encoder.name, item.seed]
        saes = pd.read_parquet(item.folder / "saes.parquet").set_index("layer")
        sae = registry.load_sae(saes.model_uri[layer], plan.device)
        vectors = np.asarray(activations_of(plan, item.encoder, dataset).activations.pooled[layer][held])
        here = found.take(held)
        norms = sae.W_dec.detach().double().norm(dim=1).cpu().numpy()
        probe = probes(found, planted.levels, held)
        tables.append(
            pd.DataFrame({
                "encoder": item.encoder.name, "modality": item.encoder.modality, "seed": item.seed, "layer": layer,
                "latent": np.arange(found.n_latents), "S": here.weights, "S_norm": here.weights * norms,
                "frequency": activation_counts(here) / len(here), "uniform": 1.0,
                "fvu_loss": removal_losses(sae, vectors, here), "probe_loss": probe.losses,
            }).join(told(found, planted, ~held))
        )  # fmt: skip
        probed += [
            {"encoder": item.encoder.name, "modality": item.encoder.modality, "seed": item.seed, "factor": name,
             "captioned": name not in planted.nuisances,
             "accuracy": probe.accuracy[name], "majority": probe.majority[name]}
            for name in planted.levels
        ]  # fmt: skip
        concepts.append(
            recovered(planted, found, held, plan.suite.folds).assign(
                encoder=item.encoder.name, modality=item.encoder.modality, seed=item.seed
            )
        )
    partners = _partners(plan, {key: features.take(held) for key, features in recorded.items()})
    return FeatureTables(
        pd.concat(tables, ignore_index=True), partners, pd.concat(concepts, ignore_index=True), pd.DataFrame(probed)
    )


def _partners(plan: Plan, recorded: dict[tuple[str, int], SparseFeatures]) -> pd.DataFrame:
    pairs = [(a, b) for a in recorded for b in recorded if a[0] != b[0] and a[1] == b[1]]
    parts = []
    for (source, seed), (target, _) in tqdm(pairs, desc="partners", unit="pair", mininterval=0.5):
        own, other = recorded[source, seed], recorded[target, seed]
        best = max_correlation(own, other)
        parts.append(
            pd.DataFrame({
                "source": source, "target": target, "seed": seed,
                "latent": np.arange(own.n_latents), "match": best.source_match, "rho": best.source,
                "rho_crossfit": held_out_rho(own, other, folds=plan.suite.folds),
            })
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)
