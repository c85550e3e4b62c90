"""Comparing as units of work: the seeds of two encoders on one sample set each, for workers that share only the store.

A unit's result is an MLflow run of kind `pairs` below the comparison's: a table, resampled values, and the hashes of
both. A finished one with the same content key is reused, by a comparison that was killed and started again too.
"""

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.catalog import EncoderCard, SuiteCard
from benchmark.datasets import PairedDataset
from benchmark.errors import InputError, WorkError
from benchmark.jobs import keys, tracking
from benchmark.jobs.backends import fan_out
from benchmark.jobs.matrix import Draws, compare_pairs
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.plan import Plan
from benchmark.jobs.results import Trained, fetched, intact, log_folder, suite_tags
from benchmark.jobs.sides import Recorded, Side
from benchmark.jobs.units import Unit

TABLE, DRAWS = "pairs.parquet", "draws.npy"
Runs = list[tuple[EncoderCard, int, str]]
"""Encoder, seed and id of each train run."""


def compare_trained(
    plan: Plan, trained: Sequence[Trained], dataset: PairedDataset, rows: Mapping[str, NDArray[np.int64]]
) -> tuple[pd.DataFrame, dict[tuple, Draws], dict[str, str]]:
    """Return what `compare_pairs` returns of all train runs, on every sample set: `rows` of the dataset.

    Other processes do it where they help; the result is the same to the bit. Units that failed there are missing from
    it, and returned with their errors. Raises WorkError if all of the first sample set did, InputError for a request
    that cannot be met.
    """
    suite, sides = plan.suite, [(item.encoder.name, item.seed) for item in trained]
    pairs = list(itertools.combinations(sides, 2))
    between = list(dict.fromkeys(frozenset((a[0], b[0])) for a, b in pairs))
    processes = plan.backend.processes(len(between) * len(rows), "cpu")
    if not processes and not plan.backend.elsewhere:
        before = recorded(trained, len(dataset), untrained=True) if suite.untrained else None
        table, draws = compare_pairs(
            suite, recorded(trained, len(dataset)), rows, untrained=before, budget=memory_budget("cpu")
        )
        return table, draws, {}
    runs: Runs = [(item.encoder, item.seed, item.run_id) for item in trained]
    several, tags = any(len(item.layers) > 1 for item in trained), suite_tags(plan, dataset)
    units = [
        Unit(
            f"compare {' and '.join(sorted(names))} on {name}",
            "benchmark.jobs.compare_units:compare_unit",
            (suite, runs, len(dataset), name, masked(chosen, len(dataset)), names, several, tags),
        )
        for name, chosen in rows.items()
        for names in between
    ]  # fmt: skip
    answers = fan_out(plan.backend, processes, units, "compare", "pair of encoders")
    found: dict[tuple[str, frozenset[Side]], list[dict[str, Any]]] = {}
    draws = {}
    failed: dict[str, str] = {}
    for unit, answer in zip(units, answers, strict=True):
        if answer.wrong_request:
            raise InputError(f"{unit.name}: {answer.error}")
        if answer.error:
            failed[unit.name] = answer.error
            continue
        table, drawn = _read(fetched(answer.value))
        for record, values in zip(table.to_dict("records"), drawn, strict=True):
            row = {str(name): value for name, value in record.items()}
            source, target = (row["source"], row["source_seed"]), (row["target"], row["target_seed"])
            draws[row["recorded_on"], row["aggregate"], source, target] = values
            found.setdefault((row["recorded_on"], frozenset((source, target))), []).append(row)
    if not any(name == next(iter(rows)) for name, _ in found):
        raise WorkError("; ".join(f"{name}: {error}" for name, error in failed.items()))
    ordered = [row for name in rows for pair in pairs for row in found.get((name, frozenset(pair)), [])]
    return pd.DataFrame(ordered), draws, failed


def compare_unit(
    suite: SuiteCard,
    runs: Runs,
    n_samples: int,
    name: str,
    mask: bytes,
    between: frozenset[str],
    several: bool,
    tags: Mapping[str, str],
) -> str:
    """Compare the seeds of two encoders (or of one) on a sample set; return the id of the run with the result.

    Args:
        suite: says how.
        runs: all train runs of the comparison.
        n_samples: size of the data set.
        name: sample set.
        mask: which samples are in it, packed bits.
        between: the encoders.
        several: whether all layers are compared, beside the last ones.
        tags: of the comparison's runs.
    """
    import registry

    key = keys.content_key({
        "version": keys.COMPARISON, "runs": [run for card, _, run in runs if card.name in between],
        "between": sorted(between), "several": several, "report_on": name, "samples": mask.hex(),
        "permutations": suite.permutations, "folds": suite.folds, "min_count": suite.min_count,
        "untrained": suite.untrained, "paper_code": suite.paper_code,
    })  # fmt: skip
    for run_id in registry.find_finished("pairs", key):
        if intact(run_id) is not None:
            return run_id
    rows = unmasked(mask, n_samples)
    title = f"compare {' and '.join(sorted(between))} on {name}"
    with (
        tracking.job_run("pairs", title, nested=True, tags={**tags, "key": key}, params={"sample_set": name}) as run,
        tempfile.TemporaryDirectory() as temporary,
    ):
        trained = [
            Trained(card, seed, run_id, fetched(run_id), True) for card, seed, run_id in runs if card.name in between
        ]
        before = recorded(trained, n_samples, untrained=True) if suite.untrained else None
        table, draws = compare_pairs(
            suite, recorded(trained, n_samples), {name: rows},
            untrained=before, budget=memory_budget("cpu"), between=between, several=several,
        )  # fmt: skip
        table.to_parquet(Path(temporary, TABLE), index=False)
        np.save(Path(temporary, DRAWS), np.array([
            draws[row.recorded_on, row["aggregate"], (row.source, row.source_seed), (row.target, row.target_seed)]
            for _, row in table.iterrows()
        ]))  # fmt: skip
        log_folder(Path(temporary))
    return run.info.run_id


def masked(rows: NDArray[np.int64], n_samples: int) -> bytes:
    """Return which of so many samples are among ascending `rows`, a bit each."""
    chosen = np.zeros(n_samples, bool)
    chosen[rows] = True
    return np.packbits(chosen).tobytes()


def unmasked(mask: bytes, n_samples: int) -> NDArray[np.int64]:
    """Return the rows of a mask."""
    return np.flatnonzero(np.unpackbits(np.frombuffer(mask, np.uint8), count=n_samples))


def _read(folder: Path) -> tuple[pd.DataFrame, Draws]:
    return pd.read_parquet(folder / TABLE), np.load(folder / DRAWS, allow_pickle=False)


def recorded(trained: Sequence[Trained], n_samples: int, *, untrained: bool = False) -> dict[Side, Recorded]:
    """Return the recorded features of train runs over `n_samples` samples, or those of their SAEs before training."""
    from benchmark.jobs.recording import norms_path
    from registry.queries import feature_path

    return {
        (item.encoder.name, item.seed): Recorded(
            {layer: item.folder / feature_path(layer, untrained=untrained) for layer in item.layers},
            n_samples,
            {} if untrained else {layer: item.folder / norms_path(layer) for layer in item.layers},
        )
        for item in trained
    }
