"""Encoders of every kind go through the same comparison: hierarchical, generative, somebody's own code and vectors."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import registry
from benchmark.datasets import load_dataset
from benchmark.encoders import load_encoder

SMALL = ["--max-samples", "400", "--epochs", "1", "--permutations", "2", "--folds", "2", "--k", "4", "--seeds", "0"]
OWN = """
import numpy as np
import torch

class Tower:
    def __init__(self):
        self.module = torch.nn.Linear(12, 8)

    def preprocess(self, batch):
        small = [np.asarray(image.resize((2, 2)), np.float32).ravel() / 255 for image in batch]
        return {"x": torch.from_numpy(np.stack(small))}

    def states(self, inputs, layers):
        return {0: self.module(inputs["x"])[:, None]}

def load(card):
    torch.manual_seed(0)
    return Tower()
"""


def entry(name, library, source, modality, kind, token):
    return (
        f"{name}:\n  library: {library}\n  source: {source}\n  modality: {modality}\n  kind: {kind}\n  token: {token}\n"
    )


@pytest.fixture(scope="module")
def zoo(builders, workspace):
    path = Path(__file__).parents[1] / "encoders" / "checkpoints_generative.py"
    spec = importlib.util.spec_from_file_location("generative_checkpoints", path)
    generative = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generative)
    folder = workspace / "zoo"
    swin = {"img_size": 32, "window_size": 2, "embed_dim": 8, "depths": (1, 2, 1, 1), "num_heads": (1, 2, 2, 4)}
    builders.timm(folder / "swin", "swin_tiny_patch4_window7_224", **swin)
    generative.language_model(folder / "qwen", "qwen2")
    (folder / "my_tower.py").write_text(OWN)
    (folder / "zoo.yaml").write_text(
        entry("tiny-swin", "timm", "./swin", "image", "vision", "mean")
        + entry("tiny-qwen", "transformers", "./qwen", "text", "text", "last")
        + entry("tiny-own", "python", "python:my_tower:load", "image", "vision", "mean")
    )
    return folder


@pytest.fixture
def compared(command, zoo, here):
    """Compare encoders at all layers with some tokens; returns (saes, cells)."""

    def run(*encoders, tokens=3):
        arguments = ["--encoders", ",".join(map(str, encoders)), "--layers", "all", "--tokens", str(tokens)]
        code, out, error = command("compare", *SMALL, *arguments)
        assert code == 0, out + error
        run_id = registry.runs(kind="compare").run_id.iloc[0]
        return registry.table(run_id, "saes.parquet"), registry.table(run_id, "cells.parquet")

    return run


def test_stages_of_different_widths_compare_with_plain_encoders_and_language_models(compared, zoo, here):
    saes, cells = compared(zoo / "zoo.yaml", here / "one.yaml")
    assert list(saes[saes.encoder == "tiny-swin"].d) == [8, 16, 32, 64]
    assert list(saes[saes.encoder == "tiny-swin"].n_latents) == [64, 128, 256, 512]
    assert set(saes.encoder) == {"tiny-swin", "tiny-qwen", "tiny-own", "tiny-vit"}
    pairs = cells[(cells["aggregate"] == "layer_mean") & (cells.recorded_on == "all")]
    assert len(pairs) == 12 and pairs.naive.between(0, 1).all() and np.isfinite(pairs.crossfit).all()


def test_vectors_made_elsewhere_give_what_the_encoder_itself_gives(compared, zoo, here):
    _, own = compared(zoo / "zoo.yaml", here / "one.yaml", tokens=0)
    dataset = load_dataset("scenes", 400)
    encoder = load_encoder(str(here / "one.yaml"))
    vectors = [encoder.global_tokens([dataset[i].image for i in range(s, s + 50)]) for s in range(0, 400, 50)]
    brought = zoo / "vectors"
    brought.mkdir(exist_ok=True)
    order = np.random.default_rng(0).permutation(400)  # any order: rows are found by id
    (brought / "ids.txt").write_text("".join(f"{dataset.ids[i]}\n" for i in order))
    for layer in encoder.layers:
        np.save(brought / f"L{layer:02d}.npy", np.concatenate([part[layer].numpy() for part in vectors])[order])
    (zoo / "brought.yaml").write_text(entry("brought", "activations", "./vectors", "image", "vision", "cls"))
    _, again = compared(zoo / "zoo.yaml", zoo / "brought.yaml", tokens=0)
    own = own.replace({"tiny-vit": "brought"})
    key = ["recorded_on", "aggregate", "source", "target"]
    left, right = (part.set_index(key).sort_index()[["naive", "crossfit"]] for part in (own, again))
    pd.testing.assert_frame_equal(left, right, atol=0.02, rtol=0)


def test_an_encoder_that_cannot_be_had_does_not_stop_the_others(command, here):
    far = here / "far.yaml"
    far.write_text(entry("far", "transformers", "someone/not-here", "text", "text", "cls"))
    code, out, error = command("compare", *SMALL, "--encoders", f"{here / 'one.yaml'},{far},small-bert")
    assert code == 1 and "failed: far" in error
    assert "FAILED far: encoder 'far': cannot get" in out and "someone/not-here" in out and "source" in out
    assert "wMPPC, cross-fitted" in out and "small-bert" in out


def test_a_dataset_without_captions_is_refused_for_text_encoders_before_any_work(command, here, tmp_path):
    from PIL import Image

    for i in range(30):
        Image.new("RGB", (8, 8), (i * 8, 0, 0)).save(tmp_path / f"{i:02d}.png")
    code, _, error = command("compare", *SMALL, "--encoders", "small-bert,small-vit", "--dataset", tmp_path)
    assert code == 2 and "has no captions" in error and "compare image encoders only" in error


def test_code_of_a_repository_needs_the_users_word(command, here):
    card = here / "trusting.yaml"
    card.write_text(entry("trusting", "transformers", "./bert", "text", "text", "cls") + "  trust_remote_code: true\n")
    arguments = ["compare", *SMALL, "--encoders", f"{card},small-bert"]
    code, out, error = command(*arguments)
    assert code == 1 and "--trust" in out + error
    code, out, error = command(*arguments, "--trust-remote-code")
    assert code == 0, out + error
