"""A registered SAE is found by name, version and alias, and computes what the torch module computes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import registry
from benchmark.sae import TopKSAE


@pytest.fixture(params=[False, True], ids=["no bias", "bias"])
def sae(request):
    sae = TopKSAE(9, 36, 4, seed=3, encoder_bias=request.param)
    sae.b_dec.data.normal_()
    if sae.b_enc is not None:
        sae.b_enc.data.normal_()
    return sae


@pytest.fixture
def uri(store, sae):
    import mlflow

    with mlflow.start_run():
        return registry.log_sae(sae, dataset="scenes", encoder="clip/b:32", layer=7, seed=2, metrics={"fvu": 0.25})


def test_it_comes_back_bit_for_bit_by_version_and_by_alias(uri, sae):
    name = registry.model_name("scenes", "clip/b:32", 7)
    assert uri.startswith(f"models:/{name}/") and name == "sae-scenes-clip-b-32-L07"
    for way in (uri, f"models:/{name}@seed-2"):
        again = registry.load_sae(way)
        assert all(torch.equal(a, b) for a, b in zip(sae.parameters(), again.parameters(), strict=True))
        assert again.k == 4


@pytest.mark.parametrize("form", [np.asarray, pd.DataFrame])
def test_pyfunc_predicts_the_codes_of_arrays_and_frames(uri, form):
    import mlflow

    x = np.random.default_rng(0).standard_normal((50, 9)).astype(np.float32)
    out = mlflow.pyfunc.load_model(uri).predict(form(x))
    values, indices = registry.load_sae(uri).encode(torch.from_numpy(x))
    np.testing.assert_array_equal(np.sort(out["indices"], 1), np.sort(indices.numpy(), 1))
    codes = np.zeros((2, 50, 36), np.float32)
    np.put_along_axis(codes[0], out["indices"], out["values"], 1)
    np.put_along_axis(codes[1], indices.numpy(), values.detach().numpy(), 1)
    np.testing.assert_allclose(codes[0], codes[1], atol=1e-6)
    assert (np.diff(out["values"], axis=1) <= 0).all()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (np.zeros((3, 8), np.float32), r"Shape of input \(3, 8\) does not match expected shape \(-1, 9\)"),
        (np.zeros((3, 9)), "float64"),
        (pd.DataFrame(np.zeros((3, 8), np.float32)), r"had 8 columns and an input shape of \(-1, 9\)"),
    ],
    ids=["narrow array", "doubles", "narrow frame"],
)
def test_the_signature_refuses_other_widths_and_types(uri, asked, says):
    import mlflow

    model = mlflow.pyfunc.load_model(uri)
    assert model.metadata.signature.inputs.to_dict() == [
        {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": (-1, 9)}}
    ]
    with pytest.raises(mlflow.MlflowException, match=says):
        model.predict(asked)


ALONE = """
import sys
import mlflow, numpy as np
sys.modules.update(benchmark=None, registry=None, torch=None)
out = mlflow.pyfunc.load_model(sys.argv[1]).predict(np.ones((2, 9), np.float32))
print(out["values"].shape)
"""


@pytest.mark.parametrize("sae", [True], indirect=True, ids=["bias"])
def test_a_model_loads_where_neither_the_project_nor_torch_is_and_pickle_is_forbidden(uri, store):
    done = subprocess.run([sys.executable, "-c", ALONE, uri], cwd=store, capture_output=True, text=True)
    assert done.stdout.split() == ["(2,", "4)"], done.stderr


def test_a_model_holds_safetensors_and_json_and_no_pickle(uri):
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"model.safetensors", "config.json", "MLmodel"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".bin"))]
    assert all(path.read_bytes()[:2] != b"\x80\x04" for path in folder.rglob("*") if path.is_file())


def test_the_mlmodel_file_says_what_the_sae_is(uri):
    import mlflow

    said = mlflow.models.get_model_info(uri).metadata
    assert said.pop("sha256").keys() == {"model.safetensors", "config.json"}
    assert said == {
        "dataset": "scenes", "encoder": "clip/b:32", "layer": 7, "seed": 2, "d": 9, "n_latents": 36, "k": 4,
        "expansion": 4.0, "quality": {"fvu": 0.25},
    }  # fmt: skip


def test_a_logged_model_carries_what_it_is_and_its_quality(uri):
    from mlflow import MlflowClient

    name, version = uri.removeprefix("models:/").split("/")
    client = MlflowClient()
    source = client.get_model_version(name, version).source
    model = client.get_logged_model(source.removeprefix("models:/"))
    assert model.params["encoder"] == "clip/b:32" and model.params["expansion"] == "4.0"
    assert [(metric.key, metric.value) for metric in model.metrics] == [("fvu", 0.25)]


def test_what_a_model_was_trained_on_is_asked_by_its_name(uri):
    found = registry.about_sae(uri)
    assert (found.encoder, found.layer, found.dataset, found.seed) == ("clip/b:32", 7, "scenes", 2)
    assert found.quality == {"fvu": 0.25} and found == registry.about_sae("models:/sae-scenes-clip-b-32-L07@seed-2")
    with pytest.raises(ValueError, match="models:/none/1 is not a registered SAE"):
        registry.about_sae("models:/none/1")


def test_an_sae_of_unknown_seed_has_the_alias_it_is_given(store, sae):
    import mlflow

    with mlflow.start_run():
        registry.log_sae(sae, dataset="s", encoder="theirs", layer=1, seed=None, alias="pulled")
    uri = "models:/sae-s-theirs-L01@pulled"
    assert torch.equal(registry.load_sae(uri).W_enc, sae.W_enc) and registry.about_sae(uri).seed is None


def test_each_layer_of_a_run_has_its_own_quality(store, sae):
    import mlflow

    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for layer in (0, 1, 2):
            registry.log_sae(sae, dataset="s", encoder="deep", layer=layer, seed=0, metrics={"fvu": layer / 4})
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "fvu")] == [
        (0, 0),
        (1, 0.25),
        (2, 0.5),
    ]
    for layer in (0, 1, 2):
        source = client.get_model_version_by_alias(f"sae-s-deep-L{layer:02d}", "seed-0").source
        (metric,) = client.get_logged_model(source.removeprefix("models:/")).metrics
        assert metric.value == layer / 4


def test_versions_count_up_and_the_alias_moves(uri, sae):
    import mlflow

    with mlflow.start_run():
        other = TopKSAE(9, 36, 4, seed=9)
        later = registry.log_sae(other, dataset="scenes", encoder="clip/b:32", layer=7, seed=2)
    assert int(later.rsplit("/", 1)[1]) == int(uri.rsplit("/", 1)[1]) + 1
    assert torch.equal(registry.load_sae("models:/sae-scenes-clip-b-32-L07@seed-2").W_enc, other.W_enc)


@pytest.mark.parametrize("uri", ["models:/none/1", "models:/none@seed-0", "models:/none"])
def test_a_model_that_is_not_there_is_one_sentence(store, uri):
    with pytest.raises(ValueError, match=f"{uri} is not a registered SAE"):
        registry.load_sae(uri)


def test_another_model_and_a_tampered_one_are_refused(store, uri, tmp_path):
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    config = next(folder.rglob("config.json"))
    config.write_text(json.dumps({"d": 10**9, "n_latents": 10**9, "k": 1}))
    with pytest.raises(ValueError, match="do not fit"):
        registry.load_sae(uri)
