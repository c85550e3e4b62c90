"""SAEs leave and enter the store by commands, and a user's mistake ends in one sentence and exit code 2."""

import json

import pytest
import torch

import registry
from benchmark.sae import TopKSAE, read_sae
from benchmark.sae.formats.about import About
from benchmark.sae.formats.saelens import read_saelens, write_saelens


@pytest.fixture
def uri(here):
    import mlflow

    sae = TopKSAE(6, 24, 3, seed=4)
    with mlflow.start_run():
        return registry.log_sae(sae, dataset="scenes", encoder="small-vit", layer=4, seed=0, metrics={"fvu": 0.5})


def test_an_sae_is_exported_in_both_formats(command, uri, tmp_path):
    sae = registry.load_sae(uri)
    code, out, _ = command("export", "--sae", uri, "--output", tmp_path / "lens")
    assert code == 0 and f"{tmp_path / 'lens'}: 24 latents of width 6, k = 3" in out
    again, about = read_saelens(tmp_path / "lens")
    assert torch.equal(again.W_enc, sae.W_enc)
    assert (about.encoder, about.layer, about.dataset, about.seed) == ("small-vit", 4, "scenes", 0)
    assert about.licence == "CC0-1.0" and about.quality == {"fvu": 0.5}
    name = uri.removeprefix("models:/").rsplit("/", 1)[0]
    assert command("export", "--sae", f"models:/{name}@seed-0", "--output", tmp_path / "own", "--format", "own")[0] == 0
    assert torch.equal(read_sae(tmp_path / "own").W_dec, sae.W_dec)


def test_what_was_pushed_into_a_folder_is_pulled_and_registered_with_what_it_is(command, uri, tmp_path):
    import mlflow

    code, out, _ = command("push", "--sae", uri, "--repository", tmp_path / "shared")
    assert code == 0 and "pushed 1 SAE" in out and "small-vit" in (tmp_path / "shared/README.md").read_text()
    code, out, _ = command("pull", "--repository", tmp_path / "shared")
    assert code == 0
    pulled = out.split(": ")[0].splitlines()[-1]
    assert torch.equal(registry.load_sae(pulled).W_enc, registry.load_sae(uri).W_enc)
    about = registry.about_sae(pulled)
    assert (about.encoder, about.layer, about.dataset, about.seed) == ("small-vit", 4, "scenes", 0)
    assert (about.licence, about.quality) == ("CC0-1.0", {"fvu": 0.5})
    name, version = pulled.removeprefix("models:/").split("/")
    client = mlflow.MlflowClient()
    assert str(client.get_model_version_by_alias(name, "pulled-seed-0").version) == version
    trained = client.get_model_version_by_alias(name, "seed-0")
    assert str(trained.version) == uri.rsplit("/", 1)[1], "the alias of the SAE trained here stays"
    run = client.get_run(client.get_model_version(name, version).run_id)
    assert run.data.tags["kind"] == "pull" and run.info.status == "FINISHED"
    assert run.data.params["cfg.layout"] == "own" and not run.data.metrics
    activations = torch.randn(5, 6).numpy()
    assert mlflow.pyfunc.load_model(pulled).predict(activations)["indices"].shape == (5, 3)


def test_an_sae_of_others_is_registered_under_the_names_it_is_given(command, tmp_path):
    sae = TopKSAE(6, 24, 3, seed=1, encoder_bias=True)
    sae.b_enc.data.normal_()
    write_saelens(sae, tmp_path, About(layer=2))
    code, _, error = command("pull", "--repository", tmp_path)
    assert code == 2 and error.endswith(
        "does not say the encoder and dataset of its SAE; add --encoder ENCODER --dataset DATASET.\n"
    )
    code, out, _ = command("pull", "--repository", tmp_path, "--encoder", "their/vit", "--dataset", "images")
    assert code == 0 and "models:/sae-images-their-vit-L02/1" in out and "(saelens" in out
    again = registry.load_sae("models:/sae-images-their-vit-L02@pulled")
    assert torch.equal(again.b_enc, sae.b_enc) and registry.about_sae("models:/sae-images-their-vit-L02/1").seed is None


def test_a_state_dict_is_pulled_with_its_k(command, tmp_path):
    state = {"W_enc": torch.randn(6, 24), "W_dec": torch.randn(24, 6), "b_dec": torch.zeros(6)}
    torch.save(state, tmp_path / "sae.pt")
    names = ["--encoder", "vit", "--dataset", "coco", "--layer", "11", "--seed", "3"]
    code, _, error = command("pull", "--repository", tmp_path / "sae.pt", *names)
    assert code == 2 and "give k" in error
    code, out, _ = command("pull", "--repository", tmp_path / "sae.pt", "--k", "5", *names)
    assert code == 0 and "models:/sae-coco-vit-L11/1: 24 latents of width 6, k = 5" in out
    assert registry.load_sae("models:/sae-coco-vit-L11@pulled-seed-3").k == 5


SAE = "models:/sae-scenes-small-vit-L04/1"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export"], "say --sae models:/NAME/VERSION"),
        (["export", "--sae", "models:/x/1"], "say --output FOLDER"),
        (["export", "--sae", SAE.replace("small", "smal"), "--output", "o"], "Did you mean sae-scenes-small-vit-L04"),
        (["export", "--sae", SAE, "--output", "o", "--format", "lens"], "did you mean"),
        (["export", "--sae", "nonsense", "--output", "o"], "nonsense is not a registered SAE"),
        (["push", "--sae", "models:/x/1"], "say --repository OWNER/NAME"),
        (["push", "--sae", SAE, "--repository", "a b"], "neither OWNER/NAME"),
        (["pull"], "say --repository OWNER/NAME"),
        (["pull", "--repository", "./none"], "there is no folder none"),
        (["pull", "--repository", ".", "--layer", "last"], "layer must be a whole number"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(command, uri, arguments, says):
    code, out, error = command(*arguments)
    assert code == 2 and says in error and error.count("\n") == 1 and not out, error


def test_an_sae_that_cannot_be_represented_leaves_no_run(command, here, tmp_path):
    write_saelens(TopKSAE(6, 24, 3, seed=1), tmp_path, About(encoder="e", layer=1, dataset="s"))
    config = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps(config | {"architecture": "jumprelu"}))
    before = len(registry.runs())
    code, _, error = command("pull", "--repository", tmp_path)
    assert code == 2 and "architecture 'jumprelu'" in error and len(registry.runs()) == before
