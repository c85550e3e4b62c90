"""Loading from a hub, against a real HTTP server in processes of their own, and from its cache."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from fake_hub import serve
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from benchmark.catalog import EncoderCard
from benchmark.encoders import hub
from benchmark.errors import WorkError
from benchmark.jobs.keys import encoder_identity

PRELUDE = """
import json, socket, sys
dialled, look_up = [], socket.getaddrinfo
def noted(host, *rest, **options):
    dialled.append(host)
    return look_up(host, *rest, **options)
socket.getaddrinfo = noted
import numpy as np
from PIL import Image
from benchmark.catalog import EncoderCard
from benchmark.encoders import hub
from benchmark.jobs.keys import encoder_identity
cards = [EncoderCard(**card) for card in json.loads(sys.argv[1])]
batches = {"text": ["a red ball", "", "two small cubes on the table"],
           "image": [Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 33, 3), dtype=np.uint8))]}
def last(card):
    from benchmark.encoders import load_encoder
    encoder = load_encoder(card)
    return encoder.run(batches[card.modality])[encoder.layers[-1]].pooled.tolist()
def failure(card, action):
    before = len(dialled)
    try:
        action(card)
    except Exception as error:
        return {"type": type(error).__name__, "text": str(error), "dialled": dialled[before:]}
"""
STATE = "{'commit': hub.commit(c), 'cached': hub.is_cached(c), 'weights': encoder_identity(c)['weights']}"


def client(home, cards, expression, endpoint="http://127.0.0.1:9", offline=False):
    """Evaluate an expression for every card `c` in a new process whose hub is `endpoint`; return what it printed.

    Connections are counted where time would be measured: each one looks its host up (`dialled`), and a loaded machine
    makes no more of them.
    """
    code = f"{PRELUDE}\nprint(json.dumps([{expression} for c in cards]))"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    environment |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": str(int(offline))}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", code, json.dumps([asdict(card) for card in cards])]
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def local(builders, tmp_path_factory):
    """Cards of local checkpoints, one per library and modality, all in one folder."""
    root = tmp_path_factory.mktemp("repositories")
    folders = {
        "transformers": builders.transformers(root / "bert", "bert"),
        "timm": builders.timm(root / "vit"),
        "open_clip": builders.open_clip(root / "clip", own_words=False),
    }
    rows = [
        ("transformers", "text", "cls"),
        ("timm", "image", "cls"),
        ("open_clip", "image", "cls"),
        ("open_clip", "text", "eot"),
    ]
    return [
        EncoderCard(
            name=f"{library}-{modality}",
            library=library,
            source=str(folders[library]),
            modality=modality,
            kind="vlm",
            token=token,
        )
        for library, modality, token in rows
    ]


@pytest.fixture(scope="module")
def remote(local):
    """The same cards, naming repositories of the fake hub."""
    return [
        replace(c, source=("" if c.library == "transformers" else "hf-hub:") + f"lab/{Path(c.source).name}")
        for c in local
    ]


@pytest.fixture(scope="module")
def visited(local, remote, tmp_path_factory):
    """A hub that one process loaded every card from, and a second process offline; what both saw."""
    home = tmp_path_factory.mktemp("home")
    with serve({"model": {f"lab/{Path(c.source).name}": Path(c.source) for c in local}}) as server:
        before = client(home, remote, "hub.is_cached(c)", server.url)
        asked_for_cache = list(server.requests)
        online = client(home, remote, f"{{'last': last(c), **{STATE}}}", server.url)
        asked = list(server.requests)
        commits = [server.commit(f"lab/{Path(c.source).name}") for c in local]
    (snapshot,) = Path(home, "hub", "models--lab--bert", "snapshots").iterdir()
    copies = [*local, replace(local[0], source=str(snapshot))]
    offline = client(home, [*remote, *copies], f"{{**{STATE}, 'last': last(c)}}", offline=True)
    return {
        "home": home, "before": before, "asked_for_cache": asked_for_cache, "online": online, "asked": asked,
        "commits": commits, "snapshot": snapshot, "offline": offline[:4], "local": offline[4:8], "linked": offline[8],
    }  # fmt: skip


def test_the_hub_path_gives_exactly_what_local_loading_gives(visited):
    assert [state["last"] for state in visited["online"]] == [state["last"] for state in visited["local"]]


def test_a_snapshot_folder_of_the_cache_is_a_local_source(visited):
    assert any(path.is_symlink() for path in visited["snapshot"].iterdir())
    assert visited["linked"]["last"] == visited["online"][0]["last"]


def test_what_was_loaded_once_works_offline_by_the_branchs_name(visited):
    assert visited["offline"] == visited["online"]


def test_the_commit_that_is_loaded_is_the_one_in_the_key(visited):
    assert [state["commit"] for state in visited["online"]] == visited["commits"]
    assert [state["weights"] for state in visited["online"]] == visited["commits"]
    for name, commit in zip(("bert", "vit", "clip"), [*visited["commits"][:2], visited["commits"][2]], strict=True):
        fetched = [line for line in visited["asked"] if line.startswith("GET") and f"lab/{name}/resolve/" in line]
        assert fetched and all(f"/resolve/{commit}/" in line for line in fetched)


def test_the_commit_costs_one_request_a_repository(visited):
    for name in ("bert", "vit", "clip"):
        assert sum(line == f"GET /api/models/lab/{name}/revision/main" for line in visited["asked"]) == 1


def test_being_cached_is_told_without_the_network_and_flips_when_the_weights_are_there(visited):
    assert visited["before"] == [False] * 4 and not visited["asked_for_cache"]
    assert all(state["cached"] for state in visited["online"])


def test_a_new_commit_gives_a_new_key_and_needs_a_download(visited, local, remote, tmp_path):
    home = shutil.copytree(visited["home"], tmp_path / "home", symlinks=True)
    bert = shutil.copytree(local[0].source, tmp_path / "bert")
    save_file({k: v + 1 for k, v in load_file(bert / "model.safetensors").items()}, bert / "model.safetensors",
              {"format": "pt"})  # fmt: skip
    pinned = replace(remote[0], revision=visited["commits"][0])
    with serve({"model": {"lab/bert": Path(local[0].source)}}) as server:
        server.commit("lab/bert")
        server.folders["model"]["lab/bert"] = bert
        moved, kept = client(home, [remote[0], pinned], STATE, server.url)
        assert moved["weights"] == server.commit("lab/bert") != visited["commits"][0]
        loaded = client(home, [remote[0], pinned], "last(c)", server.url)
    assert kept["weights"] == visited["commits"][0]
    assert loaded[1] == visited["online"][0]["last"] != loaded[0]
    assert client(home, [remote[0]], STATE, offline=True) == [{**moved, "cached": True}]


def test_a_repository_that_cannot_be_had_is_one_sentence_with_the_way_out(local, remote, tmp_path):
    cards = [replace(c, name=f"gated-{i}") for i, c in enumerate(remote)]
    cards += [replace(c, source=c.source.replace("lab/", "nobody/"), name=f"missing-{i}") for i, c in enumerate(remote)]
    cards.append(replace(remote[0], revision="no-such-branch", name="revision-0"))
    with serve({"model": {f"lab/{Path(c.source).name}": Path(c.source) for c in local}}) as server:
        server.locked |= {"lab/bert", "lab/vit", "lab/clip"}
        failures = client(tmp_path, cards, "failure(c, last)", server.url)
    expected = {"gated": "it is gated", "missing": "has no such repository", "revision": "no revision 'no-such-branch'"}
    for card, failed in zip(cards, failures, strict=True):
        assert failed["type"] == "WorkError" and "\n" not in failed["text"]
        assert f"'{card.name}'" in failed["text"] and card.source in failed["text"]
        assert "source: FOLDER" in failed["text"] and "HF_HOME" in failed["text"]
        assert expected[card.name.split("-")[0]] in failed["text"], failed["text"]
    # Two of the cards share lab/clip, two nobody/clip; a client that tries again asks five times.
    assert max(Counter(server.requests).values()) <= 2, server.requests


def test_what_was_fetched_but_cannot_be_loaded_is_not_called_out_of_reach(local, remote, tmp_path):
    folders = {Path(c.source).name: shutil.copytree(c.source, tmp_path / Path(c.source).name) for c in local[:3]}
    for weights in tmp_path.rglob("*.safetensors"):
        weights.write_bytes(b"no weights at all")
    own = shutil.copytree(local[0].source, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (own / "config.json").write_text(json.dumps(config))
    (own / "own.py").write_text("raise SystemExit('this code has run')\n")
    cards = [*remote[:3], replace(remote[0], source="lab/own", name="own"), replace(remote[0], source="hf-hub:lab/own")]
    with serve({"model": {**{f"lab/{name}": folder for name, folder in folders.items()}, "lab/own": own}}) as server:
        *broken, asking, prefixed = client(tmp_path / "home", cards, "failure(c, last)", server.url)
    for card, failed in zip(cards, broken, strict=False):
        assert failed["type"] == "WorkError" and "out of reach" not in failed["text"] and "\n" not in failed["text"]
        assert f"'{card.name}': '{card.source}' was fetched, but cannot be loaded by {card.library} (" in failed["text"]
    assert asking["type"] == prefixed["type"] == "InputError"
    for said in ("'own'", "lab/own", "`trust_remote_code: true` in the card", "--trust_remote_code"):
        assert said in asking["text"]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_without_a_network_all_cards_together_fail_fast(remote, tmp_path, endpoint):
    failures = client(tmp_path, remote, "[failure(c, encoder_identity), failure(c, last)]", endpoint)
    # The hub's client alone would try every file of every card again for half a minute.
    assert [len(tried["dialled"]) for pair in failures for tried in pair] == [1, 0, 0, 0, 0, 0, 0, 0]
    for card, (key, load) in zip(remote, failures, strict=True):
        assert key["text"] == load["text"] and key["type"] == load["type"] == "WorkError"
        assert card.source in key["text"] and "\n" not in key["text"]
        assert "out of reach" in key["text"] and "not in its cache" in key["text"]


def test_a_pinned_card_probes_the_hub_before_its_library_retries(remote, tmp_path):
    pinned = [replace(c, revision="0" * 40) for c in remote[:2]]
    first, second = client(tmp_path, pinned, "failure(c, last)")
    assert "out of reach" in first["text"] and "out of reach" in second["text"]
    assert (len(first["dialled"]), second["dialled"]) == (1, [])


# From here on in this process, on caches written by hand.


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """Return cached(repository, files): a card's cache with these files at commit 000...0 of main."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    def write(name, files):
        store = tmp_path / ("models--" + name.replace("/", "--"))
        for file in files:
            path = store / "snapshots" / ("0" * 40) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                json.dumps({"weight_map": {"x": "model-1-of-2.safetensors", "y": "model-2-of-2.safetensors"}})
            )
        (store / "refs").mkdir(exist_ok=True)
        (store / "refs" / "main").write_text("0" * 40)

    return write


def make(library, source, **fields):
    return EncoderCard(**{
        "name": "x", "library": library, "source": source, "modality": "image", "kind": "vlm", "token": "cls", **fields
    })  # fmt: skip


SHARDS = ["model.safetensors.index.json", "model-1-of-2.safetensors", "model-2-of-2.safetensors"]
PIPELINE = ["model_index.json", "transformer/a.safetensors", "vae/a.safetensors"]
PIPELINE += ["text_encoder/model.safetensors.index.json", "text_encoder/model-1-of-2.safetensors"]
PIPELINE += ["tokenizer/spiece.model"]
PROCESSOR = "preprocessor_config.json"
OPENAI = {"library": "open_clip", "source": "ViT-B-32-quickgelu", "pretrained": "openai"}


@pytest.mark.parametrize(
    "fields, repository",
    [
        ({"library": "transformers", "source": "google/vit-base-patch16-224"}, "google/vit-base-patch16-224"),
        ({"library": "transformers", "source": "bert-base-uncased"}, "bert-base-uncased"),
        ({"library": "open_clip", "source": "hf-hub:apple/DFN2B-CLIP-ViT-B-16"}, "apple/DFN2B-CLIP-ViT-B-16"),
        (OPENAI, "timm/vit_base_patch32_clip_224.openai"),
        ({"library": "open_clip", "source": "ViTamin-S", "pretrained": "datacomp1b"}, "jienengchen/ViTamin-S"),
        ({"library": "timm", "source": "hf-hub:timm/vit_tiny_patch16_224.x"}, "timm/vit_tiny_patch16_224.x"),
        ({"library": "timm", "source": "timm/vit_tiny_patch16_224.x"}, "timm/vit_tiny_patch16_224.x"),
        (
            {"library": "timm", "source": "vit_base_patch16_224.augreg_in21k"},
            "timm/vit_base_patch16_224.augreg_in21k",
        ),
        ({"library": "timm", "source": "no_such_model"}, None),
        ({"library": "open_clip", "source": "ViT-B-33", "pretrained": "openai"}, None),
        ({"library": "python", "source": "python:a:b"}, None),
    ],
)
def test_the_repository_of_a_card(fields, repository):
    assert hub.repository(make(**fields)) == repository


def test_weights_outside_the_hub_are_known_by_their_address(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    card = make("timm", "gcvit_tiny.in1k")
    address = hub.repository(card)
    assert address.startswith("https://") and hub.commit(card) == "" and encoder_identity(card)["weights"] == address
    assert not hub.is_cached(card)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / address.rpartition("/")[2]).touch()
    assert hub.is_cached(card)


def test_a_local_folder_is_here_and_downloads_nothing(tmp_path):
    card = make("timm", str(tmp_path), download_mb=5)
    assert hub.is_cached(card) and hub.download_mb(card) == 0 and hub.commit(card) == ""
    assert hub.download_mb(make("timm", "a/b", download_mb=5)) == 5


@pytest.mark.parametrize(
    "library, files, complete",
    [
        ("transformers", ["config.json", "model.safetensors", PROCESSOR], True),
        ("transformers", ["config.json", "pytorch_model.bin", PROCESSOR], True),
        ("transformers", ["config.json", "model.safetensors"], False),
        ("transformers", ["config.json", PROCESSOR], False),
        ("transformers", ["model.safetensors", PROCESSOR], False),
        ("transformers", ["config.json", PROCESSOR, *SHARDS[:2]], False),
        ("transformers", ["config.json", PROCESSOR, *SHARDS], True),
        ("open_clip", ["open_clip_config.json", "open_clip_pytorch_model.bin"], True),
        ("open_clip", ["open_clip_config.json", "config.json", "model.safetensors"], False),
        ("timm", ["config.json", "open_clip_model.safetensors"], False),
        ("timm", ["config.json", "model.safetensors"], True),
        ("mambavision", ["config.json", "model.safetensors"], True),
        ("diffusers", [*PIPELINE, "text_encoder/model-2-of-2.safetensors"], True),
        ("diffusers", [*PIPELINE[:-1], "text_encoder/model-2-of-2.safetensors"], False),
        ("diffusers", PIPELINE, False),
        ("diffusers", ["model_index.json", "transformer/a.safetensors", "text_encoder/a.safetensors"], False),
    ],
)
def test_cached_means_configuration_and_all_weights(cached, library, files, complete):
    cached("some/model", files)
    card = make(library, "hf-hub:some/model" if library == "open_clip" else "some/model")
    assert hub.is_cached(card) is complete
    assert not hub.is_cached(replace(card, revision="1" * 40)) and not hub.is_cached(replace(card, revision="other"))
    assert hub.is_cached(replace(card, revision="0" * 40)) is complete


@pytest.mark.parametrize("vocabulary", ["tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model"])
def test_captions_need_a_tokenizer(cached, vocabulary):
    card = make("transformers", "some/model", modality="text")
    cached("some/model", ["config.json", "model.safetensors", "tokenizer_config.json", PROCESSOR])
    assert not hub.is_cached(card) and hub.is_cached(replace(card, modality="image"))
    cached("some/model", [vocabulary])
    assert hub.is_cached(card)


@pytest.mark.parametrize("own", [False, True])
def test_captions_of_open_clip_need_a_tokenizer_where_the_model_has_its_own(cached, tmp_path, own):
    card = make("open_clip", "hf-hub:some/clip", modality="text")
    cached("some/clip", ["open_clip_config.json", "open_clip_model.safetensors"])
    (config,) = tmp_path.rglob("open_clip_config.json")
    config.write_text(json.dumps({"model_cfg": {"text_cfg": {"hf_tokenizer_name": "x"} if own else {}}}))
    assert hub.is_cached(card) is not own and hub.is_cached(replace(card, modality="image"))
    cached("some/clip", ["tokenizer.json"])
    assert hub.is_cached(card)


def test_captions_need_no_vae(cached):
    cached("some/model", [file for file in PIPELINE if "vae" not in file] + ["text_encoder/model-2-of-2.safetensors"])
    card = make("diffusers", "some/model")
    assert not hub.is_cached(card) and hub.is_cached(replace(card, modality="text"))


def test_a_tag_of_open_clip_needs_its_weights_only(cached):
    cached("timm/vit_base_patch32_clip_224.openai", ["open_clip_model.safetensors"])
    card = make(**OPENAI)
    assert hub.is_cached(card) and hub.commit(card) == "0" * 40
    assert encoder_identity(card)["weights"] == "0" * 40


def test_a_link_to_weights_that_were_deleted_is_not_cached(cached, tmp_path):
    cached("some/model", ["config.json"])
    weights = tmp_path / "models--some--model" / "snapshots" / ("0" * 40) / "model.safetensors"
    weights.symlink_to(tmp_path / "nowhere")
    assert not hub.is_cached(make("timm", "some/model"))


def test_listing_imports_no_library_of_models(tmp_path):
    heavy = "sorted({'timm', 'open_clip', 'transformers', 'torch'} & set(sys.modules))"
    cards = [make(**OPENAI), make("transformers", "lab/a"), make("timm", "lab/b"), make("open_clip", "hf-hub:lab/c")]
    assert client(tmp_path, cards, f"[hub.is_cached(c), {heavy}]") == [[False, []]] * 4


def test_asking_for_the_commit_offline_fails_with_the_sentence_of_loading(cached):
    with pytest.raises(WorkError, match="cannot get 'nobody/at-all' through transformers.*not in its cache.*HF_HOME"):
        hub.commit(make("transformers", "nobody/at-all"))
