"""Artifacts that can be checked: a run's manifest names every file with its hash."""

import hashlib
import json
from pathlib import Path

MANIFEST = "manifest.json"


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Write `manifest.json`, {relative path: SHA-256} of every file below `folder`."""
    entries = {
        path.relative_to(folder).as_posix(): file_hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    (folder / MANIFEST).write_text(json.dumps(entries, indent=1) + "\n")


def verified(run_id: str) -> Path | None:
    """Return the local folder of a run's artifacts if every file of its manifest is there unchanged, else None."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        folder = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="")).resolve()
        entries = json.loads((folder / MANIFEST).read_text())
        for name, digest in entries.items():
            path = (folder / name).resolve()
            if not path.is_relative_to(folder) or file_hash(path) != digest:
                return None
    except (MlflowException, OSError, ValueError, AttributeError):
        return None
    return folder
