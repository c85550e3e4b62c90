import inspect
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark import offline
from benchmark.catalog import CHOICES, EncoderCard, cards
from benchmark.encoders import hub, load_encoder, loading, room
from benchmark.errors import InputError, WorkError

VALID = {
    "name": "x",
    "library": "timm",
    "source": "nobody/nothing",
    "modality": "image",
    "kind": "vision",
    "token": "cls",
}


@pytest.fixture
def fresh_probe(monkeypatch):
    """The state of a process that has not probed the hub yet and may use the network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    offline.hub_reachable.cache_clear()
    yield
    offline.hub_reachable.cache_clear()


@pytest.fixture
def silent_hub(monkeypatch, fresh_probe):
    """A hub that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        monkeypatch.setattr(offline, "PROBE_SECONDS", 0.5)
        yield address


def test_importing_the_package_loads_no_heavy_library():
    code = (
        "import sys, benchmark.encoders\n"
        "heavy = {'torch', 'open_clip', 'timm', 'transformers', 'torchvision', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_gets_close_matches(monkeypatch):
    known = {"clip-b-image": EncoderCard(**{**VALID, "name": "clip-b-image"})}
    monkeypatch.setattr("benchmark.catalog.cards", lambda kind: known)
    with pytest.raises(InputError, match="unknown encoder 'clip-b-imagee': did you mean clip-b-image"):
        load_encoder("clip-b-imagee")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"library": "tim"}, "did you mean timm"),
        ({"modality": "images"}, "did you mean image"),
        ({"token": "eot"}, "unknown token rule of image encoders 'eot'"),
        ({"modality": "text"}, "timm has image encoders only"),
        ({"padding": 64}, "`padding` is for captions"),
        ({"padding": -1}, "padding must be 0 or more"),
        ({"padding": -1, "modality": "text", "library": "transformers"}, "padding must be 0 or more"),
        ({"padding": 64, "modality": "text", "library": "open_clip"}, "at their model's own length"),
        ({"pretrained": "openai"}, "`pretrained` names the weights of an architecture of open_clip"),
        ({"pretrained": "openai", "library": "open_clip", "source": "hf-hub:a/b"}, "'hf-hub:a/b' has weights of its"),
        ({"timestep": 5}, "`timestep` is for diffusion models .* not for timm"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        load_encoder(EncoderCard(**{**VALID, **wrong}))


@pytest.mark.parametrize("field, kind", [("pretrained", "open_clip"), ("revision", "open_clip"), ("revision", "bert")])
def test_a_field_that_a_folder_cannot_heed_is_refused(card, field, kind):
    source = card(kind, "text", "eot" if kind == "open_clip" else "cls")
    with pytest.raises(InputError, match=f"`{field}` .*{source.source}.*leave it out") as failure:
        load_encoder(EncoderCard(**{**vars(source), field: "openai"}))
    assert "\n" not in str(failure.value) and f"'{source.name}'" in str(failure.value)


def test_every_field_of_a_shipped_card_is_read():
    found = cards(EncoderCard)
    assert {card.library for card in found.values() if card.timestep} == {"diffusers"}
    for card in found.values():
        loading._check(card, "cpu")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"library": "open_clip", "source": "ViT-B-32-quickgeluu", "pretrained": "openai"}, "mean ViT-B-32-quickgelu"),
        ({"library": "open_clip", "source": "apple/DFN2B-CLIP-ViT-B-16"}, "written hf-hub:ORGANISATION/NAME"),
        (
            {"source": "vit_tiny_patch16_224.augreg_in21k", "revision": "abc"},
            "hf-hub:timm/vit_tiny_patch16_224.augreg_in21k",
        ),
        ({"source": "vit_base_patch16_223"}, "did you mean vit_base_patch16_224"),
    ],
)
def test_an_unknown_architecture_gets_a_close_match(wrong, message):
    with pytest.raises(InputError, match=message):
        load_encoder(EncoderCard(**{**VALID, **wrong}))


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta2"])
def test_a_device_that_is_not_there_is_refused(card, device):
    with pytest.raises(InputError, match="device"):
        load_encoder(card("timm", "image", "cls"), device=device)


@pytest.mark.parametrize(
    "library, source, pretrained",
    [
        ("timm", "hf-hub:nobody/nothing", ""),
        ("timm", "vit_tiny_patch16_224", ""),
        ("transformers", "nobody/nothing", ""),
        ("open_clip", "hf-hub:nobody/nothing", ""),
        ("open_clip", "ViT-B-32-quickgelu", "openai"),
        ("transformers", "hf-hub:nobody/nothing", ""),
    ],
)
def test_a_hub_source_that_cannot_be_had_fails_at_once_with_one_sentence(
    silent_hub, monkeypatch, tmp_path, library, source, pretrained
):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(WorkError) as failure:
        load_encoder(EncoderCard(**{**VALID, "library": library, "source": source, "pretrained": pretrained}))
    assert time.monotonic() - started < 30  # the hub client alone would retry for longer
    message = str(failure.value)
    assert "\n" not in message and "'x'" in message and source in message and "source: FOLDER" in message


@pytest.mark.parametrize("revision", ["", "0" * 40])
@pytest.mark.parametrize(
    "kind, prefix, modality, token",
    [
        ("open_clip", "hf-hub:", "text", "eot"),
        ("timm", "hf-hub:", "image", "cls"),
        ("timm", "", "image", "cls"),
        ("bert", "", "text", "cls"),
    ],
)
def test_a_hub_source_in_the_cache_loads_offline(
    card, captions, images, monkeypatch, tmp_path, kind, prefix, modality, token, revision
):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    local = card(kind, modality, token, **({"own_words": False} if kind == "open_clip" else {}))
    repository = tmp_path / "models--some--model"
    shutil.copytree(local.source, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    hub = EncoderCard(**{**vars(local), "source": f"{prefix}some/model", "revision": revision})
    batch = images if modality == "image" else captions
    assert torch.equal(load_encoder(hub).run(batch)[1].pooled, load_encoder(local).run(batch)[1].pooled)


def test_the_hub_is_probed_once_and_the_process_stays_offline(silent_hub, monkeypatch):
    started = time.monotonic()
    assert not offline.hub_reachable() and not offline.hub_reachable()
    assert time.monotonic() - started < 3
    assert huggingface_hub.constants.HF_HUB_OFFLINE and os.environ["HF_HUB_OFFLINE"] == "1"


def test_nothing_is_sent_when_offline_mode_is_set(silent_hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(offline, "_probe", lambda *_: pytest.fail("probed"))
    assert not offline.hub_reachable()


def test_a_hub_that_refuses_costs_no_waiting(monkeypatch, fresh_probe):
    monkeypatch.setattr(offline, "_probe", lambda endpoint, answered: None)  # as on a refused connection
    monkeypatch.setattr(offline, "PROBE_SECONDS", 20)
    started = time.monotonic()
    assert not offline.hub_reachable()
    assert time.monotonic() - started < 10


def test_an_answering_hub_is_reachable(fresh_probe, monkeypatch):
    monkeypatch.setattr(offline, "_probe", lambda endpoint, answered: answered.set())
    assert offline.hub_reachable() and not huggingface_hub.constants.HF_HUB_OFFLINE


def test_a_local_source_never_probes_the_hub(card, monkeypatch):
    monkeypatch.setattr(loading, "hub_reachable", lambda: pytest.fail("probed"))
    load_encoder(card("timm", "image", "cls"))


@pytest.fixture
def stand_in(card, monkeypatch):
    """A library whose loader notes what it is called with; return the card of its encoder and the notes."""
    source = card("timm", "image", "cls")
    from benchmark.encoders import from_timm

    seen = {}

    def load_tower(card, folder, *, trust_remote_code=False):
        seen.update(trusted=trust_remote_code)
        return tower(card, folder)

    tower = from_timm.load_tower
    monkeypatch.setattr(from_timm, "load_tower", load_tower)
    return source, seen


def test_remote_code_runs_only_if_the_card_asks_and_the_user_confirms(stand_in):
    silent, seen = stand_in
    asking = EncoderCard(**{**vars(silent), "trust_remote_code": True})
    with pytest.raises(InputError, match="runs code .* add --trust_remote_code") as failure:
        load_encoder(asking)
    assert not seen and "\n" not in str(failure.value)
    load_encoder(asking, trust_remote_code=True)
    assert seen == {"trusted": True}
    load_encoder(silent, trust_remote_code=True)
    assert seen == {"trusted": False}


def test_every_library_of_cards_has_a_loader_of_one_form():
    assert {*loading.LIBRARIES, "activations"} == set(CHOICES[EncoderCard]["library"])
    for name in loading.LIBRARIES.values():
        parameters = inspect.signature(import_module(name).load_tower).parameters
        assert list(parameters) == ["card", "folder", "trust_remote_code"], name
        assert parameters["trust_remote_code"].default is False


def test_precision_and_compilation_reach_the_encoder(card, monkeypatch):
    made = {}
    monkeypatch.setattr(loading, "Encoder", lambda card, tower, device, **given: made.update(given, device=device))
    load_encoder(card("timm", "image", "cls"), precision="bfloat16", compile=True)
    assert made == {"device": "cpu", "precision": "bfloat16", "compile": True}


@pytest.fixture
def tagged(card, monkeypatch, tmp_path):
    """A local open_clip card, and one of a tag in open_clip's table whose repository is in the hub's cache."""
    import open_clip

    local = card("open_clip", "text", "eot", own_words=False)
    configuration = json.loads((Path(local.source) / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Small", configuration)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Small", {"tag": {"hf_hub": "lab/clip/"}})
    monkeypatch.setattr(hub, "_open_clip_table", lambda: open_clip.pretrained)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        open_clip.pretrained, "hf_hub_download", partial(huggingface_hub.hf_hub_download, cache_dir=tmp_path)
    )
    store = tmp_path / "models--lab--clip"
    shutil.copytree(local.source, store / "snapshots" / ("0" * 40))
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text("0" * 40)
    return local, EncoderCard(**{**vars(local), "source": "Small", "pretrained": "tag"})


@pytest.mark.parametrize("revision", ["", "0" * 40])
def test_a_tag_of_open_clip_loads_what_its_repository_holds(tagged, captions, revision):
    local, tag = tagged
    tag = EncoderCard(**{**vars(tag), "revision": revision})
    assert hub.is_cached(tag) and hub.commit(tag) == "0" * 40
    assert torch.equal(load_encoder(tag).run(captions)[1].pooled, load_encoder(local).run(captions)[1].pooled)


def test_a_repository_that_moves_while_its_tag_is_loaded_is_noticed(tagged, monkeypatch):
    monkeypatch.setattr(hub, "commit", lambda card: "1" * 40)
    with pytest.raises(WorkError, match="lab/clip changed on the hub .*start again, or pin"):
        load_encoder(tagged[1])


@pytest.mark.parametrize("source", ["./nowhere", "../nowhere/at/all", "/nowhere", "checkpoints/no/where"])
def test_a_folder_that_does_not_exist_is_named(source, monkeypatch):
    monkeypatch.setattr(loading, "hub_reachable", lambda: pytest.fail("probed"))
    with pytest.raises(WorkError, match="there is no folder"):
        load_encoder(EncoderCard(**{**VALID, "source": source}))


def test_a_folder_in_the_users_home_is_shown_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for library in ("timm", "activations"):
        card = EncoderCard(**{**VALID, "library": library, "source": "~/nowhere", "base": "/cards"})
        with pytest.raises(WorkError, match=f"there is no .*folder '{tmp_path}/nowhere'"):
            hub.folder(card)


def test_an_error_of_a_library_that_names_no_encoder_gets_its_name(card):
    with pytest.raises(InputError, match="encoder 'small-bert-text': padding 99 is longer") as failure:
        load_encoder(card("bert", "text", "cls", 99))
    assert str(failure.value).count("encoder '") == 1


def test_a_local_checkpoint_with_code_of_its_own_says_which_field_and_flag_run_it(card, tmp_path):
    source = card("bert", "text", "cls")
    folder = shutil.copytree(source.source, tmp_path / "own")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this code has run')\n")
    with pytest.raises(InputError, match="own.*`trust_remote_code: true` in the card .*--trust_remote_code") as failure:
        load_encoder(EncoderCard(**{**vars(source), "source": str(folder)}))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("library", ["open_clip", "timm", "transformers"])
def test_a_folder_without_a_checkpoint_is_one_sentence(tmp_path, library):
    with pytest.raises(WorkError, match=f"cannot be loaded by {library}") as failure:
        load_encoder(EncoderCard(**{**VALID, "library": library, "source": str(tmp_path)}))
    assert "\n" not in str(failure.value)


def test_loading_prints_no_log_and_leaves_the_log_as_it_was(card, caplog, tmp_path):
    source = card("vit", "image", "cls")
    folder = shutil.copytree(source.source, tmp_path / "vit")
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "classifier.bias": torch.zeros(2)}, folder / "model.safetensors", {"format": "pt"})
    load_encoder(EncoderCard(**{**vars(source), "source": str(folder)}))
    assert not caplog.records and logging.root.manager.disable == logging.NOTSET


def test_loading_shows_no_warning_of_a_library_and_leaves_warnings_as_they_were(stand_in, monkeypatch):
    from benchmark.encoders import from_timm

    def load_tower(*arguments, **options):
        for kind in (UserWarning, FutureWarning, DeprecationWarning):
            warnings.warn("`local_dir_use_symlinks` is deprecated", kind, stacklevel=2)
        return loads(*arguments, **options)

    loads = from_timm.load_tower
    monkeypatch.setattr(from_timm, "load_tower", load_tower)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        load_encoder(stand_in[0])
        assert not shown
        warnings.warn("mine", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["mine"]


def test_a_checkpoint_of_transformers_on_a_card_of_timm_says_which_library_reads_it(card):
    folder = card("vit", "image", "cls").source
    with pytest.raises(WorkError, match="names no `architecture` of timm; .* library: transformers") as failure:
        load_encoder(EncoderCard(**{**VALID, "source": folder}))
    assert folder in str(failure.value) and "KeyError" not in str(failure.value) and "\n" not in str(failure.value)


def test_weights_that_memory_cannot_hold_are_refused_before_they_are_loaded(stand_in, monkeypatch):
    card, seen = stand_in
    monkeypatch.setattr(room, "available_memory", lambda: 1000)
    with pytest.raises(WorkError, match=f"'{card.name}': its weights take 0.0 GB of main memory and 0.0 GB are free"):
        load_encoder(card)
    assert not seen
    monkeypatch.setattr(room, "available_memory", lambda: None)
    load_encoder(card)


def test_a_truncated_checkpoint_is_one_sentence(builders, tmp_path):
    folder = builders.timm(tmp_path / "vit")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WorkError, match="cannot be loaded by timm") as failure:
        load_encoder(EncoderCard(**{**VALID, "source": str(folder)}))
    assert "\n" not in str(failure.value)
