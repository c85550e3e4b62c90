"""What an encoder will look like is known before it is fetched: from its card, from its files, or not at all."""

import shutil

import huggingface_hub
import numpy as np
import pytest

from benchmark.catalog import EncoderCard, find_card
from benchmark.errors import InputError, WorkError
from benchmark.jobs.outline import encoder_outline, parse_shape


def card(**fields):
    wanted = {"name": "x", "library": "timm", "source": "org/x", "modality": "image", "kind": "vision", "token": "cls"}
    return EncoderCard(**{**wanted, **fields})


@pytest.mark.parametrize(
    ("text", "widths"), [("12x768", (768,) * 12), ("128,256, 512", (128, 256, 512)), ("64", (64,))]
)
def test_shapes(text, widths):
    assert parse_shape(card(shape=text)) == widths


@pytest.mark.parametrize("text", ["12x", "x", "a,b", "12x768x3", "-3x4"])
def test_a_malformed_shape(text):
    with pytest.raises(InputError, match="shape must look like 12x768"):
        parse_shape(card(shape=text))


@pytest.mark.parametrize(
    ("layers", "widths"),
    [("all", {0: 8, 1: 16, 2: 32}), ("0,2", {0: 8, 2: 32}), ("last", {2: 32})],
)
def test_a_stated_shape_gives_the_layers_that_the_card_offers_by_their_own_numbers(layers, widths):
    assert encoder_outline(card(shape="8,16,32", layers=layers)).widths == widths


def test_a_layer_beyond_the_stated_shape_is_refused():
    with pytest.raises(InputError, match="'x' has no layer 7"):
        encoder_outline(card(shape="8,16,32", layers="7"))


def test_a_local_checkpoint_is_measured(here):
    found = encoder_outline(find_card(EncoderCard, "one.yaml"))
    # 3 blocks of width 16 over 17 tokens: 12 d^2 multiply-adds a token and block, 2 T d for attention, and the patches.
    assert found.widths == {0: 16, 1: 16, 2: 16}
    least = 3 * 17 * (12 * 16**2 + 2 * 17 * 16)
    assert least < found.gflop * 1e9 < 1.5 * least


def test_a_local_checkpoint_has_the_layers_that_its_card_offers(here):
    found = encoder_outline(card(source=str(here / "vit"), layers="0,2"))
    assert found.widths == {0: 16, 2: 16}


def test_vectors_made_elsewhere_have_the_layers_that_were_recorded_and_cost_nothing(tmp_path):
    (tmp_path / "ids.txt").write_text("a\nb\n")
    for layer, width in ((3, 5), (9, 7)):
        np.save(tmp_path / f"L{layer:02d}.npy", np.zeros((2, width), np.float32))
    found = encoder_outline(card(library="activations", source=str(tmp_path)))
    assert found.widths == {3: 5, 9: 7} and found.gflop == 0


def test_weights_in_the_cache_of_the_hub_are_loaded_where_the_card_states_no_shape(here, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    shutil.copytree(here / "vit", tmp_path / "models--org--x" / "snapshots" / ("0" * 40))
    found = encoder_outline(card(source="hf-hub:org/x", revision="0" * 40))
    assert found.widths == {0: 16, 1: 16, 2: 16} and found.gflop > 0


def test_weights_that_are_not_here_and_of_no_stated_shape_are_unknown():
    assert encoder_outline(card()) is None


def test_a_source_where_nothing_is_counts_as_missing_even_if_the_card_states_a_shape():
    with pytest.raises(WorkError, match="there is no folder"):
        encoder_outline(card(source="./gone", shape="2x8"))


def test_code_of_a_repository_is_run_only_with_the_users_word(here):
    trusting = card(library="transformers", source=str(here / "bert"), modality="text", trust_remote_code=True)
    with pytest.raises(InputError, match="--trust_remote_code"):
        encoder_outline(trusting)
    assert encoder_outline(trusting, trust_remote_code=True).widths
