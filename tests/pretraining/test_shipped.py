"""The checkpoints that ship with the project."""

import json
import re
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmark.catalog import CARDS, DatasetCard, EncoderCard, cards
from benchmark.datasets import load_dataset
from benchmark.encoders import load_encoder
from benchmark.pretraining.build import MODELS, read_report, recipe
from benchmark.pretraining.cards import write_cards
from benchmark.pretraining.evaluate import last_tokens, probe_factor, retrieval

TOWERS = [tower.name for model in MODELS.values() for tower in model.towers]
CHECKPOINTS = CARDS / "checkpoints"


def fresh(kind, size, cache):
    """Samples of seed 7, which neither training nor evaluation uses."""
    return load_dataset(DatasetCard(name=f"{kind}-fresh", kind=kind, size=size, seed=7), cache=cache, progress=False)


@pytest.mark.parametrize("name", TOWERS)
def test_every_tower_loads_by_its_name(name):
    encoder = load_encoder(name)
    assert encoder.layers == [0, 1, 2, 3] and set(encoder.widths.values()) == {96}


def test_together_they_are_small_and_hold_weights_and_settings_only():
    files = [path for path in CHECKPOINTS.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt"}
    assert sum(path.stat().st_size for path in files) < 15e6
    assert {path.name for path in CHECKPOINTS.iterdir()} == set(MODELS)


def test_no_file_names_a_place_of_a_machine():
    def strings(value):
        if isinstance(value, dict):
            yield from (text for pair in value.items() for item in pair for text in strings(item))
        elif isinstance(value, list):
            yield from (text for item in value for text in strings(item))
        elif isinstance(value, str):
            yield value

    absolute = re.compile(r"^(/|~|[A-Za-z]:[\\/]|file:).|/(home|tmp|root|Users|work)/")
    for path in CHECKPOINTS.rglob("*.json"):
        found = [text for text in strings(json.loads(path.read_text(encoding="utf-8"))) if absolute.search(text)]
        assert not found, f"{path}: {found}"


def test_the_cards_are_what_the_reports_give(tmp_path):
    for name in MODELS:
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(parents=True)
        shutil.copy(CHECKPOINTS / name / "report.json", folder)
    written = tmp_path / "encoders" / "small.yaml"
    write_cards([read_report(tmp_path / "checkpoints" / name) for name in MODELS], written)
    assert written.read_text(encoding="utf-8") == (CARDS / "encoders" / "small.yaml").read_text(encoding="utf-8")


def test_the_defaults_are_what_the_shipped_checkpoints_were_trained_with():
    for name, model in MODELS.items():
        report = read_report(CHECKPOINTS / name)
        assert (report.samples, report.epochs, report.seed) == (model.samples, model.epochs, 0)
        assert report.config == asdict(recipe(name))


def test_the_pair_retrieves_far_above_chance(cache):
    pairs = fresh("scenes", 200, cache)
    recall = retrieval(CHECKPOINTS / "small-clip", pairs)
    assert min(recall.values()) > 0.3  # chance: 0.005


@pytest.mark.parametrize("name", TOWERS)
def test_probes_beat_the_majority_as_the_cards_say(name, cache):
    scenes = fresh("scenes", 600, cache)
    vectors = last_tokens(load_encoder(name), scenes)
    tested = np.arange(600) % 2 == 1
    said = cards(EncoderCard)[name].training["metrics"]["probes"]["scenes"]
    for factor in ("colour", "place"):
        accuracy, majority = probe_factor(vectors, scenes.factors[factor].to_numpy(dtype=str), tested)
        assert accuracy > majority + 0.15
        # The card's probe has seven times the samples to learn from, hence the room below.
        assert said[factor][0] - 0.25 < accuracy < said[factor][0] + 0.1


def test_matching_captions_are_nearer_than_others_in_the_layer_that_saes_read(cache):
    """Image CLS and text EOT of matching pairs are linearly related: a ridge map of one half retrieves in the other."""
    pairs = fresh("scenes", 600, cache)
    image, text = (
        torch.from_numpy(last_tokens(load_encoder(f"small-clip-{side}"), pairs)).double() for side in ("image", "text")
    )
    image, text = image - image[:400].mean(0), text - text[:400].mean(0)
    gram = text[:400].T @ text[:400]
    mapped = text @ torch.linalg.solve(gram + 0.01 * gram.trace() / 96 * torch.eye(96), text[:400].T @ image[:400])
    similarity = F.normalize(mapped[400:], dim=1) @ F.normalize(image[400:], dim=1).T
    hits = (similarity.argmax(1) == torch.arange(200)).double().mean().item()
    assert hits > 0.05  # chance: 0.005


def test_strange_texts_are_encoded(cache):
    for name in ("small-clip-text", "small-bert"):
        encoder = load_encoder(name)
        pooled = encoder.run(["", "\N{GRINNING FACE}", "grinning face", "日本", "word " * 100])[3].pooled
        assert pooled.isfinite().all() and not torch.allclose(pooled[2], pooled[0])
