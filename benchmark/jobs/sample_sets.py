"""The samples that a suite compares on: those held out, those that trained, or all."""

import numpy as np
from numpy.typing import NDArray

from benchmark.datasets import PairedDataset
from benchmark.errors import InputError
from benchmark.jobs.plan import Plan


def sample_sets(plan: Plan, dataset: PairedDataset) -> dict[str, NDArray[np.int64]]:
    """Return the samples of each set that the suite reports on; raises InputError if one is too small to compare."""
    masks = {"all": np.ones(len(dataset), bool), "heldout": dataset.heldout, "train": ~dataset.heldout}
    rows = {name: np.flatnonzero(masks[name]) for name in plan.suite.report_on}
    for name, chosen in rows.items():
        groups = len(set(dataset.groups[chosen].tolist()))
        if groups < 2 * plan.suite.folds:
            raise InputError(
                f"dataset '{dataset.name}' has {groups} groups of samples in its set '{name}', too few for "
                f"{plan.suite.folds} folds; use more samples or fewer folds."
            )
    return rows
