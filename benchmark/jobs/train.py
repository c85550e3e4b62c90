"""Train jobs: the SAEs of every encoder of a suite, one run per (encoder, dataset, seed)."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from benchmark import report
from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.errors import InputError
from benchmark.jobs import keys, tracking
from benchmark.jobs.configs import TrainJobConfig
from benchmark.jobs.locks import locked
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.provenance import log_dataset
from benchmark.jobs.results import (
    CACHE,
    Trained,
    intact,
    log_folder,
    plan_params,
    raise_failures,
    sae_table,
    suite_tags,
)
from benchmark.jobs.signature_log import print_signatures, signatures_of_saes, write_signatures
from benchmark.jobs.train_encoder import train_seeds


def train_suite(config: TrainJobConfig) -> int:
    """Run the `train` command; returns its exit code."""
    plan = make_plan(config)
    tracking.open_store()
    dataset = load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE)
    with tracking.job_run(
        "train", f"train {plan.suite.name}", tags=suite_tags(plan, dataset), params=plan_params(plan)
    ) as run:
        log_dataset(dataset, plan.suite.dataset, "training")
        trained, failed = train_all(plan, dataset)
        with tempfile.TemporaryDirectory() as temporary:
            saes = sae_table(trained)
            report.write(saes, Path(temporary, "saes"))
            found = signatures_of_saes(saes)
            write_signatures(found, Path(temporary, "signatures"))
            log_folder(Path(temporary))
        tracking.log_metrics({"n_samples": len(dataset), "left_out": len(dataset.left_out)})
        for item in trained:
            print(f"{item.encoder.name:<24} seed {item.seed}  {'reused' if item.reused else 'trained'}  {item.run_id}")
        print_signatures(found)
        print(f"\nRun {run.info.run_id}: saes.csv, signatures.csv. Look at it with `make ui`.")
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
    for card, result in _results(plan, dataset):
        try:
            trained += result()
        except Exception as error:  # whatever one encoder does wrong, the others go on
            failed[card.name] = error
            if not tracking.is_recorded(error):
                record_failure(plan, card, dataset, error)
    if not trained and all(isinstance(error, InputError) for error in failed.values()):
        raise next(iter(failed.values()))  # the request was wrong, not the work
    return trained, {name: str(error) or type(error).__name__ for name, error in failed.items()}


def _results(plan: Plan, dataset: PairedDataset) -> Iterator[tuple[EncoderCard, Callable[[], list[Trained]]]]:
    """Yield each encoder and the function that returns its train runs: it does the work, unless workers did it."""
    from benchmark.jobs.train_units import train_elsewhere

    done = train_elsewhere(plan, dataset)
    for card in plan.encoders:
        yield card, done[card.name] if card.name in done else partial(train_encoder, plan, card, dataset)


def seed_keys(plan: Plan, card: EncoderCard, dataset: PairedDataset) -> tuple[str, dict[int, str]]:
    """Return the content key of an encoder's training, and {seed: content key} of its train runs."""
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
    key = {}
    for seed in plan.suite.seeds:
        init, order = plan.seeds_of(seed)
        key[seed] = keys.content_key({**base, "init_seed": init, "order_seed": order})
    # Where a seed means something else, what waits in a training's folder under its number is another SAE.
    fixed = {name: value for name in ("init_seed", "order_seed") if (value := getattr(plan, name)) is not None}
    return keys.content_key(base | fixed), key


def train_encoder(plan: Plan, card: EncoderCard, dataset: PairedDataset) -> list[Trained]:
    """Return the train runs of an encoder, in the order of the seeds: finished ones, and those made now."""
    training, key = seed_keys(plan, card, dataset)
    done = finished(plan, card, key)
    if len(done) < len(key):
        work = CACHE / "training" / f"{card.name}-{training}"
        with locked(work, f"training on '{card.name}'"):
            done |= finished(plan, card, {seed: key[seed] for seed in key if seed not in done})  # the other one's
            missing = {seed: key[seed] for seed in key if seed not in done}
            if missing:
                for seed, (run_id, folder) in train_seeds(plan, card, dataset, missing, work).items():
                    done[seed] = Trained(card, seed, run_id, folder, reused=False)
    return [done[seed] for seed in plan.suite.seeds]


def finished(plan: Plan, card: EncoderCard, key: dict[int, str]) -> dict[int, Trained]:
    """Return the finished runs of seeds with these keys whose artifacts and models are still there."""
    import registry
    from benchmark.jobs.recording import is_complete

    done = {}
    for seed in key:
        for run_id in registry.find_finished("train", key[seed]):
            folder = intact(run_id)
            if folder is None:
                continue
            found = Trained(card, seed, run_id, folder, reused=True)
            if is_complete(folder, found.layers, untrained=plan.suite.untrained) and _still_registered(
                folder, plan.seeds_of(seed).alias
            ):
                done[seed] = found
                break
    return done


def _still_registered(folder: Path, alias: str) -> bool:
    """Whether all models of a finished run are registered and undamaged; points their aliases at them again."""
    import registry

    uris = pd.read_parquet(folder / "saes.parquet").model_uri
    return all([registry.claim_alias(uri, alias) and registry.is_intact(uri) for uri in uris])


def record_failure(plan: Plan, card: EncoderCard, dataset: PairedDataset, error: Exception) -> None:
    """Leave a FAILED run behind for an encoder whose work failed before its own run began."""
    tags = {**suite_tags(plan, dataset), "encoder": card.name}
    try:
        with tracking.job_run("train", f"train {card.name}", nested=True, tags=tags, params=plan.recipe()):
            raise error
    except type(error):
        return
