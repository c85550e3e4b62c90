"""The sweep job, which answers whether a k and an expansion suffice for a set of encoders."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from benchmark import report
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.jobs import keys, tracking
from benchmark.jobs.configs import SweepConfig
from benchmark.jobs.plan import Plan
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
from benchmark.jobs.signature_log import print_signatures, read_signatures, write_signatures
from benchmark.jobs.sweep_cells import Compared, compare_cells, plans, train_cells
from benchmark.jobs.sweep_summary import Cell, cell_table, recommended, sentences
from benchmark.signature import Signature, names

SHOWN = ["k", "expansion", "dead", "fvu", "pca_fvu", "self", "floor", "cross", "explains", "agrees"]
MEASURES = ("self", "cross", "fvu", "dead")
"""Columns that are logged as metrics, NAME/kK/eEXPANSION."""


def sweep(config: SweepConfig) -> int:
    """Run the `sweep` command; returns its exit code."""
    wanted = plans(config)
    plan = next(iter(wanted.values()))
    tracking.open_store()
    dataset = load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE)
    rows = sample_sets(plan, dataset)
    first = plan.suite.report_on[0]
    params = plan_params(plan) | {name: ",".join(map(str, getattr(config, name))) for name in ("k", "expansion")}
    with tracking.job_run("sweep", f"sweep {plan.suite.name}", tags=suite_tags(plan, dataset), params=params) as run:
        each = ", ".join(report.counted(len(part), noun) for part, noun in (
            (wanted, "cell"), (plan.encoders, "encoder"), (plan.suite.seeds, "seed")))  # fmt: skip
        print(f"Sweep over k and expansion: {each}")
        trained, failed, left_out = train_cells(wanted, dataset)
        if not trained:
            raise_failures(failed)
        result = _finished(plan, dataset, trained)
        if result is None:
            compared, errors = compare_cells(trained, wanted, {first: rows[first]}, len(dataset))
            failed |= errors
            if not compared:
                raise_failures(failed)
            result = _joined(compared)
        _log(plan, dataset, trained, *result)
        _print(plan, len(rows[first]), *result, left_out, run.info.run_id)
        raise_failures(failed, complete=int(result[0].complete.sum()))
    return 0


Result = tuple[pd.DataFrame, pd.DataFrame, list[Signature]]
"""The table of cells, that of their encoders, and the signatures."""


def _joined(compared: Mapping[Cell, Compared]) -> Result:
    encoders = pd.concat([item.encoders for item in compared.values()], ignore_index=True)
    table = cell_table(encoders, {cell: item.values for cell, item in compared.items()}, encoders.encoder.nunique())
    table["signatures"] = [",".join(names(item.signatures)) for item in compared.values()]
    return table, encoders, [signature for item in compared.values() for signature in item.signatures]


def _finished(plan: Plan, dataset: PairedDataset, trained: Mapping[Cell, list[Trained]]) -> Result | None:
    """Tag the active run with its key; return what a finished sweep with the same key found, if there is one."""
    import mlflow

    import registry

    suite = plan.suite
    key = keys.content_key({
        "version": keys.COMPARISON, "dataset": dataset.name, "suite": suite.name, "report_on": suite.report_on[0],
        "folds": suite.folds, "min_count": suite.min_count, "untrained": suite.untrained,
        "runs": {str(cell): [item.run_id for item in runs] for cell, runs in trained.items()},
    })  # fmt: skip
    mlflow.set_tag("key", key)
    for run_id in registry.find_finished("sweep", key):
        folder = intact(run_id)
        if folder is not None:
            table, encoders = (pd.read_parquet(folder / f"{name}.parquet") for name in ("sweep", "encoders"))
            return table, encoders, read_signatures(folder / "signatures.parquet")
    return None


def _log(
    plan: Plan,
    dataset: PairedDataset,
    trained: Mapping[Cell, list[Trained]],
    table: pd.DataFrame,
    encoders: pd.DataFrame,
    found: list[Signature],
) -> None:
    import mlflow

    from benchmark import plots_sweep

    title = f"{plan.suite.name}: {dataset.name}, {report.counted(encoders.encoder.nunique(), 'encoder')}"
    saes = pd.concat([sae_table(runs).assign(expansion=cell.expansion) for cell, runs in trained.items()])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, frame in (("sweep", table), ("encoders", encoders), ("saes", saes)):
            report.write(frame, folder / name)
        write_signatures(found, folder / "signatures")
        plots_sweep.lines(table, title, folder / "sweep.png")
        plots_sweep.interactive(table, title, folder / "sweep.html")
        (folder / "recommendation.txt").write_text("\n".join(sentences(table)) + "\n", encoding="utf-8")
        log_folder(folder)
    metrics = {}
    for row in table.to_dict("records"):
        for name in MEASURES:
            metrics[f"{name}/k{row['k']}/e{row['expansion']}"] = row[name]
    tracking.log_metrics(metrics)
    mlflow.set_tag("recommended", str(recommended(table) or "none"))


def _print(
    plan: Plan,
    n_samples: int,
    table: pd.DataFrame,
    encoders: pd.DataFrame,
    found: list[Signature],
    left_out: list[str],
    run: str,
) -> None:
    print(f"\nMeans over {report.counted(encoders.encoder.nunique(), 'encoder')}, {n_samples:,} samples "
          f"({plan.suite.report_on[0]}); self: between seeds of one encoder, floor: the same before training, "
          "cross: between encoders, all cross-fitted\n")  # fmt: skip
    print(table[SHOWN].to_string(index=False, float_format="{:.3f}".format, na_rep="–"), "\n")
    for line in (*sentences(table), *left_out):
        print(line)
    if len(plan.suite.seeds) < 3:
        print("Two seeds give one pair: the intervals show the samples' share of the uncertainty, hardly the seeds'.")
    print_signatures(found)
    print(f"\nRun {run}: sweep.csv, encoders.csv, saes.csv, signatures.csv (.parquet too), sweep.png, sweep.html")
