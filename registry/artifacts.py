"""Artifacts that can be checked: a run's manifest, and an SAE's MLmodel file, name every file with its hash."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from registry.locations import is_local, local_folder, model_location, name_and_version
from registry.store import reach

MANIFEST = "manifest.json"
HASHES = "sha256"
"""Entry of an MLmodel file's metadata: {file of the SAE: SHA-256}."""
SIZES = "bytes"
"""Tag of a registered SAE: {file: its bytes}, as JSON."""
DATA = "data/sae"
"""Folder of a logged SAE's files within its model."""
OWN = "config.json"
"""What every run of a job logs before its work starts, and no manifest names."""
TRIES = 3
"""Downloads of a run's artifacts from a server before they count as damaged."""


class Damage(NamedTuple):
    """A file that is not what was logged."""

    file: str
    what: str


class Checked(NamedTuple):
    """What was found of the files of a run or a model."""

    files: int
    """How many files were compared with a hash."""
    damage: list[Damage]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(folder: Path) -> dict[str, str]:
    """Return {relative path: SHA-256} of every file below a folder, except its manifest."""
    return {
        path.relative_to(folder).as_posix(): file_hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def write_manifest(folder: Path) -> None:
    """Write `manifest.json`, {relative path: SHA-256} of every file below `folder`."""
    (folder / MANIFEST).write_text(json.dumps(file_hashes(folder), indent=1) + "\n")


def changed(folder: Path, hashes: Mapping[str, str]) -> list[Damage]:
    """Return which of the files with these hashes are not in the folder unchanged; none outside of it is read."""
    folder = folder.resolve()
    found = []
    for name, digest in hashes.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            found.append(Damage(name, "lies outside of the folder"))
            continue
        try:
            if file_hash(path) != digest:
                found.append(Damage(name, "changed"))
        except OSError as error:
            found.append(Damage(name, "missing" if isinstance(error, FileNotFoundError) else str(error.strerror)))
    return found


def verified(run_id: str, copies: Path | None = None) -> Path | None:
    """Return the local folder of a run's artifacts if every file of its manifest is there unchanged, else None.

    Those of a remote store are downloaded: into a folder of `copies`, where they are found again, if that is given.
    Raises OSError for a server that went away: what it holds is not known to be damaged.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    for _ in range(TRIES):
        try:
            location = mlflow.get_run(run_id).info.artifact_uri  # which waits for a server that is away for a moment
        except MlflowException:
            reach()
            return None
        try:
            kept = None if copies is None or is_local(location) else copies.resolve() / run_id
            if kept is not None:
                if _unchanged(kept):
                    return kept
                kept.mkdir(parents=True, exist_ok=True)
            found = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path="", dst_path=str(kept) if kept else None
            )
            folder = Path(found).resolve()
            return folder if _unchanged(folder) else None
        except ValueError:
            return None
        except (MlflowException, OSError):  # a download that breaks off is not tried again by MLflow
            if is_local(location):
                return None
    return None


def _unchanged(folder: Path) -> bool:
    """Whether a folder has a manifest, and every file that it names; raises ValueError for a damaged one."""
    manifest = folder / MANIFEST
    return manifest.is_file() and not changed(folder, _hashes(manifest.read_text()))


def check_run(run_id: str) -> Checked:
    """Compare all artifacts of a run with its manifest; those of a remote store are downloaded, and removed again.

    A run that logged nothing but its parameters (`pull`) has no manifest, and needs none.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        with _local(mlflow.get_run(run_id).info.artifact_uri) as folder:
            there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
            if there == {OWN}:
                return Checked(0, [])
            if not there:
                return Checked(0, [Damage("", "no artifact is left")])
            hashes = _hashes((folder / MANIFEST).read_text())
            return Checked(len(hashes), changed(folder, hashes))
    except FileNotFoundError:
        return Checked(0, [Damage(MANIFEST, "missing")])
    except ValueError:
        return Checked(0, [Damage(MANIFEST, "damaged")])
    except (MlflowException, OSError) as error:
        return Checked(0, [Damage("", _first_line(error))])


def check_model(uri: str) -> Checked:
    """Compare the files of a registered SAE (`models:/NAME/VERSION`) with the hashes in its MLmodel file.

    0 files and no damage: it was logged without hashes, by an older version. What a remote store holds is downloaded,
    and removed again.
    """
    import yaml
    from mlflow.exceptions import MlflowException

    try:
        with _local(model_location(uri)) as folder:
            if not (folder / "MLmodel").is_file():
                return Checked(0, [Damage("MLmodel", "missing")])
            model = yaml.safe_load((folder / "MLmodel").read_text())
            hashes = dict((model["metadata"] or {}).get(HASHES) or {})
            data = (folder / model["flavors"]["python_function"]["data"]).resolve()
            if not data.is_relative_to(folder.resolve()):
                return Checked(0, [Damage("MLmodel", "names data outside of the folder")])
            return Checked(len(hashes), changed(data, hashes))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return Checked(0, [Damage("MLmodel", "damaged")])
    except (MlflowException, OSError) as error:
        return Checked(0, [Damage("", _first_line(error))])


def is_intact(uri: str) -> bool:
    """Whether no file of a registered SAE is known to be damaged: hashes of those on this machine, sizes of a server's.

    So many gigabytes are not downloaded for every job; `load_sae` and `check_model` compare their hashes. Raises
    OSError for a server that went away.
    """
    from mlflow.exceptions import MlflowException

    try:
        location = model_location(uri)
        return not check_model(uri).damage if is_local(location) else _has_sizes(uri, location)
    except (MlflowException, ValueError):
        reach()
        return False


def _has_sizes(uri: str, location: str) -> bool:
    """Whether a server lists the files of a registered SAE with the sizes that were logged."""
    import mlflow

    text = mlflow.MlflowClient().get_model_version(*name_and_version(uri)).tags.get(SIZES)
    if text is None:  # of an older version
        return True
    listed = mlflow.artifacts.list_artifacts(artifact_uri=f"{location.rstrip('/')}/{DATA}")
    found = {file.path.rpartition("/")[2]: file.file_size for file in listed}
    return all(found.get(name) == size for name, size in json.loads(text).items())


def _hashes(text: str) -> dict[str, str]:
    """Return the entries of a manifest; raises ValueError for anything else."""
    found: Any = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(digest, str) for digest in found.values()):
        raise ValueError("this is no manifest.")
    return found


@contextmanager
def _local(location: str) -> Iterator[Path]:
    """Yield a folder with the artifacts at a location: their own, or one with copies that is removed at the end."""
    import mlflow

    if is_local(location):
        yield local_folder(location)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(mlflow.artifacts.download_artifacts(artifact_uri=location, dst_path=folder))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
