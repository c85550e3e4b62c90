"""The command `consistency`: what other data would have said, at the same number of samples.

Every dataset is cut to the size of the smallest, its own SAEs are trained on it, and as many held-out samples of each
are compared, one of a group (the first caption of an image). Tables it leaves (CSV and Parquet), one row per ...

- `cells`: dataset, source and target: crossfit, naive, chance, untrained, ..., seed_pairs; low and high off the
  diagonal from `consistency_cells` (seeds pooled over cells), on it from resampled seeds and groups.
- `differences`: pair of datasets (first, second) and cell: both values, difference, error, low, high (95 %), resolved.
- `datasets`: dataset: alignment (mean of the cross-modal cells), low, high, naive, chance, untrained, ceiling (mean of
  the diagonal) and relative (mean over these cells of the value over the geometric mean of both ceilings).
- `agreement`: pair of datasets: mean_difference over cells with low and high, rms, sd_beyond_noise, correlation of the
  matrices with Mantel's p_value, kendall_tau, between_seeds (the correlation of two seeds' matrices within a dataset),
  alignment_difference with low and high (simultaneous over all pairs of datasets) and resolved.
- `typology`, `typology_differences`, `transfer`, `partners`: see `consistency_types` and `consistency_transfer`.
- `saes`: SAE.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark import report
from benchmark.datasets import load_dataset
from benchmark.errors import InputError
from benchmark.jobs.consistency_cells import agreement, alignments, compared, differences
from benchmark.jobs.consistency_text import sentences
from benchmark.jobs.consistency_transfer import transfers
from benchmark.jobs.consistency_types import type_differences, typology
from benchmark.jobs.experiment import Findings, Material, require_encoders, run_experiment
from benchmark.jobs.experiment_configs import ConsistencyConfig
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.results import CACHE, sae_table


def consistency(config: ConsistencyConfig) -> int:
    """Run the `consistency` command; returns its exit code."""
    plans = consistency_plans(config)
    return run_experiment("consistency", plans, answer, version=1, settings={"datasets": ",".join(config.datasets)})


def consistency_plans(config: ConsistencyConfig) -> list[Plan]:
    """Return one plan a dataset, all with as many samples as the smallest one has.

    Raises InputError for fewer than two datasets, encoders or seeds, a dataset named twice, and for `dataset`, which is
    not used.
    """
    if config.dataset:
        raise InputError("consistency compares several datasets; name them in datasets and leave dataset out.")
    if len(set(config.datasets)) < max(len(config.datasets), 2):
        raise InputError(f"consistency needs two or more different datasets, got '{','.join(config.datasets)}'.")
    plans = [make_plan(replace(config, dataset=dataset)) for dataset in config.datasets]
    if len(plans[0].encoders) < 2:  # before anything is trained
        raise InputError(f"consistency compares matrices of two or more encoders, got {len(plans[0].encoders)}.")
    if len(plans[0].suite.seeds) < 2:
        raise InputError(
            "consistency tells seeds from datasets by two or more seeds of each encoder; give two or more."
        )
    found = [load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE) for plan in plans]
    names = [dataset.name for dataset in found]
    if len(set(names)) < len(names):
        raise InputError(f"two of the datasets have one name ({', '.join(names)}); rename a file, or write a card.")
    smallest = min(map(len, found))
    return [replace(plan, suite=replace(plan.suite, max_samples=smallest)) for plan in plans]


def matched_rows(materials: Sequence[Material]) -> list[NDArray[np.int64]]:
    """Return as many compared samples of each dataset, ascending: the first one of each of equally many groups."""
    firsts = [
        material.compared[np.unique(material.dataset.groups[material.compared], return_index=True)[1]]
        for material in materials
    ]
    smallest = min(map(len, firsts))
    return [np.sort(np.random.default_rng(0).permutation(rows)[:smallest]) for rows in firsts]


def answer(materials: Sequence[Material], folder: Path) -> Findings:
    """Write the tables and the figure; see the module."""
    from benchmark import plots_consistency

    for material in materials:
        require_encoders(material, 2, "consistency")
    names = [name for name in materials[0].encoders if all(name in material.encoders for material in materials)]
    rows = matched_rows(materials)
    found = {
        material.dataset.name: compared(material, chosen, names)
        for material, chosen in zip(materials, rows, strict=True)
    }
    cards = materials[0].encoders
    crossing = [(a, b) for a in names for b in names if cards[a].modality != cards[b].modality]
    transfer, partners = transfers(materials, rows, names)
    kinds = typology(materials, rows, names)
    saes = [sae_table(material.trained).assign(dataset=material.dataset.name) for material in materials]
    tables = {
        "cells": pd.concat([item.cells.assign(dataset=dataset) for dataset, item in found.items()]),
        "differences": differences(found), "datasets": alignments(found, crossing),
        "agreement": agreement(found, crossing, names), "typology": kinds,
        "typology_differences": type_differences(kinds),
        "transfer": transfer, "partners": partners,
        "saes": pd.concat(saes),
    }  # fmt: skip
    for name, frame in tables.items():
        report.write(frame.reset_index(drop=True), folder / name)
    suite = materials[0].plan.suite
    title = f"{suite.name}: {len(rows[0]):,} {suite.report_on[0]} samples of each dataset, {len(suite.seeds)} seeds"
    plots_consistency.figure(tables, {name: cards[name].modality for name in names}, title, folder / "consistency.png")
    text = sentences(tables, len(rows[0]), len(suite.seeds))
    (folder / "consistency.txt").write_text(text + "\n", encoding="utf-8")
    return Findings(text, _metrics(tables) | {"n_samples": float(len(rows[0]))})


def _metrics(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    found = {}
    for row in tables["datasets"].to_dict("records"):
        for name in ("alignment", "low", "high", "ceiling", "relative"):
            found[f"consistency/{name}/{row['dataset']}"] = row[name]
    for row in tables["agreement"].to_dict("records"):
        for name in ("mean_difference", "sd_beyond_noise", "correlation", "p_value", "alignment_difference"):
            found[f"consistency/{name}/{row['first']}/{row['second']}"] = row[name]
    for row in tables["typology"].to_dict("records"):
        found[f"consistency/positive_delta/{row['dataset']}/{row['encoder']}"] = row["weighted_share"]
    for (on, to), part in tables["partners"].groupby(["trained_on", "applied_to"]):
        found[f"consistency/kept_partners/{on}/{to}"] = float(part.kept.mean())
    return found
