"""Where the files of runs and registered models lie."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def is_here(run_id: str) -> bool:
    """Whether the artifacts of a run are read where they lie; False for a run that is not there."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return is_local(mlflow.get_run(run_id).info.artifact_uri)
    except MlflowException:
        return False


def is_local(location: str) -> bool:
    """Whether artifacts at this location are read where they lie."""
    return urlsplit(location).scheme in ("", "file")


def local_folder(location: str) -> Path:
    """Return the folder of a local location, a path or a file: URI."""
    parts = urlsplit(location)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(location)


def name_and_version(uri: str) -> tuple[str, str]:
    """Return the name and the version of a registered model, `models:/NAME/VERSION`."""
    name, _, version = uri.removeprefix("models:/").rpartition("/")
    return name, version


def model_location(uri: str) -> str:
    """Return where the files of a registered model (`models:/NAME/VERSION`) are."""
    from mlflow import MlflowClient

    client = MlflowClient()
    source = str(client.get_model_version(*name_and_version(uri)).source)
    if not source.startswith("models:/"):
        return source
    return str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)
