"""The cells of a sweep: their SAEs, trained or reused, and what a comparison of them gives."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.datasets import PairedDataset
from benchmark.errors import InputError
from benchmark.jobs.compare import headline
from benchmark.jobs.compare_units import recorded
from benchmark.jobs.configs import SweepConfig
from benchmark.jobs.matrix import cells, compare_pairs, drawn_cell
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.results import Trained, sae_table
from benchmark.jobs.signature_log import signatures_of_comparison
from benchmark.jobs.sweep_summary import Cell, Values
from benchmark.jobs.train import train_all
from benchmark.sae.diagnostics import Quality
from benchmark.signature import Signature


class Compared(NamedTuple):
    """What the comparison of one cell gives."""

    encoders: pd.DataFrame
    """One row per encoder: k, expansion, encoder, quality (means over seeds and layers), self with its interval
    self_low and self_high, floor (self before training; NaN where that was not recorded), cross (mean over the others
    as targets)."""
    values: Values
    signatures: list[Signature]


def plans(config: SweepConfig) -> dict[Cell, Plan]:
    """Return the plan of every cell, cheap ones first; raises InputError for a sweep that cannot work."""
    if config.n_latents is not None:
        raise InputError("a sweep sets the size of the dictionary by expansion; leave n_latents out.")
    for name in ("k", "expansion"):
        chosen = getattr(config, name)
        if not chosen or min(chosen) < 1:
            raise InputError(f"{name} must list one or more whole numbers of at least 1.")
        if len(set(chosen)) < len(chosen):
            raise InputError(f"{name} holds a value twice: {','.join(map(str, chosen))}.")
    found = {}
    for k, expansion in itertools.product(sorted(config.k), sorted(config.expansion)):
        plan = make_plan(replace(config, k=k, expansion=expansion, n_latents=0))  # type: ignore[arg-type]
        # Chance needs permutations, and cross-fitted values need no chance.
        found[Cell(k, expansion)] = replace(plan, suite=replace(plan.suite, permutations=0, paper_code=False))
    if len(plan.suite.seeds) < 2:
        raise InputError("a sweep compares seeds of one encoder; give two or more.")
    return found


def train_cells(
    wanted: Mapping[Cell, Plan], dataset: PairedDataset
) -> tuple[dict[Cell, list[Trained]], dict[str, str], list[str]]:
    """Train the SAEs of every cell; a cell or encoder that fails stops no other.

    Returns:
        The train runs of each cell that has any, {cell and encoder: error} of what failed, and a sentence for each k
        that was left out because it is no sparse code of the narrowest layer.

    Raises InputError where every cell is left out or refused.
    """
    trained: dict[Cell, list[Trained]] = {}
    failed: dict[str, str] = {}
    errors: list[Exception] = []
    left_out: dict[int, str] = {}
    width = 0
    for cell, plan in tqdm(wanted.items(), desc="sweep", unit="cell", mininterval=0.5):
        if width and cell.k >= width:
            left_out[cell.k] = _no_sparse_code(cell.k, width)
            continue
        try:
            done, errors_of = train_all(plan, dataset)
        except Exception as error:  # whatever one cell does wrong, the others go on
            failed[str(cell)] = str(error) or type(error).__name__
            errors.append(error)
            continue
        failed |= {f"{name} ({cell})": error for name, error in errors_of.items()}
        if done:
            width = int(sae_table(done).d.min())
            if cell.k < width:
                trained[cell] = done
            else:  # the first cell, which told the width
                left_out[cell.k] = _no_sparse_code(cell.k, width)
    if not trained and not failed:
        raise InputError(f"no cell is left: {' '.join(left_out.values())} Give a smaller k.")
    if not trained and errors and all(isinstance(error, InputError) for error in errors):
        raise errors[0]  # the request was wrong, not the work
    return trained, failed, list(left_out.values())


def _no_sparse_code(k: int, width: int) -> str:
    return (
        f"k={k} is left out: the narrowest layer has width {width}, so that many active latents are no sparse code "
        "of it."
    )


def compare_cells(
    trained: Mapping[Cell, list[Trained]],
    wanted: Mapping[Cell, Plan],
    rows: Mapping[str, NDArray[np.int64]],
    n_samples: int,
) -> tuple[dict[Cell, Compared], dict[str, str]]:
    """Compare the SAEs of every cell; returns what that gives, and {cell: error} of those that could not be."""
    found: dict[Cell, Compared] = {}
    failed: dict[str, str] = {}
    for cell, runs in tqdm(trained.items(), desc="compare cells", unit="cell", mininterval=0.5):
        try:
            found[cell] = _compare(cell, wanted[cell], runs, rows, n_samples)
        except Exception as error:  # a dictionary that never fires has no value, and the others have
            failed[str(cell)] = str(error) or type(error).__name__
    return found, failed


def _compare(
    cell: Cell, plan: Plan, runs: list[Trained], rows: Mapping[str, NDArray[np.int64]], n_samples: int
) -> Compared:
    before = recorded(runs, n_samples, untrained=True) if plan.suite.untrained else None
    long, draws = compare_pairs(
        plan.suite, recorded(runs, n_samples), rows, untrained=before, budget=memory_budget("cpu")
    )
    shown = headline(plan, cells(long, draws))
    saes = sae_table(runs)
    found = [
        item._replace(subject=f"{cell}: {item.subject}".removesuffix(": "))
        for item in signatures_of_comparison(shown, saes)
    ]
    rng = np.random.default_rng(0)
    of_cells = {
        (str(source), str(target)): drawn_cell(part, draws, rng)
        for (source, target), part in long[long["aggregate"] == shown["aggregate"].iloc[0]].groupby(
            ["source", "target"]
        )
    }
    order = list(dict.fromkeys(saes.encoder))
    per_encoder = []
    for encoder in order:
        part, own = saes[saes.encoder == encoder], shown[(shown.source == encoder) & (shown.target == encoder)]
        others = shown[(shown.source == encoder) & (shown.target != encoder)]
        per_encoder.append({
            **cell._asdict(), "encoder": encoder, "n_latents": int(part.n_latents.max()),
            **{name: float(part[name].mean()) for name in Quality._fields},
            "self": float(own.crossfit.mean()), "self_low": float(own.low.mean()), "self_high": float(own.high.mean()),
            "floor": float(own.untrained.mean()) if before else np.nan, "cross": float(others.crossfit.mean()),
        })  # fmt: skip
    cross = [drawn for (s, t), drawn in of_cells.items() if s != t]
    values = Values(
        np.mean([of_cells[encoder, encoder] for encoder in order], axis=0),
        np.mean(cross, axis=0) if cross else np.empty(0),
    )
    return Compared(pd.DataFrame(per_encoder), values, found)
