import shutil
from dataclasses import replace

import pytest
from huggingface_hub import constants

from benchmark.catalog import EncoderCard
from benchmark.errors import WorkError
from benchmark.jobs import keys


@pytest.fixture
def local(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1234")
    return EncoderCard(
        name="x", library="timm", source="model", modality="image", kind="vision", token="cls", base=str(tmp_path)
    )


@pytest.fixture
def hub_card(monkeypatch, tmp_path):
    """A card of a repository whose main is known to the cache to be at commit 111...1."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    refs = tmp_path / "models--some--model" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("1" * 40)
    (refs / "v2").write_text("2" * 40)
    return EncoderCard(
        name="x", library="transformers", source="some/model", modality="image", kind="vision", token="cls"
    )


def test_the_order_of_entries_does_not_change_a_key():
    assert keys.content_key({"a": 1, "b": [2]}) == keys.content_key({"b": [2], "a": 1})
    assert keys.content_key({"a": 1}) != keys.content_key({"a": 2})


def test_a_folder_counts_by_its_content_wherever_it_lies(local, tmp_path):
    shutil.copytree(tmp_path / "model", tmp_path / "moved")
    (tmp_path / "moved" / ".cache").mkdir()
    (tmp_path / "moved" / ".cache" / "noise").write_text("time stamps of a download")
    shutil.copytree(tmp_path / "model", tmp_path / "changed")
    (tmp_path / "changed" / "weights").write_bytes(b"1235")
    shutil.copytree(tmp_path / "model", tmp_path / "renamed")
    (tmp_path / "renamed" / "weights").rename(tmp_path / "renamed" / "weight")
    found = {
        name: keys.encoder_identity(replace(local, source=name)) for name in ("model", "moved", "changed", "renamed")
    }
    assert found["model"] == found["moved"]
    assert found["changed"] != found["model"] != found["renamed"]


@pytest.mark.parametrize(
    "change",
    [
        {"licence": "other"}, {"training": {"how": "other"}}, {"family": "f"}, {"size": "b"}, {"kind": "vlm"},
        {"shape": "12x768"}, {"gflop": 1.0}, {"download_mb": 5},
    ],
)  # fmt: skip
def test_what_a_card_only_tells_its_readers_does_not_change_the_key(local, change):
    assert keys.encoder_identity(replace(local, **change)) == keys.encoder_identity(local)


@pytest.mark.parametrize(
    "change", [{"token": "mean"}, {"padding": 64}, {"layers": "last"}, {"timestep": 5}, {"name": "y"}]
)
def test_what_changes_the_vectors_changes_the_key(local, change):
    assert keys.encoder_identity(replace(local, **change)) != keys.encoder_identity(local)


def test_a_hub_card_counts_by_the_commit_however_it_is_named(hub_card):
    identity = keys.encoder_identity(hub_card)
    assert identity["weights"] == "1" * 40
    assert keys.encoder_identity(replace(hub_card, revision="1" * 40)) == identity
    assert keys.encoder_identity(replace(hub_card, revision="v2"))["weights"] == "2" * 40
    assert keys.encoder_identity(replace(hub_card, revision="2" * 40))["weights"] == "2" * 40


def test_a_commit_that_cannot_be_told_fails_with_the_sentence_of_loading(hub_card):
    from benchmark.encoders import load_encoder

    for card in (replace(hub_card, source="other/model"), replace(hub_card, revision="v3")):
        with pytest.raises(WorkError, match="not in its cache.*source: FOLDER.*HF_HOME") as failure:
            keys.encoder_identity(card)
        with pytest.raises(WorkError) as loading:
            load_encoder(card)
        assert str(loading.value) == str(failure.value)


def test_a_folder_that_is_not_there_is_not_taken_for_a_repository(local):
    with pytest.raises(WorkError, match="there is no folder '.*nowhere'"):
        keys.encoder_identity(replace(local, source="./nowhere"))


def test_every_library_names_the_packages_that_its_activations_depend_on(local, monkeypatch):
    from benchmark.catalog import CHOICES

    assert set(keys.PACKAGES) == set(CHOICES[EncoderCard]["library"])
    before = keys.encoder_identity(local)
    assert before["library_version"] and all(before["library_version"])
    monkeypatch.setattr(keys, "version", lambda package: "0.0")
    assert keys.encoder_identity(local) != before


def test_a_package_that_is_not_installed_is_left_to_loading(local, monkeypatch):
    monkeypatch.setitem(keys.PACKAGES, "timm", ("no-such-package-at-all",))
    assert keys.encoder_identity(local)["library_version"] == [""]
