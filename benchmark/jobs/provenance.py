"""Where results come from: versions of code and libraries, and the dataset as an input of an MLflow run."""

import functools
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.datasets import PairedDataset
from benchmark.datasets.load import resolve

if TYPE_CHECKING:
    from mlflow.data.dataset import Dataset

LIBRARIES = ("torch", "transformers", "open_clip_torch", "timm", "datasets", "numpy", "numba", "mlflow")
PROJECT = Path(__file__).parents[2]
SOURCE = ("kind", "source", "config", "revision", "split", "seed")
"""Fields of a dataset's card that say where it comes from."""
TRIES = 5


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python, of the libraries that decide results, and the revision of the code."""
    found = {"version.python": platform.python_version(), "version.code": revision()}
    for library in LIBRARIES:
        try:
            found[f"version.{library}"] = version(library)
        except PackageNotFoundError:
            continue
    return found


def revision(folder: Path = PROJECT) -> str:
    """Return the commit of a checkout, with "+changes" if tracked files differ from it; "" outside of one."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != folder.resolve():
            return ""  # installed somewhere below another project's checkout
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def log_dataset(dataset: PairedDataset, card: str, context: str) -> "Dataset":
    """Log a dataset as an input of the active run ("training", "comparison", ...) and return it as MLflow knows it.

    Its digest is the fingerprint of the samples' ids. `card` is the name or path that it was loaded by; the card's
    fields that say where it comes from are kept as its source.
    """
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    fields = {name: getattr(resolve(card), name) for name in SOURCE}
    about: dict[str, object] = {name: value for name, value in fields.items() if value}
    about |= {"content": dataset.content_hash, "n_samples": len(dataset), "left_out": len(dataset.left_out)}
    known = MetaDataset(CodeDatasetSource(about), name=dataset.name, digest=dataset.fingerprint)  # type: ignore[abstract]
    _log_input(known, context)
    return known


def _log_input(dataset: "Dataset", context: str) -> None:
    """Log an input of the active run, and again if it fails: of jobs that name it first, MLflow refuses all but one."""
    import mlflow
    from mlflow.exceptions import MlflowException

    for i in range(TRIES):
        try:
            mlflow.log_input(dataset, context=context)
            return
        except MlflowException:
            if i == TRIES - 1:
                raise
            time.sleep(0.1 * 2**i)
