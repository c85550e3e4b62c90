"""A pickle that would run code is refused wherever a file is offered, and no path leads out of its folder."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch

import registry
from benchmark.catalog import EncoderCard
from benchmark.encoders import load_encoder
from benchmark.errors import InputError, WorkError
from benchmark.sae import TopKSAE, read_sae, write_sae


class Malicious:
    """What a pickle can be: unpickling it makes a file."""

    def __init__(self, witness):
        self.witness = str(witness)

    def __reduce__(self):
        return exec, (f"open({self.witness!r}, 'w').close()",)


@pytest.fixture
def witness(tmp_path):
    """A file that exists when a pickle's code ran; it must not at the end."""
    path = tmp_path / "the-code-ran"
    yield path
    assert not path.exists(), "code of an untrusted file ran"


def pickles(folder, witness):
    """Write the same malicious object as a plain pickle, as torch writes it, and as NumPy does."""
    folder.mkdir(parents=True, exist_ok=True)
    plain, torch_, numpy = folder / "plain.pt", folder / "torch.pt", folder / "numpy.npy"
    plain.write_bytes(pickle.dumps({"W_enc": Malicious(witness)}))
    torch.save({"W_enc": Malicious(witness), "state_dict": Malicious(witness)}, torch_)
    np.save(numpy, np.array([Malicious(witness)], dtype=object), allow_pickle=True)
    return plain, torch_, numpy


def test_the_pickles_are_malicious(tmp_path):
    for path in pickles(tmp_path / "p", tmp_path / "proof"):
        if path.suffix == ".npy":
            np.load(path, allow_pickle=True)
        elif zipfile.is_zipfile(path):
            torch.load(path, weights_only=False)
        else:
            pickle.loads(path.read_bytes())
        assert (tmp_path / "proof").exists()
        (tmp_path / "proof").unlink()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("library", "place"),
    [
        ("transformers", "bert/pytorch_model.bin"),
        ("timm", "vit/pytorch_model.bin"),
        ("open_clip", "clip/open_clip_pytorch_model.bin"),
    ],
)
def test_a_pickle_offered_as_an_encoders_checkpoint_is_refused(builders, tmp_path, witness, library, place, which):
    folder = (tmp_path / place).parent
    if library == "transformers":
        builders.transformers(folder, "bert")
    else:
        getattr(builders, library)(folder)
    for weights in (*folder.glob("*.safetensors"), *folder.glob("*.bin")):
        weights.unlink()
    (tmp_path / place).write_bytes(pickles(tmp_path / "p", witness)[which].read_bytes())
    card = EncoderCard(
        name="offered", library=library, source=str(folder), modality="text" if library == "transformers" else "image",
        kind="vlm", token="cls",
    )  # fmt: skip
    with pytest.raises(WorkError, match=r"Weights only load failed|weights_only=True blocked"):
        load_encoder(card)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_pickle_offered_as_an_sae_is_refused(tmp_path, witness, which):
    offered = pickles(tmp_path / "p", witness)[which]
    with pytest.raises(InputError):
        registry.pull_sae(str(offered), k=2)
    write_sae(TopKSAE(4, 8, 2), tmp_path / "sae")
    (tmp_path / "sae" / "model.safetensors").write_bytes(offered.read_bytes())
    with pytest.raises(InputError):
        read_sae(tmp_path / "sae")


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_pickle_offered_as_recorded_activations_is_refused(tmp_path, witness, which):
    offered = pickles(tmp_path / "p", witness)[which]
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "L00.npy").write_bytes(offered.read_bytes())
    (tmp_path / "recorded" / "ids.npy").write_bytes(offered.read_bytes())
    (tmp_path / "recorded.npz").write_bytes(offered.read_bytes())
    from benchmark.encoders.recorded import load_recorded

    for source in ("recorded", "recorded.npz"):
        card = EncoderCard(
            name="offered", library="activations", source=str(tmp_path / source), modality="image", kind="vision",
            token="cls",
        )  # fmt: skip
        with pytest.raises(ValueError):
            load_recorded(card)


@pytest.fixture
def store(empty_database, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    registry.connect()
    mlflow.set_experiment("untrusted")
    return tmp_path


def test_a_model_that_brings_a_pickle_or_code_is_refused_as_an_sae(store, witness):
    import mlflow

    class Model(mlflow.pyfunc.PythonModel):
        def __init__(self, payload):
            self.payload = payload

        def predict(self, context, model_input, params=None):
            return model_input

    with mlflow.start_run():
        model = mlflow.pyfunc.log_model(
            name="sae-s-e-L00", python_model=Model(Malicious(witness)), pip_requirements=["mlflow"]
        )
    version = mlflow.register_model(model.model_uri, "sae-s-e-L00").version
    with pytest.raises(ValueError, match=r"not a registered SAE|no such|missing"):
        registry.load_sae(f"models:/sae-s-e-L00/{version}")


def test_code_that_a_model_brings_does_not_run_when_an_sae_is_loaded(store, witness):
    import mlflow

    with mlflow.start_run():
        uri = registry.log_sae(TopKSAE(4, 8, 2), dataset="s", encoder="e", layer=0, seed=0)
    (loader,) = store.rglob("code/topk_sae_pyfunc.py")
    loader.write_text(f"open({str(witness)!r}, 'w').close()\n" + loader.read_text())
    assert registry.load_sae(uri).k == 2


def test_an_sae_whose_data_lies_outside_of_its_model_is_refused(store, tmp_path):
    import mlflow

    write_sae(TopKSAE(4, 8, 2), tmp_path / "elsewhere")
    with mlflow.start_run():
        uri = registry.log_sae(TopKSAE(4, 8, 2), dataset="s", encoder="e", layer=0, seed=0)
    (model,) = store.rglob("MLmodel")
    text = model.read_text()
    for path in ("../" * 12 + str(tmp_path / "elsewhere").lstrip("/"), str(tmp_path / "elsewhere")):
        model.write_text(text.replace("data: data/sae", f"data: {path}"))
        with pytest.raises(ValueError, match="outside"):
            registry.load_sae(uri)
    model.write_text(text)
    data = model.parent / "data"
    data.rename(tmp_path / "moved")
    data.symlink_to(tmp_path / "moved")
    with pytest.raises(ValueError, match="outside"):
        registry.load_sae(uri)


def test_an_sae_pulled_from_a_folder_stays_in_it(tmp_path):
    write_sae(TopKSAE(4, 8, 2), tmp_path / "secret")
    write_sae(TopKSAE(4, 8, 2), tmp_path / "offered" / "a")
    for path in ("../secret", str(tmp_path / "secret"), "a/../../secret"):
        with pytest.raises(InputError):
            registry.pull_sae(str(tmp_path / "offered"), path=path)


@pytest.mark.parametrize("size", [10**12, -1, 2.5, "8", None, True])
def test_sizes_that_an_sae_claims_are_compared_with_its_file_before_memory_is_taken(tmp_path, size):
    write_sae(TopKSAE(4, 8, 2), tmp_path / "sae")
    config = json.loads((tmp_path / "sae" / "config.json").read_text())
    for name in config:
        (tmp_path / "sae" / "config.json").write_text(json.dumps({**config, name: size}))
        with pytest.raises(InputError):
            read_sae(tmp_path / "sae")


@pytest.mark.parametrize("name", ["../up", "/abs", "a/../../b", "..", ".hidden", "a\0b", "a b", "a\nb", ""])
def test_no_card_has_a_name_that_leads_out_of_the_cache(tmp_path, name):
    import yaml

    from benchmark.catalog import DatasetCard, SuiteCard, read_cards

    bodies = {
        EncoderCard: {"library": "timm", "source": "x", "modality": "image", "kind": "vision", "token": "cls"},
        DatasetCard: {"kind": "parquet", "source": "x"},
        SuiteCard: {"dataset": "scenes", "encoders": ["small-vit"]},
    }
    for kind, body in bodies.items():
        (tmp_path / "card.yaml").write_text(yaml.safe_dump({name: body}))
        with pytest.raises(InputError):
            read_cards(kind, tmp_path / "card.yaml")
