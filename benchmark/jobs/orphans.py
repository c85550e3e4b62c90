"""Artifacts that nothing refers to: folders of deleted runs, and of runs and models that no store here knows."""

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import NamedTuple

import registry
from benchmark.errors import WorkError
from benchmark.jobs.cache_entries import usage
from benchmark.jobs.owners import is_dead
from registry.run_rows import pages

RUN, MODEL = re.compile(r"[0-9a-f]{32}"), re.compile(r"m-[0-9a-f]{32}")


class Orphan(NamedTuple):
    """A folder of artifacts that can go."""

    path: Path
    bytes: int
    why: str


def artifact_roots() -> list[Path]:
    """Return the local folders in which the experiments of the store keep their artifacts."""
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    from registry.locations import is_local, local_folder

    places = [e.artifact_location for e in pages(MlflowClient().search_experiments, view_type=ViewType.ALL)]
    return sorted({local_folder(place).absolute() for place in places if is_local(place)})


def orphans(store: Path) -> list[Orphan]:
    """Return the artifact folders of a local store, a SQLite file, that neither a run nor a registered model refers to.

    Folders are listed before the store is asked: one that is there has had its run before, so the folder of a run that
    starts meanwhile is never taken for an orphan. Several stores may share the artifact folder of a working directory:
    a folder is kept if any SQLite file beside it knows its run or model. Raises WorkError if one cannot be read.
    """
    found: list[tuple[Path, re.Pattern[str]]] = []
    for root in artifact_roots():
        found += [(path, RUN) for path in _named(root, RUN)]
        found += [(path, MODEL) for path in _named(root / "models", MODEL)]
    deleted_runs, deleted_models = _deleted()
    databases = {path.parent.parent if kind is RUN else path.parents[2] for path, kind in found}
    try:
        known = {name for folder in databases | {store.absolute().parent, Path.cwd()} for name in _known(folder)}
    except (sqlite3.Error, OSError) as error:
        raise WorkError(
            f"a SQLite file beside the artifacts cannot be read ({error}), so nothing is collected."
        ) from None
    result = []
    for path, kind in found:
        deleted = deleted_runs if kind is RUN else deleted_models
        if path.name in deleted:
            result.append(Orphan(path, usage(path)[0], "its run was deleted"))
        elif path.name not in known:
            result.append(Orphan(path, usage(path)[0], "no store here knows it"))
    return result


def _deleted() -> tuple[set[str], set[str]]:
    """Return the ids of deleted runs, and of models that were deleted or are only theirs; none that still works."""
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    client = MlflowClient()
    runs: set[str] = set()
    models: set[str] = set()
    registered = set(registry.registered_saes().values())
    ids = [experiment.experiment_id for experiment in pages(client.search_experiments, view_type=ViewType.ALL)]
    for run in pages(client.search_runs, experiment_ids=ids, run_view_type=ViewType.DELETED_ONLY):
        owner, heartbeat = (run.data.tags.get(tag, "") for tag in ("owner", "heartbeat"))
        if run.info.status != "RUNNING" or not owner or is_dead(owner, heartbeat):
            runs.add(run.info.run_id)
    for model in pages(client.search_logged_models, experiment_ids=ids):
        if model.source_run_id in runs and f"models:/{model.model_id}" not in registered:
            models.add(model.model_id)
    return runs, models


def _known(folder: Path) -> set[str]:
    """Return the ids of all runs, deleted ones included, and of all models in the SQLite stores of a folder."""
    known: set[str] = set()
    with contextlib.suppress(FileNotFoundError):
        for path in filter(_is_sqlite, folder.iterdir()):
            # An error must not pass for a store that knows nothing.
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as database:
                tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                if "runs" in tables:
                    known |= {row[0] for row in database.execute("SELECT run_uuid FROM runs")}
                if "logged_models" in tables:
                    active = "SELECT model_id FROM logged_models WHERE lifecycle_stage = 'active'"
                    known |= {row[0] for row in database.execute(active)}
    return known


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and pattern.fullmatch(p.name))
    return []
