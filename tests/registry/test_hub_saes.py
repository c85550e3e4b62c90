"""SAEs go to repositories and come back the same: through the real hub client, and through folders."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from fake_hub import serve

import registry
from benchmark.errors import InputError, WorkError
from benchmark.sae import TopKSAE, read_sae
from benchmark.sae.formats.about import About
from benchmark.sae.formats.saelens import read_saelens
from registry.card import Entry, model_card

# Calls of registry.push_sae and pull_sae, all in one process of its own: the hub's client reads its address when it is
# imported.
CLIENT = """
import json, os, sys
import registry
from benchmark.errors import InputError, WorkError
registry.connect()
answers = {}
for step, (name, arguments, token) in json.load(sys.stdin).items():
    os.environ.pop("HF_TOKEN", None)
    if token:
        os.environ["HF_TOKEN"] = token
    try:
        found = getattr(registry, name)(**arguments)
        if name == "pull_sae":
            total = sum(float(p.detach().double().sum()) for p in found.sae.parameters())
            found = [found.about.to_dict(), found.layout, found.place, found.commit, found.sae.k, total]
    except (InputError, WorkError) as error:
        found = f"{type(error).__name__}: {error}"
    answers[step] = found
print("ANSWERS " + json.dumps(answers))
"""
PLACE = "sae-scenes-hub-vit-L04-1"


def push(uris, repository: str, token: str = "hf_token", **options) -> tuple[str, dict, str]:
    return "push_sae", {"uris": uris, "repository": repository, **options}, token


def pull(repository: str, **options) -> tuple[str, dict, str]:
    return "pull_sae", {"repository": repository, **options}, ""


def total(sae: TopKSAE) -> float:
    return sum(float(parameter.detach().double().sum()) for parameter in sae.parameters())


@pytest.fixture(scope="module")
def saes(folder):
    """Two registered SAEs of one encoder: (URI, SAE) of layers 3 and 4."""
    import mlflow

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        registry.connect()
        found = []
        with mlflow.start_run():
            for layer in (3, 4):
                sae = TopKSAE(6, 24, 3, seed=layer, encoder_bias=layer == 4)
                if sae.b_enc is not None:
                    sae.b_enc.data.normal_()
                uri = registry.log_sae(
                    sae, dataset="scenes", encoder="hub-vit", layer=layer, seed=2, metrics={"fvu": 0.25}
                )
                found.append((uri, sae))
        yield found


@pytest.fixture(scope="module")
def session(saes, tmp_path_factory):
    """What one client pushed and pulled: (the hub as it was left, {step: answer}, folder of the client's cache)."""
    root = tmp_path_factory.mktemp("hub")
    (root / "public").mkdir()
    (root / "public" / "README.md").write_text("here")
    (root / "vit").mkdir()
    (root / "vit" / "config.json").write_text('{"model_type": "vit"}')
    (root / "vit" / "model.safetensors").write_bytes(b"gigabytes")
    (first, _), (second, _) = saes
    steps = {
        "pushed": push(first, "me/one", licence="MIT"),
        "pulled": pull("me/one"),
        "both": push([first, second], "me/both", layout="saelens", private=False),
        "of both": pull("me/both", path=PLACE),
        "unclear": pull("me/both"),
        "branch": push(second, "me/one", revision="later"),
        "of branch": pull("me/one", revision="later"),
        "of main": pull("me/one"),
        "no revision": pull("me/one", revision="never"),
        "no such SAE": pull("me/one", path="layers.1"),
        "public": push(first, "me/public"),
        "no repository": pull("me/none"),
        "nothing in it": pull("me/public"),
        "another model": pull("me/vit"),
        "wrong token": push(first, "me/new", token="hf_other"),
        "no token": push(first, "me/new", token=""),
    }
    models = {"me/public": root / "public", "me/vit": root / "vit"}
    with serve({"model": models, "dataset": {}}, root / "made") as hub:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        kept |= {"HF_HOME": str(root / "home"), "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        kept |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        kept |= {"PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", CLIENT], input=json.dumps(steps), env=kept, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
        return hub, json.loads(line.removeprefix("ANSWERS ")), root / "home"


def test_what_was_pushed_to_the_hub_is_pulled_again_with_what_it_is(session, saes):
    hub, answers, _ = session
    about = {
        "encoder": "hub-vit", "layer": 3, "dataset": "scenes", "seed": 2, "licence": "MIT", "quality": {"fvu": 0.25}
    }  # fmt: skip
    commit = hub.commit("me/one")
    assert answers["pushed"] == f"{hub.url}/me/one/commit/{commit}"
    assert answers["pulled"] == [about, "own", ".", commit, 3, pytest.approx(total(saes[0][1]), abs=1e-12)]
    readme = (hub.folders["model"]["me/one"] / "README.md").read_text()
    head = yaml.safe_load(readme.split("---")[1])
    assert head["license"] == "mit" and "sparse-autoencoder" in head["tags"]
    assert "| . | hub-vit | 3 | scenes | 2 | 6 | 24 | 3 | 0.25 |" in readme


def test_of_a_repository_with_several_only_the_files_of_the_named_sae_are_fetched(session, saes):
    hub, answers, _ = session
    about, layout, place, _, _, weights = answers["of both"]
    assert (about["layer"], layout, place) == (4, "saelens", PLACE)
    assert weights == pytest.approx(total(saes[1][1]))
    assert answers["unclear"].startswith(
        "InputError: me/both holds 2 SAEs; name one with path: sae-scenes-hub-vit-L03-1"
    )
    assert not [request for request in hub.requests if "L03" in request and "/resolve/" in request]


def test_weights_of_what_is_no_sae_are_not_fetched(session):
    hub, answers, _ = session
    assert answers["another model"].startswith("InputError: ") and "'d' must be a whole" in answers["another model"]
    resolved = [request for request in hub.requests if "/me/vit/resolve/" in request]
    assert resolved and all(request.endswith("/config.json") for request in resolved)


def test_a_branch_is_made_and_a_revision_is_pulled(session, saes):
    _, answers, _ = session
    assert answers["of main"] == answers["pulled"]
    assert answers["of branch"][5] == pytest.approx(total(saes[1][1]))
    assert answers["no revision"] == "InputError: me/one has no revision 'never'."


def test_a_new_repository_is_private_unless_told_otherwise_and_a_public_one_is_refused(session):
    hub, answers, _ = session
    assert hub.private == {"me/one"}
    assert answers["public"].startswith("InputError: the repository me/public exists and is public, so nothing was")
    assert sorted(path.name for path in hub.folders["model"]["me/public"].iterdir()) == ["README.md"]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("no such SAE", "InputError: unknown SAE in me/one 'layers.1'"),
        ("no repository", "InputError: the hub has no repository me/none"),
        ("nothing in it", "InputError: me/public holds no SAE in a known layout"),
        ("wrong token", "InputError: the token may not write to me/new (the hub answered 403)."),
        ("no token", "InputError: pushing needs a token"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence_without_the_token(session, step, says):
    _, answers, _ = session
    assert answers[step].startswith(says)
    assert "hf_other" not in answers[step] and "\n" not in answers[step]


def test_what_was_pulled_once_is_pulled_offline(session, monkeypatch):
    from huggingface_hub import constants

    _, answers, home = session
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))  # tests run offline
    found = registry.pull_sae("me/one")
    assert (found.about.to_dict(), found.commit) == (answers["pulled"][0], answers["pulled"][3])
    assert registry.pull_sae("me/one", found.commit).commit == found.commit
    with pytest.raises(WorkError, match="the hub cannot be reached, and me/public at main is not in the cache"):
        registry.pull_sae("me/public")


def test_pushing_offline_is_one_sentence(saes, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    with pytest.raises(WorkError, match="the hub cannot be reached, so me/new was not pushed"):
        registry.push_sae(saes[0][0], "me/new")


@pytest.mark.parametrize("layout", ["own", "saelens"])
def test_a_folder_is_a_repository_too(saes, tmp_path, layout):
    (uri, sae), (other, _) = saes
    where = registry.push_sae(uri, str(tmp_path / "one"), layout=layout)
    pulled = registry.pull_sae(where)
    assert (pulled.layout, pulled.place, pulled.commit) == (layout, ".", "")
    assert torch.equal(pulled.sae.W_enc, sae.W_enc) and pulled.about.layer == 3
    direct = read_sae(where) if layout == "own" else read_saelens(where)[0]
    assert torch.equal(direct.W_dec, sae.W_dec)
    registry.push_sae([uri, other], str(tmp_path / "two"), layout=layout, licence="CC0-1.0")
    places = sorted(path.parent.name for path in (tmp_path / "two").rglob("*.safetensors"))
    assert len(places) == 2 and registry.pull_sae(str(tmp_path / "two"), path=places[1]).about.licence == "CC0-1.0"


@pytest.mark.parametrize(
    ("repository", "revision", "says"),
    [
        ("a/b/c", "", "neither OWNER/NAME of a hub repository nor a folder"),
        ("", "", "neither OWNER/NAME"),
        ("./none", "", "there is no folder none"),
        (".", "main", "has no revisions"),
    ],
)
def test_a_repository_that_is_none_is_one_sentence(tmp_path, monkeypatch, repository, revision, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=says):
        registry.pull_sae(repository, revision)


def test_a_file_is_pulled_with_its_k(tmp_path):
    state = {"W_enc": torch.randn(6, 24), "W_dec": torch.randn(24, 6), "b_dec": torch.zeros(6)}
    torch.save(state, tmp_path / "sae.pt")
    assert registry.pull_sae(str(tmp_path / "sae.pt"), k=5).sae.k == 5
    assert registry.pull_sae(str(tmp_path), k=5).place == "sae.pt"
    with pytest.raises(InputError, match="give k"):
        registry.pull_sae(str(tmp_path))


def test_unknown_formats_and_sae_lists_are_refused(saes, tmp_path):
    (uri, _), _ = saes
    with pytest.raises(InputError, match="unknown format 'saelen': did you mean saelens"):
        registry.push_sae(uri, str(tmp_path / "x"), layout="saelen")
    with pytest.raises(InputError, match="none twice"):
        registry.write_saes([uri, uri], tmp_path / "x", "own")
    with pytest.raises(InputError, match="at least one"):
        registry.write_saes([], tmp_path / "x", "own")
    with pytest.raises(ValueError, match="models:/none/1 is not a registered SAE"):
        registry.push_sae("models:/none/1", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_what_is_known_of_the_encoder_travels_with_its_sae(saes, tmp_path):
    known = {"hub-vit": About(weights="timm, some/vit, token cls", licence="Apache-2.0")}
    registry.push_sae(saes[0][0], str(tmp_path), encoders=known)
    about = registry.pull_sae(str(tmp_path)).about
    assert (about.weights, about.licence) == ("timm, some/vit, token cls", "Apache-2.0")
    text = (tmp_path / "README.md").read_text()
    assert "- hub-vit: timm, some/vit, token cls" in text and "license: apache-2.0" in text
    assert "`fvu`: share of the variance that is not" in text


def test_a_model_card_shows_foreign_names_as_text():
    about = About(
        encoder="<script>|x", layer=None, dataset="a`b*", licence="My: own\n---\nlicence", quality={"fvu": 0.5}
    )
    entries = [Entry(".", about, 6, 24, 3), Entry("b", replace(about, licence="", quality={}), 6, 24, 3)]
    text = model_card(entries, "own")
    head, body = text.split("---\n", 2)[1:]
    assert yaml.safe_load(head)["license"] == "other" and yaml.safe_load(head)["license_name"].startswith("My: own")
    assert "<script>" not in body and r"a\`b\*" in body and "\n---\n" not in body
    table = [line for line in body.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1
