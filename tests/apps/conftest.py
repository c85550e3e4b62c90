import io
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apps_planted as planted
import mlflow
import numpy as np
import pandas as pd
import pytest
import streamlit as st
from apps_pages import log_run
from PIL import Image

import registry

HOSTILE = '<img src=x onerror="alert(1)"> **bold** ![x](http://127.0.0.1:9/x.png)'
KINDS = {"clip-image": "vlm", "vit": "vision", "bert": "text", "clip-text": "vlm"}
"""Encoders in the order in which the test store keeps them, which is not the order of kinds."""


PARTNERS = pd.DataFrame({
    "layer": 3, "feature": [0, 1, 2, 3], "rho": [0.9, 0.8, 0.7, 0.95], "partner_layer": 3, "partner": [1, 0, 2, 1],
    "held_out_rho": [0.5, 0.7, 0.1, 0.94], "S": [1.0, 2.0, 3.0, 4.0],
})  # fmt: skip
"""Partners of the vit's features in bert; its last feature fires nearly always."""
JPEG = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(JPEG, "JPEG")
FEATURES = {
    "feature_summary/L03.parquet": pd.DataFrame({
        "feature": [0, 1, 2, 3], "live": True, "frequency": [30, 40, 50, 900], "density": [0.03, 0.04, 0.05, 0.9],
        "mean_active": 1.0, "S": [30.0, 40.0, 50.0, 900.0],
    }),
    "feature_samples/L03.parquet": pd.DataFrame({
        "feature": [0, 0, 1, 1], "level": "top", "rank": [0, 1, 0, 1], "row": [5, 6, 6, 7], "value": [2.0, 1.0] * 2,
    }),
    "saes.parquet": pd.DataFrame({"layer": [3]}),
    "samples.parquet": pd.DataFrame({
        "row": [5, 6, 7], "id": ["a", "b", "c"], "group": [0, 1, 2], "caption": ["a dog", HOSTILE, "two cats"],
        "image": [0, -1, 1],
    }),
    "thumbnails.parquet": pd.DataFrame({"image": [0, 1], "jpeg": [JPEG.getvalue()] * 2}),
}  # fmt: skip
"""What the vit's train run keeps of four features."""


@dataclass(frozen=True)
class Store:
    """A filled store and the ids of its runs."""

    uri: str
    compare: str
    few_samples: str
    without_tables: str
    failed: str


def make_cells(n_samples: int = 20_000, chance: float = 0.09) -> pd.DataFrame:
    """Cells whose every value tells its source, target, aggregate and sample set."""
    rows = []
    for r, recorded_on in enumerate(("heldout", "train")):
        for a, aggregate in enumerate(("last", "layer_mean")):
            for i, source in enumerate(KINDS):
                for j, target in enumerate(KINDS):
                    value = 0.1 + 0.01 * (4 * i + j) + 0.2 * a + 0.4 * r
                    naive = value + chance * (1 - value)
                    rows.append({
                        "suite": "tiny", "dataset": "scenes", "source": source, "target": target,
                        "aggregate": aggregate, "recorded_on": recorded_on,
                        "n_samples": n_samples, "n_groups": n_samples,
                        "seed_pairs": 2 if i == j else 4, "naive": naive, "chance": chance, "calibrated": value,
                        "crossfit": value + 0.001, "low": value - 0.01, "high": value + 0.02,
                    })  # fmt: skip
    return pd.DataFrame(rows)


def make_board(cells: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard of cells, with a group to each encoder and, for seeds 0 and 1, values 0.01 lower and higher."""
    rows = []
    for (recorded_on, aggregate), part in cells.groupby(["recorded_on", "aggregate"], sort=False):
        others, names = part[part.source != part.target], list(part.source.unique())
        classes = {name: list(KINDS.values())[i] for i, name in enumerate(names)}
        out, into = others.groupby("source").crossfit.mean(), others.groupby("target").crossfit.mean()
        for i, name in enumerate(names):
            figures = {"share": out[name], "found": into[name], "asymmetry": out[name] - into[name]}
            figures["stability"] = part[(part.source == name) & (part.target == name)].crossfit.iloc[0]
            for kind in ("text", "vision", "vlm"):
                chosen = others[(others.source == name) & (others.target.map(classes.get) == kind)]
                if len(chosen):
                    figures[f"share_{kind}"] = chosen.crossfit.mean()
            for seed, more in (("", 0), ("0", -0.01), ("1", 0.01)):
                rows += [
                    {
                        "suite": "tiny", "dataset": "scenes", "codes": "topk", "recorded_on": recorded_on,
                        "aggregate": aggregate, "encoder": name, "seed": seed, "column": column, "value": value + more,
                        "low": value + more - 0.02, "high": value + more + 0.03, "group": "" if seed else str(i + 1),
                    }
                    for column, value in figures.items()
                ]  # fmt: skip
    return pd.DataFrame(rows)


def make_matrix(cells: pd.DataFrame) -> pd.DataFrame:
    """Pairs of seeds 0 and 1 whose means are the cells."""
    parts = [
        cells.assign(source_seed=s, target_seed=t, crossfit=cells.crossfit + 0.01 * (s - 0.5) + 0.02 * (t - 0.5))
        for s in (0, 1)
        for t in (0, 1)
    ]
    found = pd.concat(parts, ignore_index=True)
    return found[(found.source != found.target) | (found.source_seed != found.target_seed)]


def make_saes(train_run: str) -> pd.DataFrame:
    rows = [
        {
            "encoder": encoder, "modality": "text" if kind == "text" or encoder.endswith("text") else "image",
            "kind": kind, "family": encoder.split("-")[0], "seed": seed, "layer": 3, "d": 64, "n_latents": 512, "k": 32,
            "fvu": 0.123 + 0.1 * seed, "l0": 31.5, "dead": 0.25, "weight_cv": 1.5,
            "run_id": train_run, "model_uri": f"models:/sae-scenes-{encoder}-L03/1",
        }
        for encoder, kind in KINDS.items()
        for seed in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def copy(database: Path, to: Path) -> str:
    """Copy a database with what is still in its write-ahead log; return its URI."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return f"sqlite:///{to}"


@pytest.fixture(autouse=True)
def fresh_cache():
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="session")
def schema(tmp_path_factory) -> Path:
    """A SQLite store without runs; making its tables takes seconds, copying them does not."""
    path = tmp_path_factory.mktemp("schema") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        registry.connect()
    return path


@pytest.fixture(scope="session")
def filled(schema, tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("filled")
    uri = copy(schema, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        registry.connect()
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("app", str(folder / "artifacts")))
        common = {"suite": "tiny", "dataset": "scenes"}
        train = log_run(folder, FEATURES, kind="train", encoder="vit", seed="0", **common)
        failed = log_run(
            folder, {}, status="FAILED", kind="train", encoder="bert", seed="0", error=f"no weights {HOSTILE}", **common
        )
        broken = log_run(folder, {}, kind="compare", suite="broken", dataset="scenes")
        strange = {name: HOSTILE if name == "vit" else name for name in KINDS}
        few = make_cells(500, chance=0.6).replace({"source": strange, "target": strange})
        cells, saes = make_cells(), make_saes(train)
        hostile = log_run(
            folder, {"cells.parquet": few, "leaderboard.parquet": make_board(few)}, kind="compare", suite=HOSTILE,
            dataset="scenes",
        )  # fmt: skip
        good = log_run(
            folder,
            {"cells.parquet": cells, "saes.parquet": saes, "leaderboard.parquet": make_board(cells),
             "matrix.parquet": make_matrix(cells), "partners/vit/bert.parquet": PARTNERS,
              **{f"partners/clip-image/{name}.parquet": PARTNERS for name in ("vit", "bert")}},
            kind="compare", **common,
        )  # fmt: skip
        mlflow.log_metric("n_samples", 20_000, run_id=good)
    return Store(uri, good, hostile, broken, failed)


@pytest.fixture
def store(filled, monkeypatch) -> Store:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", filled.uri)
    registry.connect()
    return filled


@pytest.fixture
def own_store(filled, tmp_path, monkeypatch) -> Store:
    """A copy of the store that a test may log further runs to."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", copy(Path(filled.uri.removeprefix("sqlite:///")), tmp_path / "mlflow.db"))
    registry.connect()
    mlflow.set_experiment("app")
    return filled


@pytest.fixture(scope="session")
def planted_store(schema, tmp_path_factory) -> planted.Planted:
    folder = tmp_path_factory.mktemp("planted")
    uri = copy(schema, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        registry.connect()
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("planted", str(folder / "artifacts")))
        return planted.fill(uri)


@pytest.fixture
def features_store(planted_store, monkeypatch) -> planted.Planted:
    """A store whose train runs hold features of planted concepts."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", planted_store.uri)
    registry.connect()
    return planted_store


@pytest.fixture
def empty_store(schema, tmp_path, monkeypatch) -> str:
    uri = copy(schema, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    registry.connect()
    return uri


@pytest.fixture
def cells() -> pd.DataFrame:
    found = make_cells()
    assert np.isfinite(found.select_dtypes("number")).all().all()
    return found


@pytest.fixture
def pictures(monkeypatch):
    """The SVG files of the charts that pages draw, made at once instead of on a click: file name -> content."""
    found = {}
    offer = st.download_button

    def make(label, data, name, *rest, **options):
        if label == "SVG":
            found[name] = data()
        return offer(label, data, name, *rest, **options)

    monkeypatch.setattr(st, "download_button", make)
    return found
