"""The drift job: what changes when the data does, beyond what other seeds and other samples would change.

Artifacts, CSV and Parquet: `changes` (every cell of the wMPPC matrix on every variant against the plain data),
`delta` (likewise Comparative Sharedness as a whole), `delta_features` (agreement of Delta between features and their
partners on a variant), `correspondence` (each encoder's dictionaries of the plain data against those of a variant, over
the samples that both have), `matrix` (all pairs of seeds on all datasets). Figures: drift.png, correspondence.png.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmark import report
from benchmark.catalog import DatasetCard, cards
from benchmark.datasets import load_dataset
from benchmark.datasets.load import resolve
from benchmark.datasets.variants import ALL_CHANGES, SIGN, changes
from benchmark.errors import InputError, unknown
from benchmark.jobs.drift_cells import changed_cells, matrices
from benchmark.jobs.drift_delta import delta_tables
from benchmark.jobs.drift_rows import matched_samples
from benchmark.jobs.drift_same import correspondence
from benchmark.jobs.drift_text import metrics, text
from benchmark.jobs.encoder_groups import Groups
from benchmark.jobs.experiment import Findings, Material, run_experiment
from benchmark.jobs.experiment_configs import DriftConfig, SharednessConfig
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.results import CACHE, raise_failures
from benchmark.jobs.sharedness import questions

VERSION = 1


@dataclass(frozen=True)
class Asked:
    """What a drift run is about."""

    plans: list[Plan]
    """Of the plain data first, then of the variants, all with as many samples."""
    variants: list[str]
    """What the variants are called."""
    groups: list[Groups]
    """M, G and H; none where the suite's encoders do not make up such groups."""
    without: str = ""
    """Why there are none."""


def drift(config: DriftConfig) -> int:
    """Run the `drift` command; returns its exit code."""
    asked = plans(config)
    settings = {
        "variants": asked.variants,
        "groups": [f"{g.source}>{g.shared_with}>{g.absent_from}" for g in asked.groups],
    }

    def answer(materials: Sequence[Material], folder: Path) -> Findings:
        return _answer(materials, asked, folder)

    return run_experiment("drift", asked.plans, answer, version=VERSION, settings=settings)


def plans(config: DriftConfig) -> Asked:
    """Return the plans of the plain data and of its variants, matched in the number of samples.

    Raises InputError for an unknown variant, one that is named twice or is the plain data, and for groups that are
    asked for and cannot be compared.
    """
    plan = make_plan(config)
    card = resolve(plan.suite.dataset)
    wanted = list(config.variants or [change for change in changes(card) if change not in card.augment])
    names = [plan.suite.dataset]
    for name in wanted:
        is_change = all(part in ALL_CHANGES for part in name.split(SIGN))
        if not (is_change or name in cards(DatasetCard) or Path(name).suffix or Path(name).exists()):
            raise unknown("variant", name, [*changes(card), *cards(DatasetCard)])
        names.append(f"{plan.suite.dataset}{SIGN}{name}" if is_change else name)
    called = [resolve(name).name for name in names]
    for name in called:
        if called.count(name) > 1:
            raise InputError(f"variants names '{name}' twice, or the plain data itself; take one out.")
    groups: list[Groups] = []
    without = ""
    given = {name: getattr(config, name) for name in ("source", "shared_with", "absent_from")}
    known = {name: getattr(config, name) for name in SharednessConfig.__dataclass_fields__ if hasattr(config, name)}
    try:
        with_groups, groups = questions(SharednessConfig(**{**known, "beside": ("none",)}))
        extra = [card for card in with_groups.encoders if card not in plan.encoders]
        plan = replace(plan, encoders=(*plan.encoders, *extra))
    except InputError as error:
        if any(given.values()):
            raise
        without = str(error)
    sizes = [len(load_dataset(name, plan.suite.max_samples, CACHE)) for name in names]
    count = plan.suite.max_samples if len(set(sizes)) == 1 else min(sizes)
    suites = [replace(plan.suite, dataset=name, max_samples=count) for name in names]
    return Asked([replace(plan, suite=suite) for suite in suites], wanted, groups, without)


def _answer(materials: Sequence[Material], asked: Asked, folder: Path) -> Findings:
    from benchmark import plots_drift as plots

    plain, *others = materials
    suite = plain.plan.suite
    encoders = [name for name in plain.encoders if all(name in other.encoders for other in others)]
    if len(encoders) * len(suite.seeds) < 2:
        raise_failures({name: error for each in materials for name, error in each.failed.items()})
        raise InputError("drift needs at least two encoders, or two seeds of one.")
    compared = matched_samples(["plain", *asked.variants], materials)
    groups = [each for each in asked.groups if {each.source, *each.shared_with, *each.absent_from} <= set(encoders)]
    pairs = matrices(compared, encoders)
    tables = {
        "changes": changed_cells(pairs, compared, encoders),
        "correspondence": correspondence(compared, encoders),
        **delta_tables(compared, groups),
        "matrix": pd.concat([found.table.assign(variant=name) for name, found in pairs.items()], ignore_index=True),
    }
    for name, table in tables.items():
        report.write(table, folder / name)
    title = f"{suite.name}: {plain.dataset.name}, {len(compared[0].rows):,} {suite.report_on[0]} samples each"
    plots.changes(tables["changes"], encoders, title, folder / "drift.png")
    if len(tables["correspondence"]):
        plots.correspondence(tables["correspondence"], title, folder / "correspondence.png")
    return Findings(text(compared, tables, asked.without), metrics(tables), {"variants": ",".join(asked.variants)})
