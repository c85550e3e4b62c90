"""The validation job: how far every measure is from the truth, in planted worlds and on trained features."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from benchmark import report
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.errors import InputError
from benchmark.jobs import tracking
from benchmark.jobs.configs import RunConfig, ValidateConfig
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.results import CACHE, log_folder, raise_failures
from benchmark.jobs.validation_factors import agreement, captioned_auc, planted_factors
from benchmark.jobs.validation_sharedness import sharedness_grid
from benchmark.jobs.validation_summary import Tables, metrics, summary
from benchmark.jobs.validation_weights import by_frequency, weighted_wmppc, worth
from benchmark.jobs.validation_worlds import errors, estimate_grid, identified_from
from benchmark.worlds import WorldConfig

LEAST = 10
"""Samples a fold that worlds with five captions an image need."""
FEWEST_LATENTS = 10
"""With fewer source features not every kind of feature that Comparative Sharedness is tried on would occur."""
ENOUGH_TO_PROBE = 200
"""Samples of each half among which every value of every factor occurs."""


def validate(config: ValidateConfig) -> int:
    """Run the `validate` command; returns its exit code."""
    world = _world(config)
    suite = _suite(config) if config.suite else None
    tracking.open_store()
    tags = {"suite": suite[0].suite.name, "dataset": suite[1].name} if suite else {}
    params = {name: ",".join(map(str, value)) if isinstance(value, tuple) else value
              for name, value in asdict(config).items()}  # fmt: skip
    with tracking.job_run("validate", "validate", tags=tags, params=params) as run:
        failed: dict[str, str] = {}
        tables: dict[str, pd.DataFrame] = {}
        if suite:  # first: what fails, fails here
            failed = _trained_tables(*suite, tables)
        tables |= _world_tables(config, world)
        text = summary(tables)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for name, table in tables.items():
                report.write(table, folder / name)
            _draw(tables, folder)
            (folder / "summary.md").write_text(text)
            log_folder(folder)
        tracking.log_metrics(metrics(tables))
        print(f"\n{text}\nRun {run.info.run_id}: {', '.join(tables)} (.csv, .parquet, .png), summary.md.")
        print("What the tables mean: docs/validity.md. Look at them with `make ui`.")
        raise_failures(failed)
    return 0


def _world(config: ValidateConfig) -> WorldConfig:
    """Return the plain world; raises InputError for a grid that cannot be planted."""
    for name in ("samples", "shares", "seeds"):
        if not getattr(config, name):
            raise InputError(f"{name} is empty; give at least one value.")
    if config.folds < 2 or config.permutations < 0:
        raise InputError(
            f"folds must be at least 2 and permutations at least 0, got {config.folds} and {config.permutations}."
        )
    if min(config.samples) < LEAST * config.folds:
        raise InputError(
            f"samples must be at least {LEAST * config.folds} for {config.folds} folds, got {min(config.samples)}."
        )
    if min(config.seeds) < 0:
        raise InputError(f"seeds must be at least 0, got {min(config.seeds)}.")
    if config.n_latents < FEWEST_LATENTS:
        raise InputError(f"n_latents must be at least {FEWEST_LATENTS}, got {config.n_latents}.")
    world = WorldConfig(n_latents=config.n_latents, k=config.k)
    try:
        for share in config.shares:
            replace(world, share=share).checked()
    except ValueError as error:
        raise InputError(str(error)) from None
    return world


def _suite(config: ValidateConfig) -> tuple[Plan, PairedDataset]:
    """Return the suite whose trained SAEs are looked at; raises InputError for one that cannot be validated."""
    plan = make_plan(RunConfig(suite=config.suite, max_samples=config.max_samples, device=config.device))
    for name, wanted in (("codes", "topk"), ("train_on", "train")):
        if (value := getattr(plan.suite, name)) != wanted:
            raise InputError(
                f"the suite '{plan.suite.name}' has {name}: {value}, but features are validated by their TopK codes on "
                "samples that no SAE was trained on; choose another suite."
            )
    if len(plan.encoders) < 2:
        raise InputError(f"the suite '{plan.suite.name}' has one encoder; partners need two or more.")
    dataset = load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE)
    planted_factors(dataset, plan.suite.dataset)
    fewest = min(int(dataset.heldout.sum()), int((~dataset.heldout).sum()))
    if fewest < ENOUGH_TO_PROBE:
        raise InputError(
            f"dataset '{dataset.name}' has {fewest} samples in one of its halves, too few to probe for planted factors "
            f"({ENOUGH_TO_PROBE}); use more samples."
        )
    return plan, dataset


def _world_tables(config: ValidateConfig, world: WorldConfig) -> dict[str, pd.DataFrame]:
    samples, shares, seeds = sorted(set(config.samples)), sorted(set(config.shares)), sorted(set(config.seeds))
    grid = estimate_grid(samples, shares, seeds, world, permutations=config.permutations, folds=config.folds)
    return {
        "estimates": grid,
        "errors": errors(grid),
        "identified": identified_from(grid),
        "sharedness": sharedness_grid(samples, seeds, world, folds=config.folds),
    }


def _trained_tables(plan: Plan, dataset: PairedDataset, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Add the tables of the suite's trained SAEs; returns {encoder: error} of those that failed."""
    from benchmark.jobs.train import train_all
    from benchmark.jobs.validation_features import feature_tables

    trained, failed = train_all(plan, dataset)
    if len({item.encoder.name for item in trained}) < 2:
        raise_failures(failed)
    found = feature_tables(plan, dataset, trained)
    tables |= {
        "features": found.features,
        "partners": found.partners,
        "probes": found.probes,
        "concepts": found.concepts,
        "captioned": captioned_auc(found.concepts),
        "agreement": agreement(found.features[found.features.S > 0], found.partners),
        "weights": weighted_wmppc(found.features, found.partners),
        "worth": worth(found.features),
        "rarity": by_frequency(found.features, found.partners),
    }
    return failed


def _draw(tables: Tables, folder: Path) -> None:
    from benchmark import plots_validation as plots

    plots.estimates(tables["estimates"], folder / "estimates.png")
    plots.errors(tables["estimates"], folder / "errors.png")
    plots.sharedness(tables["sharedness"], folder / "sharedness.png")
    if "features" in tables:
        plots.concepts(tables["concepts"], tables["captioned"], folder / "concepts.png")
        plots.weights(tables["features"], folder / "weights.png")
        plots.rarity(tables["rarity"], folder / "rarity.png")
