"""SAEs as registered MLflow models: safetensors and JSON, never pickle."""

import contextlib
import io
import json
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.artifacts import DATA, HASHES, SIZES, changed, file_hashes
from registry.locations import name_and_version

if TYPE_CHECKING:
    from mlflow.data.dataset import Dataset

    from benchmark.sae import TopKSAE
    from benchmark.sae.formats.about import About

LOADER = Path(__file__).with_name("topk_sae_pyfunc.py")


def model_name(dataset: str, encoder: str, layer: int) -> str:
    """Return the registered name of an SAE, `sae-DATASET-ENCODER-L00`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", f"sae-{dataset}-{encoder}-L{layer:02d}")


def log_sae(
    sae: "TopKSAE",
    *,
    dataset: str,
    encoder: str,
    layer: int,
    seed: int | None,
    metrics: Mapping[str, float] | None = None,
    data: "Dataset | None" = None,
    metadata: Mapping[str, Any] | None = None,
    alias: str = "",
) -> str:
    """Log an SAE on the active run, register it and point an alias at it.

    Args:
        sae: the trained SAE.
        dataset, encoder, layer, seed: what it was trained on; the first three make its registered name. seed None:
            nobody knows.
        data: the MLflow dataset that the metrics were measured on; they are linked with it.
        metrics: quality figures, in the MLmodel file and linked to the logged model; on the run their step is the
            layer.
        metadata: further entries for the MLmodel file (fingerprints, keys), such as JSON can hold.
        alias: default `seed-N`; needed where the seed is not known.

    Returns:
        `models:/NAME/VERSION`.
    """
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from benchmark.sae import write_sae

    name = model_name(dataset, encoder, layer)
    about = {
        "dataset": dataset, "encoder": encoder, "layer": layer, **({} if seed is None else {"seed": seed}),
        "d": sae.d, "n_latents": sae.n_latents, "k": sae.k, "expansion": round(sae.n_latents / sae.d, 4),
    }  # fmt: skip
    measured = {name: float(value) for name, value in (metrics or {}).items()}
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, sae.d))]),
        outputs=Schema([
            TensorSpec(np.dtype(np.int64), (-1, sae.k), "indices"),
            TensorSpec(np.dtype(np.float32), (-1, sae.k), "values"),
        ]),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, Path(DATA).name)
        write_sae(sae, files)
        sizes = json.dumps({file.name: file.stat().st_size for file in files.iterdir()})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*input example.*")  # it would only repeat the signature
            info = mlflow.pyfunc.log_model(
                name=name,
                loader_module=LOADER.stem,
                data_path=str(files),
                code_paths=[str(LOADER)],
                pip_requirements=["mlflow", "numpy", "safetensors"],
                signature=signature,
                metadata={
                    **about,
                    **({"quality": measured} if measured else {}),
                    **(metadata or {}),
                    HASHES: file_hashes(files),
                },
                params=about,
                # MLflow links a model with the metrics of its step, and layers share a run.
                step=layer,
            )
    if measured:
        mlflow.log_metrics(measured, step=layer, model_id=info.model_id, dataset=data)
    with contextlib.redirect_stderr(io.StringIO()):  # it reports every registration
        version = str(mlflow.register_model(info.model_uri, name, tags={SIZES: sizes}).version)
    mlflow.MlflowClient().set_registered_model_alias(name, alias or f"seed-{seed}", version)
    return f"models:/{name}/{version}"


def claim_alias(uri: str, alias: str) -> bool:
    """Point an alias (`seed-N`) of a registered SAE (`models:/NAME/VERSION`) at it; False if it is gone."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name, version = name_and_version(uri)
    client = MlflowClient()
    try:
        if alias not in client.get_model_version(name, version).aliases:
            client.set_registered_model_alias(name, alias, version)
    except MlflowException:
        return False
    return True


def load_sae(uri: str, device: str = "cpu") -> "TopKSAE":
    """Return a registered or logged SAE (`models:/NAME/VERSION` or `models:/NAME@seed-N`) as a torch module.

    Only safetensors and JSON are read; no code of the model runs. Raises ValueError for a model that does not exist
    or is no TopK SAE, or whose files are not those that were logged.
    """
    from benchmark.sae import read_sae

    folder, model = _downloaded(uri)
    try:
        data = (folder / model["flavors"]["python_function"]["data"]).resolve()
    except (KeyError, TypeError) as error:
        raise ValueError(f"{uri} is not a registered SAE: {error}.") from None
    if not data.is_relative_to(folder):
        raise ValueError(f"{uri}: its data lies outside the model's folder.")
    sae = read_sae(data, device)
    for damage in changed(data, (model.get("metadata") or {}).get(HASHES) or {}):
        raise ValueError(f"{uri} is damaged: {damage.file} {damage.what}; a job that needs it trains it again.")
    return sae


def about_sae(uri: str) -> "About":
    """Return what a registered or logged SAE was trained on, and its quality figures.

    Raises ValueError for a model that does not exist.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from benchmark.sae.formats.about import about

    _, model = _downloaded(uri)
    said = dict(model.get("metadata") or {})
    try:
        metrics = MlflowClient().get_logged_model(model["model_id"]).metrics or []
    except (MlflowException, KeyError):  # a model of an older MLflow
        metrics = []
    measured = {metric.key: metric.value for metric in metrics}
    return about(said | ({"quality": measured} if measured else {}))


def _downloaded(uri: str) -> "tuple[Path, dict[str, Any]]":
    """Return a model's folder and what its MLmodel file says."""
    import mlflow
    import yaml
    from mlflow.exceptions import MlflowException

    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri)).resolve()
        model = yaml.safe_load((folder / "MLmodel").read_text())
    except (MlflowException, OSError, yaml.YAMLError) as error:
        raise ValueError(f"{uri} is not a registered SAE: {str(error).rstrip('.')}.") from None
    if not isinstance(model, dict):
        raise ValueError(f"{uri} is not a registered SAE: its MLmodel file is damaged.")
    return folder, model
