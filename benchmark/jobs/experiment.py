"""A question as a job: train what is missing, answer it from recorded features, leave one run with the whole answer.

A command of this kind is a function that turns `Material` into files and `Findings`; `run_experiment` does the rest,
the same for all: reuse, failures, parameters, artifacts, metrics and what is printed.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.errors import InputError
from benchmark.features import Features
from benchmark.jobs import keys, tracking
from benchmark.jobs.compare_units import recorded
from benchmark.jobs.plan import Plan
from benchmark.jobs.provenance import log_dataset
from benchmark.jobs.results import CACHE, Trained, intact, log_folder, plan_params, raise_failures
from benchmark.jobs.sample_sets import sample_sets
from benchmark.jobs.sides import Layers, Recorded, Side
from benchmark.jobs.train import train_all

FINDINGS = "findings.json"
"""Artifact with the metrics, tags and printed text of an experiment, from which a run that reuses it takes them."""


@dataclass(frozen=True)
class Material:
    """What the trained SAEs of one plan give a question to work on."""

    plan: Plan
    dataset: PairedDataset
    trained: tuple[Trained, ...]
    """By encoder and seed, in the plan's order; encoders that failed are not among them."""
    failed: Mapping[str, str]
    """Encoder -> why it has none."""
    rows: Mapping[str, NDArray[np.int64]]
    """Name of each sample set that the suite reports on -> its samples."""

    @property
    def compared(self) -> NDArray[np.int64]:
        """The samples of the suite's first sample set, which figures are about unless they say otherwise."""
        return self.rows[self.plan.suite.report_on[0]]

    @property
    def encoders(self) -> dict[str, EncoderCard]:
        """Encoder -> its card, of those that did not fail."""
        return {item.encoder.name: item.encoder for item in self.trained}

    @property
    def sides(self) -> dict[Side, Recorded]:
        """(encoder, seed) -> its recorded features over all samples."""
        return recorded(self.trained, len(self.dataset))

    def load(self, encoder: str, seed: int, rows: NDArray[np.int64] | None = None) -> Layers:
        """Return {layer: features} of some samples (None: the compared ones), without those below `min_count`."""
        chosen = self.compared if rows is None else rows
        return self.sides[encoder, seed].load(chosen, self.plan.suite.min_count)

    def load_layer(
        self, encoder: str, seed: int, layer: int | None = None, rows: NDArray[np.int64] | None = None
    ) -> Features:
        """Return the features of one layer (None: the deepest recorded one), see `load`; no other is read."""
        side, chosen = self.sides[encoder, seed], self.compared if rows is None else rows
        which = max(side.features) if layer is None else layer
        return side.only(which).load(chosen, self.plan.suite.min_count)[which]

    def run_of(self, encoder: str, seed: int) -> Trained:
        """Return the train run of an encoder and seed; raises KeyError where there is none."""
        return {(item.encoder.name, item.seed): item for item in self.trained}[encoder, seed]


@dataclass(frozen=True)
class Findings:
    """The answer to a question, beside the files that were written for it."""

    text: str
    """What the command prints: tables and sentences, ready to read."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the run; those that are not finite are left out."""
    tags: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Sequence[Material], Path], Findings]
"""Answers a question: writes its files into the folder, which become the run's artifacts."""


def run_experiment(
    kind: str,
    plans: Sequence[Plan],
    answer: Answer,
    *,
    version: int,
    settings: Mapping[str, Any] | None = None,
    named: bool = False,
) -> int:
    """Run a question's command on the SAEs of one plan or several; returns its exit code.

    Args:
        kind: of the run, the command's name.
        plans: what is trained, one material each. The first one names the run.
        answer: called unless a FINISHED run has answered the same; an encoder that failed does not keep it from it.
        version: raised whenever the code of `answer` changes what comes out of the same inputs.
        settings: the command's own parameters that the answer depends on, JSON-able.
        named: the answer holds names of features, so it is another one once they were named anew.
    """
    import mlflow

    settings = dict(settings or {})
    tracking.open_store()
    datasets = [load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE) for plan in plans]
    rows = [sample_sets(plan, dataset) for plan, dataset in zip(plans, datasets, strict=True)]
    suite, names = plans[0].suite, ",".join(dict.fromkeys(dataset.name for dataset in datasets))
    with tracking.job_run(
        kind, f"{kind} {suite.name}",
        tags={"suite": suite.name, "dataset": names}, params={**plan_params(plans[0]), **settings, "dataset": names},
    ) as run, tempfile.TemporaryDirectory() as temporary:  # fmt: skip
        given = {dataset.fingerprint: (dataset, plan) for plan, dataset in zip(plans, datasets, strict=True)}
        for dataset, plan in given.values():
            log_dataset(dataset, plan.suite.dataset, kind)
        materials = [
            Material(plan, dataset, tuple(trained), failed, chosen)
            for plan, dataset, chosen in zip(plans, datasets, rows, strict=True)
            for trained, failed in [train_all(plan, dataset)]
        ]
        failed = {name: error for material in materials for name, error in material.failed.items()}
        if not all(material.trained for material in materials):
            raise_failures(failed)
        folder = Path(temporary)
        key = keys.content_key({
            "version": (kind, version), "settings": settings,
            "materials": [_identity(material) for material in materials],
            "names": [_names(material) for material in materials] if named else [],
        })  # fmt: skip
        mlflow.set_tag("key", key)
        found = _earlier(kind, key, folder)
        if found is None:
            found = answer(materials, folder)
            (folder / FINDINGS).write_text(json.dumps(asdict(found), indent=1) + "\n")
        log_folder(folder)
        mlflow.set_tags(dict(found.tags))
        tracking.log_metrics(found.metrics)
        _print(materials, found, folder, run.info.run_id)
        complete = {name for material in materials for name in material.encoders} - set(failed)
        raise_failures(failed, complete=len(complete))
    return 0


def require_encoders(material: Material, least: int, why: str) -> None:
    """Raise InputError unless so many encoders of a plan were asked for; WorkError if too few of them succeeded."""
    if len(material.plan.encoders) < least:
        raise InputError(f"{why} needs at least {least} encoders, got {len(material.plan.encoders)}.")
    if len(material.encoders) < least:
        raise_failures(material.failed, complete=len(material.encoders))


def _names(material: Material) -> list[str]:
    """Return the name run that says last how the features of each train run are called, "" where none does."""
    import registry

    return [next(iter(registry.naming_runs(item.run_id)), "") for item in material.trained]


def _identity(material: Material) -> dict[str, Any]:
    suite = material.plan.suite
    chosen = ("name", "report_on", "permutations", "folds", "min_count", "untrained")
    return {
        **{name: getattr(suite, name) for name in chosen},
        "dataset": material.dataset.name, "runs": [item.run_id for item in material.trained],
    }  # fmt: skip


def _print(materials: Sequence[Material], found: Findings, folder: Path, run_id: str) -> None:
    trained = [item for material in materials for item in material.trained]
    files = sorted(path.name for path in folder.iterdir() if path.name not in (FINDINGS, "manifest.json"))
    print(f"SAEs: {len(trained)} train runs, {sum(item.reused for item in trained)} reused\n\n{found.text}\n")
    print(f"Run {run_id}: {', '.join(files)}. Look at it with `make ui`.")


def _earlier(kind: str, key: str, folder: Path) -> Findings | None:
    """Copy the files of a finished run with this key into the folder and return its findings, if there is one."""
    import registry

    for run_id in registry.find_finished(kind, key):
        artifacts = intact(run_id)
        if artifacts is not None and (artifacts / FINDINGS).is_file():
            shutil.copytree(artifacts, folder, dirs_exist_ok=True)
            for own in (registry.MANIFEST, "config.json"):
                (folder / own).unlink(missing_ok=True)
            return Findings(**json.loads((folder / FINDINGS).read_text()))
    return None
