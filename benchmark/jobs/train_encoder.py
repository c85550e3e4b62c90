"""The train jobs of one encoder: its activations, its SAEs of all layers and seeds, one run per seed."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset
from benchmark.errors import InputError
from benchmark.jobs import keys, tracking
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.plan import Plan, pick_layers
from benchmark.jobs.results import CACHE, log_folder, suite_tags

if TYPE_CHECKING:
    from benchmark.jobs.activation_cache import Activations


def train_seeds(
    plan: Plan, card: EncoderCard, dataset: PairedDataset, key: Mapping[int, str], work: Path
) -> dict[int, tuple[str, Path]]:
    """Extract once, train all layers and seeds, and log one run per seed of `key`: {seed: (run id, its artifacts)}.

    `work` is a folder of this process's own, where trained SAEs wait until they are logged; it is removed. Raises
    InputError when no sample trains or k does not fit, ValueError for an SAE none of whose latents fires, and whatever
    loading and extraction raise.
    """
    from benchmark.jobs.group_training import train_in_groups, training_mean

    widths, activations = _activations(plan, card, dataset)
    rows = np.arange(len(dataset)) if plan.suite.train_on == "all" else np.flatnonzero(~dataset.heldout)
    if not len(rows):
        raise InputError(f"dataset '{dataset.name}': no sample is left to train on; use more samples.")
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
    try:
        budget = memory_budget(plan.device)
        losses = train_in_groups(plan, card.name, widths, activations, rows, list(key), budget, work)
        # Also where training starts b_dec at 0: it soon learns the mean, and without it few latents ever fire.
        means = {i: training_mean(activations, i, rows) for i in widths} if plan.suite.untrained else {}
        return {
            seed: _log_seed(
                plan, card, dataset, seed, key[seed], activations.pooled, means, work,
                {layer: losses[layer, seed] for layer in widths},
            )
            for seed in key
        }  # fmt: skip
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _activations(plan: Plan, card: EncoderCard, dataset: PairedDataset) -> "tuple[dict[int, int], Activations]":
    """Return {layer: width} and the activations of the plan's layers: recorded ones, or those of one pass."""
    from benchmark.jobs.activation_cache import Activations

    if card.library == "activations":
        from benchmark.encoders.recorded import load_recorded

        recorded = load_recorded(card)
        layers = pick_layers(plan.layers, recorded.layers, card.name)
        widths = _checked_widths(plan, recorded.widths, layers)
        return widths, Activations(recorded.vectors(dataset.ids, layers), {}, {})
    from benchmark.encoders import load_encoder
    from benchmark.jobs.activations import extract

    encoder = load_encoder(
        card, plan.device,
        precision=plan.precision, compile=plan.compile, trust_remote_code=plan.trust_remote_code,
    )  # fmt: skip
    layers = pick_layers(plan.layers, encoder.layers, card.name)
    widths = _checked_widths(plan, encoder.widths, layers)
    name = keys.content_key({
        # Whichever of its layers a card offers, each one's activations are the same.
        "encoder": {**keys.encoder_identity(card), "layers": ""}, "version": keys.ACTIVATIONS,
        "samples": dataset.fingerprint, "content": dataset.content_hash, "precision": plan.precision,
    })  # fmt: skip
    folder = CACHE / "activations" / f"{card.name}-{name}"
    return widths, extract(encoder, dataset, layers, folder, tokens=plan.suite.tokens)


def _checked_widths(plan: Plan, widths: Mapping[int, int], layers: list[int]) -> dict[int, int]:
    """Return {layer: width}. Raises InputError, before hours of encoding, if k does not fit a layer's dictionary."""
    for layer in layers:
        plan.n_latents(widths[layer])
    return {layer: widths[layer] for layer in layers}


def _log_seed(
    plan: Plan,
    card: EncoderCard,
    dataset: PairedDataset,
    seed: int,
    key: str,
    activations: Mapping[int, NDArray[np.float32]],
    means: Mapping[int, NDArray[np.float64]],
    work: Path,
    losses: Mapping[int, NDArray[np.float32]],
) -> tuple[str, Path]:
    import registry
    from benchmark.jobs.group_training import trained_sae
    from benchmark.jobs.recording import record
    from benchmark.sae import TopKSAE, quality

    chosen = np.flatnonzero(dataset.heldout) if plan.suite.train_on == "train" else np.arange(len(dataset))
    tags = {**suite_tags(plan, dataset), "encoder": card.name, "seed": str(seed), "key": key}
    params = {
        **plan.recipe(),
        "fingerprint": dataset.fingerprint,
        "content": dataset.content_hash,
        "device": plan.device,
        "precision": plan.precision,
        "compile": plan.compile,
    }
    with (
        tracking.job_run("train", f"train {card.name} seed {seed}", nested=True, tags=tags, params=params) as run,
        tempfile.TemporaryDirectory() as temporary,
    ):
        folder, rows = Path(temporary), []
        for layer, array in activations.items():
            sae = trained_sae(work, layer, seed, plan.device)
            untrained = None
            if layer in means:
                untrained = TopKSAE(sae.d, sae.n_latents, sae.k, seed=seed).centred(means[layer]).to(plan.device)
            features = record(sae, array, dataset, plan.suite.codes, folder, layer, untrained=untrained)
            if not all(features.take(part).weights.any() for part in (dataset.heldout, ~dataset.heldout) if part.any()):
                raise ValueError(
                    f"encoder '{card.name}', layer {layer}, seed {seed}: no latent of its SAE fires on a whole half of "
                    "the samples, so nothing can be compared; the encoder gives nearly the same vector for all of them."
                )
            measured = quality(sae, np.asarray(array[chosen]), features.take(chosen))._asdict()
            uri = registry.log_sae(
                sae, dataset=dataset.name, encoder=card.name, layer=layer, seed=seed,
                metrics={name: value for name, value in measured.items() if np.isfinite(value)},
                metadata={"samples": dataset.fingerprint, "key": key},
            )  # fmt: skip
            rows.append({
                "encoder": card.name, "modality": card.modality, "kind": card.kind, "family": card.family,
                "seed": seed, "layer": layer, "d": sae.d, "n_latents": sae.n_latents, "k": sae.k, **measured,
                "run_id": run.info.run_id, "model_uri": uri,
            })  # fmt: skip
        tracking.log_curves(run.info.run_id, {f"loss/L{layer:02d}": curve for layer, curve in losses.items()})
        pd.DataFrame(rows).to_parquet(folder / "saes.parquet", index=False)
        log_folder(folder)
    done = registry.verified(run.info.run_id)
    if done is None:
        raise OSError(f"the artifacts of run {run.info.run_id} cannot be read back; is the disk full?")
    return run.info.run_id, done
