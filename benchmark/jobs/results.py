"""What jobs share: finished train runs, their tables, and how a job that failed in part ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset
from benchmark.errors import WorkError
from benchmark.jobs.locks import locked
from benchmark.jobs.plan import Plan

CACHE = Path(".cache")


@dataclass(frozen=True)
class Trained:
    """The finished train run of one encoder and seed."""

    encoder: EncoderCard
    seed: int
    run_id: str
    folder: Path
    """Local copy of its artifacts."""
    reused: bool

    @property
    def layers(self) -> list[int]:
        """Layers with recorded features, shallow to deep."""
        return sorted(int(path.stem[1:]) for path in (self.folder / "features").glob("L*.safetensors"))


def raise_failures(failed: Mapping[str, str], *, complete: int = 0) -> None:
    """Print what failed and raise WorkError if anything did: the active run ends FAILED, with all that was logged.

    complete: how many others there are that did not fail.
    """
    if not failed:
        return
    import mlflow

    mlflow.set_tag("failed", ",".join(failed))
    for name, error in failed.items():
        print(f"FAILED {name}: {error}")
    others = f"; {complete} other{'s are' if complete > 1 else ' is'} complete" if complete else ""
    raise WorkError(f"failed: {', '.join(failed)} (see above){others}.")


def sae_table(trained: Sequence[Trained]) -> pd.DataFrame:
    """Return one row per SAE: what it is, its quality, its run and its registered model."""
    parts = []
    for item in trained:
        card = item.encoder  # a reused run may have been recorded under another description, or another seed's number
        part = pd.read_parquet(item.folder / "saes.parquet")
        about = {name: getattr(card, name) for name in ("modality", "kind", "family", "size")}
        # A run from before the two could differ does not tell them.
        random = {name: part.get(name, part.seed) for name in ("init_seed", "order_seed")}
        parts.append(part.assign(encoder=card.name, **about, **random, seed=item.seed))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def log_folder(folder: Path) -> None:
    """Log a folder's files, with a manifest of their hashes, on the active run."""
    import mlflow

    import registry

    registry.write_manifest(folder)
    mlflow.log_artifacts(str(folder))


def intact(run_id: str) -> Path | None:
    """Return a run's artifacts if all are there unchanged, else None; a server's are fetched once and kept."""
    import registry

    if registry.is_here(run_id):
        return registry.verified(run_id)
    copies = CACHE / "artifacts"
    with locked(copies / run_id, f"fetching run {run_id}"):
        return registry.verified(run_id, copies)


def fetched(run_id: str) -> Path:
    """Return a run's artifacts, see `intact`; raises WorkError where they cannot be read, or changed."""
    folder = intact(run_id)
    if folder is None:
        raise WorkError(f"the artifacts of run {run_id} cannot be read or are damaged; run the job again.")
    return folder


def suite_tags(plan: Plan, dataset: PairedDataset) -> dict[str, str]:
    """Return the tags that runs of a suite share."""
    return {"suite": plan.suite.name, "dataset": dataset.name}


def plan_params(plan: Plan) -> dict[str, Any]:
    """Return a plan's settings as parameters of a run."""
    shown = (
        "dataset", "layers", "max_samples", "codes", "untrained", "permutations", "folds", "min_count", "paper_code",
    )  # fmt: skip
    return {
        **{name: getattr(plan.suite, name) for name in shown},
        **plan.recipe(),
        "encoders": ",".join(card.name for card in plan.encoders),
        "seeds": ",".join(map(str, plan.suite.seeds)),
        "report_on": ",".join(plan.suite.report_on),
        "device": plan.device,
        "precision": plan.precision,
        "compile": plan.compile,
        **{name: value for name in ("init_seed", "order_seed") if (value := getattr(plan, name)) is not None},
    }
