"""Train runs keep the quality of their SAEs, tables of latents, and failure signatures."""

import numpy as np
import pandas as pd
import pytest

import registry
from benchmark.datasets import load_dataset
from benchmark.features import SparseFeatures
from benchmark.sae import quality
from benchmark.sae.diagnostics import Quality

SMALL = ["--max-samples", "300", "--epochs", "1", "--k", "4", "--seeds", "6", "--training", "b_dec=zero"]


@pytest.fixture
def trained(command, here):
    """One train run, its table of SAEs, and what the command printed."""
    code, out, error = command("train", "--encoders", "one.yaml", *SMALL)
    assert code == 0, error
    parent = registry.runs("FINISHED", kind="train").iloc[0]
    table = registry.table(parent.run_id, "saes.parquet")
    return parent, registry.verified(table.run_id.iloc[0]), table.iloc[0], out


def test_a_train_run_holds_the_quality_on_held_out_samples(trained, here):
    _, folder, row, _ = trained
    dataset = load_dataset("scenes", 300, here / ".cache", progress=False)
    held = np.flatnonzero(dataset.heldout)
    features = SparseFeatures.load(folder / "features" / "L02.safetensors").take(held)
    (path,) = [p for p in here.glob(".cache/activations/tiny-vit-*/*/L02.npy") if len(np.load(p, "r")) == 300][:1]
    found = quality(registry.load_sae(row.model_uri), np.load(path, "r"), features, rows=held)
    for name, value in found._asdict().items():
        assert row[name] == pytest.approx(value, nan_ok=True), name
    assert set(Quality._fields) | {"loss_fall"} <= set(row.index)
    run = registry.runs(kind="train", encoder="tiny-vit", seed="6").iloc[0]
    assert run.metrics["pca_fvu"] == pytest.approx(found.pca_fvu)


def test_tables_of_latents_and_densities_describe_every_latent(trained):
    _, folder, row, _ = trained
    latents, densities = (pd.read_parquet(folder / f"{name}.parquet") for name in ("latents", "densities"))
    assert latents.latent.tolist() == list(range(row.n_latents)) and set(latents.layer) == {2}
    assert (latents.n_active == 0).mean() == pytest.approx(row.dead)
    assert densities.latents.sum() == (latents.n_active > 0).sum() and (folder / "densities.csv").is_file()


def test_signatures_are_printed_and_logged_as_a_table_and_a_tag(trained):
    import mlflow

    parent, folder, row, out = trained
    # Two steps from 0: what nobody should trust.
    assert "SIGNATURE " in out and "tiny-vit, layer 2, seed 6" in out
    found = pd.read_csv(folder / "signatures.csv")
    assert list(found.columns) == ["name", "subject", "value", "limit", "sentence", "advice"] and len(found)
    for run_id in (parent.run_id, row.run_id):
        tag = mlflow.MlflowClient().get_run(run_id).data.tags["signatures"]
        assert tag.split(",") == list(dict.fromkeys(found.name))
