"""The train jobs of one encoder: its activations, its SAEs of all layers and seeds, one run per seed."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset
from benchmark.errors import InputError
from benchmark.jobs import keys, tracking
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.plan import ALL_TOKENS, Plan, pick_layers
from benchmark.jobs.provenance import log_dataset
from benchmark.jobs.results import CACHE, intact, log_folder, suite_tags

if TYPE_CHECKING:
    from benchmark.encoders import Encoder
    from benchmark.jobs.activation_cache import Activations
    from benchmark.jobs.heldout_tokens import TokenQuality
    from benchmark.jobs.quality_tables import QualityTables
    from benchmark.jobs.training_vectors import TrainingVectors
    from benchmark.sae import TrainingLog


def train_seeds(
    plan: Plan, card: EncoderCard, dataset: PairedDataset, key: Mapping[int, str], work: Path
) -> dict[int, tuple[str, Path]]:
    """Extract once, train all layers and seeds, and log one run per seed of `key`: {seed: (run id, its artifacts)}.

    `work` is a folder that only this process uses now, where trained SAEs wait until they are logged. It is removed
    then; a process that is killed, or fails, leaves it to the next one.

    Raises InputError when no sample trains or k does not fit, ValueError for an SAE none of whose latents fires and
    for activations that are not finite, and whatever loading and extraction raise.
    """
    from benchmark.jobs.group_training import train_in_groups
    from benchmark.jobs.heldout_tokens import TokenQuality, heldout_tokens
    from benchmark.jobs.quality_tables import QualityTables
    from benchmark.jobs.training_folder import remove_unfinished
    from benchmark.jobs.training_vectors import evaluator, held_back
    from benchmark.sae.reconstruction import baseline

    found = activations_of(plan, card, dataset)
    widths, activations = found.widths, found.activations
    rows = np.arange(len(dataset)) if plan.suite.train_on == "all" else np.flatnonzero(~dataset.heldout)
    if not len(rows):
        raise InputError(f"dataset '{dataset.name}': no sample is left to train on; use more samples.")
    evaluate = None
    if plan.training.patience:
        rows, deciding = held_back(rows, dataset.groups)
        evaluate = evaluator(activations.pooled, deciding)
    remove_unfinished(work.parent)
    vectors = _training_vectors(plan, card, dataset, found, rows)
    logs = train_in_groups(plan, card.name, widths, vectors, list(key), memory_budget(plan.device), work, evaluate)
    # Also where training starts b_dec at 0: it soon learns the mean, and without it few latents ever fire.
    means = vectors.means(list(widths)) if plan.suite.untrained else {}
    held = _measured_rows(plan, dataset)
    on_tokens = TokenQuality(heldout_tokens(found.encoder, dataset, activations, held, found.folder))
    baselines = {layer: baseline(array, held) for layer, array in activations.pooled.items()}  # of all seeds
    logged = {
        seed: _log_seed(
            plan, card, dataset, seed, key[seed], activations.pooled, means, work,
            {layer: logs[layer, seed] for layer in widths}, on_tokens, QualityTables(held, baselines),
        )
        for seed in key
    }  # fmt: skip
    shutil.rmtree(work, ignore_errors=True)
    return logged


class Extracted(NamedTuple):
    """What is known of an encoder on a dataset once its global vectors are recorded."""

    widths: dict[int, int]
    """{layer: width} of the plan's layers."""
    activations: "Activations"
    encoder: "Encoder | None"
    """None where vectors made elsewhere are read."""
    folder: Path
    """The encoder's own in the cache, for this dataset."""


def _training_vectors(
    plan: Plan, card: EncoderCard, dataset: PairedDataset, found: Extracted, rows: NDArray[np.int64]
) -> "TrainingVectors":
    """Return what trains the SAEs: what is stored of the samples `rows`, or all their tokens as they stream by."""
    if plan.tokens == ALL_TOKENS and found.encoder is not None:
        from benchmark.jobs.streamed_vectors import StreamedVectors
        from benchmark.jobs.token_stream import TokenStream

        stream = TokenStream(found.encoder, dataset, rows, found.activations.counts, list(found.widths))
        return StreamedVectors(stream, plan.training, found.folder)
    from benchmark.jobs.training_vectors import StoredVectors

    return StoredVectors(card.name, found.activations, rows, plan.training, dataset.ids)


def activations_of(plan: Plan, card: EncoderCard, dataset: PairedDataset) -> Extracted:
    """Return the activations of the plan's layers, recorded ones or those of one pass, and where they come from."""
    from benchmark.jobs.activation_cache import Activations

    if card.library == "activations":
        from benchmark.encoders.recorded import load_recorded

        recorded = load_recorded(card)
        layers = pick_layers(plan.layers, recorded.layers, card.name)
        widths = _checked_widths(plan, recorded.widths, layers)
        return Extracted(widths, Activations(recorded.vectors(dataset.ids, layers), {}, {}), None, CACHE)
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
    return Extracted(widths, extract(encoder, dataset, layers, folder, tokens=plan.tokens), encoder, folder)


def _measured_rows(plan: Plan, dataset: PairedDataset) -> NDArray[np.int64]:
    """Return the samples that tell how good an SAE is: those that are held out, or all where all train."""
    return np.flatnonzero(dataset.heldout) if plan.suite.train_on == "train" else np.arange(len(dataset))


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
    logs: Mapping[int, "TrainingLog"],
    on_tokens: "TokenQuality",
    measures: "QualityTables",
) -> tuple[str, Path]:
    import registry
    from benchmark.jobs.feature_samples import log_feature_samples
    from benchmark.jobs.recording import record
    from benchmark.jobs.signature_log import signatures_of_saes, write_signatures
    from benchmark.jobs.training_folder import trained_sae
    from benchmark.sae import TopKSAE

    seeds = plan.seeds_of(seed)
    random = {"init_seed": seeds.init, "order_seed": seeds.order}
    tags = {
        **suite_tags(plan, dataset), "encoder": card.name, "seed": str(seed), "key": key,
        **{name: str(value) for name, value in random.items()},
    }  # fmt: skip
    params = {
        **random,
        **plan.recipe(),
        "fingerprint": dataset.fingerprint,
        "content": dataset.content_hash,
        "device": plan.device,
        "precision": plan.precision,
        "compile": plan.compile,
        "weights": keys.encoder_identity(card)["weights"],
    }
    with (
        tracking.job_run("train", f"train {card.name} {seeds}", nested=True, tags=tags, params=params) as run,
        tempfile.TemporaryDirectory() as temporary,
    ):
        folder, rows, data = Path(temporary), [], log_dataset(dataset, plan.suite.dataset, "training")
        for layer, array in activations.items():
            sae = trained_sae(work, layer, seed, plan.device)
            untrained = None
            if layer in means:
                untrained = TopKSAE(sae.d, sae.n_latents, sae.k, seed=seeds.init).centred(means[layer]).to(plan.device)
            features = record(sae, array, dataset, plan.suite.codes, folder, layer, untrained=untrained)
            if not all(features.take(part).weights.any() for part in (dataset.heldout, ~dataset.heldout) if part.any()):
                raise ValueError(
                    f"encoder '{card.name}', layer {layer}, {seeds}: no latent of its SAE fires on a whole half of "
                    "the samples, so nothing can be compared; the encoder gives nearly the same vector for all of them."
                )
            measured = measures.add(layer, sae, array, features, logs[layer])
            measured |= on_tokens.of(layer, sae)
            uri = registry.log_sae(
                sae, dataset=dataset.name, encoder=card.name, layer=layer, seed=seed,
                data=data, metrics={name: value for name, value in measured.items() if np.isfinite(value)},
                metadata={"samples": dataset.fingerprint, "key": key, **random}, alias=seeds.alias,
            )  # fmt: skip
            rows.append({
                "encoder": card.name, "modality": card.modality, "kind": card.kind, "family": card.family,
                "seed": seed, **random, "layer": layer, "d": sae.d, "n_latents": sae.n_latents, "k": sae.k, **measured,
                "run_id": run.info.run_id, "model_uri": uri,
            })  # fmt: skip
        for layer, log in logs.items():
            curves = {
                "loss": log.loss, "dead_in_training": log.dead, "evaluation": log.evaluations,
                "learning_rate": log.learning_rate if len(np.unique(log.learning_rate)) > 1 else np.empty(0),
            }  # fmt: skip
            tracking.log_curves(run.info.run_id, {f"{name}/L{layer:02d}": curve for name, curve in curves.items()})
        saes = pd.DataFrame(rows)
        saes.to_parquet(folder / "saes.parquet", index=False)
        measures.write(folder)
        write_signatures(signatures_of_saes(saes), folder / "signatures")
        log_feature_samples(folder, activations, dataset)
        log_folder(folder)
    done = intact(run.info.run_id)
    if done is None:
        raise OSError(f"the artifacts of run {run.info.run_id} cannot be read back; is the disk full?")
    return run.info.run_id, done
