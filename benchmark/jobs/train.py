"""Train jobs: the SAEs of every encoder of a suite, one run per (encoder, dataset, seed)."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark import report
from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.errors import InputError
from benchmark.jobs import keys, tracking
from benchmark.jobs.configs import TrainJobConfig
from benchmark.jobs.plan import Plan, make_plan, pick_layers
from benchmark.jobs.results import CACHE, Trained, log_folder, plan_params, raise_failures, sae_table, suite_tags

if TYPE_CHECKING:
    from benchmark.jobs.activation_files import Activations


def train_suite(config: TrainJobConfig) -> int:
    """Run the `train` command; returns its exit code."""
    plan = make_plan(config)
    tracking.open_store()
    dataset = load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE)
    with tracking.job_run(
        "train", f"train {plan.suite.name}", tags=suite_tags(plan, dataset), params=plan_params(plan)
    ) as run:
        trained, failed = train_all(plan, dataset)
        with tempfile.TemporaryDirectory() as temporary:
            saes = sae_table(trained)
            report.write(saes, Path(temporary, "saes"))
            log_folder(Path(temporary))
        tracking.log_metrics({"n_samples": len(dataset), "left_out": len(dataset.left_out)})
        for item in trained:
            print(f"{item.encoder.name:<24} seed {item.seed}  {'reused' if item.reused else 'trained'}  {item.run_id}")
        print(f"\nRun {run.info.run_id}: saes.csv. Look at it with `make ui`.")
        raise_failures(failed)
    return 0


def train_all(plan: Plan, dataset: PairedDataset) -> tuple[list[Trained], dict[str, str]]:
    """Return the train runs of all encoders and seeds, and {encoder: error} of those that failed.

    Finished runs with the same key are reused; an encoder that fails does not stop the others. Raises InputError,
    before any work, for a dataset that lacks what one of the encoders reads.
    """
    for card in plan.encoders:
        if card.library != "activations":  # which need the samples' ids only
            dataset.require(card.modality)
    trained: list[Trained] = []
    failed: dict[str, Exception] = {}
    for card in plan.encoders:
        try:
            trained += _train_encoder(plan, card, dataset)
        except Exception as error:  # whatever one encoder does wrong, the others go on
            failed[card.name] = error
            if not tracking.is_recorded(error):
                _record_failure(plan, card, dataset, error)
    if not trained and all(isinstance(error, InputError) for error in failed.values()):
        raise next(iter(failed.values()))  # the request was wrong, not the work
    return trained, {name: str(error) or type(error).__name__ for name, error in failed.items()}


def _train_encoder(plan: Plan, card: EncoderCard, dataset: PairedDataset) -> list[Trained]:
    import registry

    base = {
        "version": (keys.ACTIVATIONS, keys.TRAINING),
        "encoder": keys.encoder_identity(card),
        "dataset": dataset.name,
        "samples": dataset.fingerprint,
        "content": dataset.content_hash,
        "groups": dataset.grouping_hash,
        "recipe": plan.recipe(),
        # Like the device, torch.compile changes results by rounding only and is recorded, but not part of the key.
        "precision": plan.precision if card.library != "activations" else "",
    }
    done: dict[int, Trained] = {}
    key = {seed: keys.content_key({**base, "init_seed": seed, "order_seed": seed}) for seed in plan.suite.seeds}
    for seed in plan.suite.seeds:
        for run_id in registry.find_finished("train", key[seed]):
            folder = registry.verified(run_id)
            if folder is not None and _still_registered(folder, seed):
                done[seed] = Trained(card, seed, run_id, folder, reused=True)
                break
    missing = [seed for seed in plan.suite.seeds if seed not in done]
    if missing:
        for seed, (run_id, folder) in _train_seeds(plan, card, dataset, missing, key).items():
            done[seed] = Trained(card, seed, run_id, folder, reused=False)
    return [done[seed] for seed in plan.suite.seeds]


def _still_registered(folder: Path, seed: int) -> bool:
    """Whether all models of a finished run are registered; points their aliases at them again."""
    import registry

    return all([registry.claim_alias(uri, seed) for uri in pd.read_parquet(folder / "saes.parquet").model_uri])


def _train_seeds(
    plan: Plan, card: EncoderCard, dataset: PairedDataset, seeds: list[int], key: Mapping[int, str]
) -> dict[int, tuple[str, Path]]:
    """Extract once, train all layers and seeds together, and log one run per seed."""
    from benchmark.sae import TopKSAE, shuffled_batches, steps, train
    from benchmark.sae.trainer import mean, n_items

    widths, activations = _activations(plan, card, dataset)
    rows = np.arange(len(dataset)) if plan.suite.train_on == "all" else np.flatnonzero(~dataset.heldout)
    if not len(rows):
        raise InputError(f"dataset '{dataset.name}': no sample is left to train on; use more samples.")
    saes = {}
    for layer, width in widths.items():
        tokens, counts = activations.tokens.get(layer), activations.counts.get(layer)
        centre = mean(activations.pooled[layer], rows, tokens, counts) if plan.training.center else None
        for seed in seeds:
            saes[layer, seed] = TopKSAE(width, plan.n_latents(width), plan.suite.k, seed=seed).centred(centre)
            saes[layer, seed].to(plan.device)
    batches = shuffled_batches(
        activations.pooled, rows, {seed: seed for seed in seeds}, plan.training,
        tokens=activations.tokens, counts=activations.counts,
    )  # fmt: skip
    total = steps(n_items(rows, activations.counts.values()), plan.training)
    bar = tqdm(batches, desc=f"train {card.name}", unit="step", total=total, mininterval=0.5)
    losses = train(saes, bar, plan.training)
    return {
        seed: _log_seed(
            plan, card, dataset, seed, key[seed], activations.pooled,
            {layer: saes[layer, seed] for layer in widths}, {layer: losses[layer, seed] for layer in widths},
        )
        for seed in seeds
    }  # fmt: skip


def _activations(plan: Plan, card: EncoderCard, dataset: PairedDataset) -> "tuple[dict[int, int], Activations]":
    """Return {layer: width} and the activations of the plan's layers: recorded ones, or those of one pass."""
    from benchmark.jobs.activation_files import Activations

    if card.library == "activations":
        from benchmark.encoders.recorded import load_recorded

        if plan.suite.tokens:
            raise InputError(
                f"encoder '{card.name}' brings one vector a sample, so tokens={plan.suite.tokens} cannot train its "
                "SAEs; set tokens to 0 or leave it out."
            )
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
        "encoder": keys.encoder_identity(card), "version": keys.ACTIVATIONS, "samples": dataset.fingerprint,
        "content": dataset.content_hash, "layers": layers, "precision": plan.precision, "tokens": plan.suite.tokens,
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
    saes: Mapping[int, Any],
    losses: Mapping[int, NDArray[np.float32]],
) -> tuple[str, Path]:
    import registry
    from benchmark.sae import quality
    from registry.queries import feature_path

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
        for layer, sae in saes.items():
            array = activations[layer]
            features = sae.features(array, dataset.fingerprint, dataset.groups).rounded()
            if not all(features.take(part).weights.any() for part in (dataset.heldout, ~dataset.heldout) if part.any()):
                raise ValueError(
                    f"encoder '{card.name}', layer {layer}, seed {seed}: no latent of its SAE fires on a whole half of "
                    "the samples, so nothing can be compared; the encoder gives nearly the same vector for all of them."
                )
            features.save(folder / feature_path(layer))
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


def _record_failure(plan: Plan, card: EncoderCard, dataset: PairedDataset, error: Exception) -> None:
    """Leave a FAILED run behind for an encoder whose work failed before its own run began."""
    tags = {**suite_tags(plan, dataset), "encoder": card.name}
    try:
        with tracking.job_run("train", f"train {card.name}", nested=True, tags=tags, params=plan.recipe()):
            raise error
    except type(error):
        return
