import logging
import os
import shutil
import socket
import subprocess
import sys
import time

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.catalog import EncoderCard
from benchmark.encoders import load_encoder, loading, offline
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
    ],
)
def test_a_card_that_contradicts_itself_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        load_encoder(EncoderCard(**{**VALID, **wrong}))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"library": "open_clip", "source": "ViT-B-32-quickgeluu", "pretrained": "openai"}, "mean ViT-B-32-quickgelu"),
        ({"library": "open_clip", "source": "apple/DFN2B-CLIP-ViT-B-16"}, "written hf-hub:ORGANISATION/NAME"),
        (
            {"library": "open_clip", "source": "ViT-B-32", "pretrained": "openai", "revision": "abc"},
            "`revision` applies",
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
        ("open_clip", "ViT-B-32-quickgelu", ""),
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


def test_an_answering_hub_is_reachable(fresh_probe, monkeypatch):
    monkeypatch.setattr(offline, "_probe", lambda endpoint, answered: answered.set())
    assert offline.hub_reachable() and not huggingface_hub.constants.HF_HUB_OFFLINE


def test_a_local_source_never_probes_the_hub(card, monkeypatch):
    monkeypatch.setattr(loading, "hub_reachable", lambda: pytest.fail("probed"))
    load_encoder(card("timm", "image", "cls"))


@pytest.mark.parametrize("source", ["./nowhere", "../nowhere/at/all", "/nowhere", "checkpoints/no/where"])
def test_a_folder_that_does_not_exist_is_named(source, monkeypatch):
    monkeypatch.setattr(loading, "hub_reachable", lambda: pytest.fail("probed"))
    with pytest.raises(WorkError, match="there is no folder"):
        load_encoder(EncoderCard(**{**VALID, "source": source}))


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


def test_a_truncated_checkpoint_is_one_sentence(builders, tmp_path):
    folder = builders.timm(tmp_path / "vit")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WorkError, match="cannot be loaded by timm") as failure:
        load_encoder(EncoderCard(**{**VALID, "source": str(folder)}))
    assert "\n" not in str(failure.value)
