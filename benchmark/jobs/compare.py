"""The main job: train what is missing, compare all pairs of encoders, and log the matrices."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark import report
from benchmark.catalog import CHOICES, EncoderCard
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.jobs import keys, tracking
from benchmark.jobs.compare_units import compare_trained, recorded
from benchmark.jobs.configs import CompareConfig
from benchmark.jobs.matrix import cells, wide
from benchmark.jobs.memory import memory_budget
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
from benchmark.jobs.sample_sets import sample_sets
from benchmark.jobs.signature_log import print_signatures, signatures_of_comparison, write_signatures
from benchmark.jobs.train import train_all
from benchmark.metrics.caveats import caveats, decimals
from benchmark.metrics.describe import EXTRAS, MEASURES
from benchmark.metrics.leaderboard import leaderboard
from benchmark.signature import Signature

LABELS = {measure: title for measure, (title, _) in (MEASURES | EXTRAS).items()}
PANELS = ("crossfit", "untrained", "naive", "chance", "calibrated", "paper_code")
"""Measures with a panel of their own in the figure; the page has all."""
KINDS = CHOICES[EncoderCard]["kind"]
FEW_SEEDS = 5
"""Below this many seeds, resampling them cannot show how much they matter."""


def compare(config: CompareConfig) -> int:
    """Run the `compare` command; returns its exit code."""
    plan = make_plan(config)
    if config.dry_run:
        from benchmark.jobs.dry_run import dry_run

        return dry_run(plan.here())
    tracking.open_store()
    dataset = load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE)
    rows = sample_sets(plan, dataset)
    with tracking.job_run(
        "compare", f"compare {plan.suite.name}", tags=suite_tags(plan, dataset), params=plan_params(plan)
    ) as run:
        log_dataset(dataset, plan.suite.dataset, "comparison")
        trained, failed = train_all(plan, dataset)
        complete = len({item.encoder.name for item in trained} - set(failed))
        if len(trained) < 2:
            raise_failures(failed, complete=complete)
        tables, earlier, lost = _tables(plan, dataset, trained, rows)
        failed |= lost
        cell_table = tables.cells
        order = [card.name for card in sorted(plan.encoders, key=lambda card: KINDS.index(card.kind))]
        order = [name for name in order if name in set(cell_table.source)]
        found = signatures_of_comparison(headline(plan, cell_table), sae_table(trained))
        compared = rows[plan.suite.report_on[0]]
        _log(plan, dataset, trained, tables, order, found, compared, earlier)
        _print(plan, dataset, trained, cell_table, order, found, run.info.run_id)
        raise_failures(failed, complete=complete)
    return 0


class Tables(NamedTuple):
    """What was compared."""

    matrix: pd.DataFrame
    """One row per source, target, seeds, aggregate and sample set."""
    cells: pd.DataFrame
    """Its means over pairs of seeds."""
    leaderboard: pd.DataFrame
    """Its means over classes of encoders."""


def _tables(
    plan: Plan, dataset: PairedDataset, trained: Sequence[Trained], rows: dict[str, np.ndarray]
) -> tuple[Tables, Path | None, dict[str, str]]:
    """Return what was compared, the artifacts of a finished run with the same key that it is from, and what failed."""
    import mlflow

    import registry

    suite = plan.suite
    key = keys.content_key({
        "version": keys.COMPARISON, "dataset": dataset.name, "runs": [item.run_id for item in trained],
        "report_on": suite.report_on, "permutations": suite.permutations, "folds": suite.folds,
        "min_count": suite.min_count, "untrained": suite.untrained, "paper_code": suite.paper_code,
        "suite": suite.name,
    })  # fmt: skip
    mlflow.set_tag("key", key)
    for run_id in registry.find_finished("compare", key):
        folder = intact(run_id)
        if folder is not None and (folder / "leaderboard.parquet").exists():  # which older versions did not write
            return Tables(*(pd.read_parquet(folder / f"{name}.parquet") for name in Tables._fields)), folder, {}
    table, draws, failed = compare_trained(plan, trained, dataset, rows)
    board = leaderboard(table, draws, {item.encoder.name: item.encoder.kind for item in trained})
    board.insert(0, "codes", suite.codes)
    found = Tables(table, cells(table, draws), board)
    for part in found:
        part.insert(0, "suite", suite.name)
        part.insert(1, "dataset", dataset.name)
    return found, None, failed


def headline(plan: Plan, cell_table: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of the suite's first sample set and of the widest aggregate."""
    aggregate = "layer_mean" if "layer_mean" in set(cell_table["aggregate"]) else "last"
    return cell_table[(cell_table.recorded_on == plan.suite.report_on[0]) & (cell_table["aggregate"] == aggregate)]


def _log(
    plan: Plan,
    dataset: PairedDataset,
    trained: Sequence[Trained],
    tables: Tables,
    order: list[str],
    found: list[Signature],
    rows: np.ndarray,
    earlier: Path | None,
) -> None:
    from benchmark import plots
    from benchmark.jobs.feature_partners import write_partners

    shown = headline(plan, tables.cells)
    title = f"{plan.suite.name}: {dataset.name}, {shown.n_samples.iloc[0]:,} {plan.suite.report_on[0]} samples"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, frame in zip(Tables._fields, tables, strict=True):
            report.write(frame, folder / name)
        report.write(sae_table(trained), folder / "saes")
        write_signatures(found, folder / "signatures")
        write_partners(
            recorded(trained, len(dataset)), rows, folder,
            folds=plan.suite.folds, min_count=plan.suite.min_count, budget=memory_budget("cpu"), earlier=earlier,
        )  # fmt: skip
        labels = {measure: label for measure, label in LABELS.items() if measure in shown}
        matrices = {labels[measure]: wide(shown, measure, order) for measure in PANELS if measure in labels}
        ends = wide(shown, "low", order), wide(shown, "high", order)
        plots.heatmaps(matrices, title, folder / "matrix.png", {labels["crossfit"]: ends})
        plots.interactive(shown, order, labels, title, folder / "matrix.html")
        left_out = pd.DataFrame(dataset.left_out, columns=["id", "reason"])
        (folder / "left_out.csv").write_bytes(report.csv(left_out))
        log_folder(folder)
    metrics: dict[str, float] = {"n_samples": float(shown.n_samples.iloc[0]), "left_out": float(len(dataset.left_out))}
    prefixes = {measure: "wmppc" if measure == "naive" else f"wmppc_{measure}" for measure in labels}
    for cell in shown.to_dict("records"):
        for measure, prefix in prefixes.items():
            metrics[f"{prefix}/{cell['source']}/{cell['target']}"] = cell[measure]
    tracking.log_metrics(metrics)


def _print(
    plan: Plan,
    dataset: PairedDataset,
    trained: Sequence[Trained],
    cell_table: pd.DataFrame,
    order: list[str],
    found: list[Signature],
    run: str,
) -> None:
    shown = headline(plan, cell_table)
    n = int(shown.n_samples.iloc[0])
    form = f"{{:.{decimals(shown.n_groups)}f}}".format
    reused = sum(item.reused for item in trained)
    print(f"\n{dataset.name}: {len(dataset):,} samples ({len(dataset.left_out)} left out), "
          f"{n:,} of them compared ({plan.suite.report_on[0]})")  # fmt: skip
    print(f"SAEs: {len(trained)} train runs, {reused} reused\n")
    for measure, heading in (
        ("crossfit", "wMPPC, cross-fitted (source in rows, target in columns; diagonal: across seeds = ceiling)"),
        ("untrained", "wMPPC, cross-fitted, between SAEs before training (floor)"),
        ("naive", "wMPPC as published (naive)"),
        ("chance", "chance level of the naive value"),
        ("paper_code", "wMPPC (naive) as the authors' published code computes it"),
    ):
        if measure in shown:
            print(heading)
            print(wide(shown, measure, order).to_string(float_format=form, na_rep="–"), "\n")
    widest = (shown.high - shown.low).max() / 2
    print(f"95 % intervals (seeds and groups of samples resampled) are at most ±{widest:.3f} wide; see cells.csv.")
    if (few := len(plan.suite.seeds)) < FEW_SEEDS:
        seeds = report.counted(few, "seed")
        print(f"With {seeds} they show the samples' share of the uncertainty, hardly the seeds'.")
    for caveat in caveats(shown.n_groups, shown.chance):
        print(f"CAUTION: {caveat}")
    print_signatures(found)
    tables = ", ".join(f"{name}.csv" for name in (*Tables._fields, "saes", "signatures"))
    print(f"\nRun {run}: matrix.png, matrix.html, {tables}")
    print("Look at it with `make ui` (MLflow) or `make app` (Streamlit).")
