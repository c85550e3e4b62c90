"""What a plan says of tokens is what encoders give."""

import pytest

from benchmark.catalog import EncoderCard, cards, find_card, read_cards
from benchmark.encoders import load_encoder
from benchmark.jobs.configs import CompareConfig
from benchmark.jobs.estimate import estimate_encoder
from benchmark.jobs.layer_groups import training_bytes
from benchmark.jobs.outline import parse_shape
from benchmark.jobs.plan import make_plan
from benchmark.jobs.token_outline import measured_tokens, stated_tokens
from benchmark.sae.mixing import BLOCK_BYTES


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("clip-b-image", 50), ("clip-l-image", 257), ("dfn-b-image", 197), ("vit-l", 577), ("dinov2-b", 257),
     ("siglip2-l-image", 576)],
)  # fmt: skip
def test_the_cost_of_a_forward_pass_tells_the_tokens_of_an_image(name, wanted):
    card = find_card(EncoderCard, name)
    found = stated_tokens(card, parse_shape(card))
    assert len(set(found.values())) == 1 and found[0] == pytest.approx(wanted, rel=0.03)


def test_stages_have_a_quarter_of_the_places_of_the_one_before():
    card = find_card(EncoderCard, "mambavision")
    assert list(stated_tokens(card, parse_shape(card)).values()) == [56**2, 28**2, 14**2, 7**2]


def test_captions_are_short_whatever_the_models_length():
    assert all(set(stated_tokens(card, [8, 8]).values()) == {13} for card in cards(EncoderCard).values()
               if card.modality == "text")  # fmt: skip


@pytest.mark.parametrize("name", ["tiny-vit", "tiny-image"])
def test_a_loaded_encoder_is_measured(workspace, name):
    from PIL import Image

    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")[name])
    output = encoder.run([Image.new("RGB", (90, 50))])
    assert measured_tokens(encoder) == {layer: output[layer].tokens.shape[1] - 1 for layer in encoder.layers}


def test_a_plan_for_all_tokens_has_their_steps_buffers_and_passes(monkeypatch):
    monkeypatch.setattr("benchmark.jobs.rates.step_seconds", lambda *sizes: 1.0)
    monkeypatch.setattr("benchmark.jobs.rates.transformer_rate", lambda *sizes: 1e12)
    monkeypatch.setattr("benchmark.jobs.rates.image_seconds", lambda: 0.0)
    item = find_card(EncoderCard, "clip-l-text")  # 12 layers of width 768, 13 tokens a caption
    sizes, found = (1_000_000, 500_000, 1 << 40), {}
    for tokens in ("global", "all"):
        plan = make_plan(CompareConfig(suite="paper", tokens=tokens, epochs=2, seeds=(0,)))
        found[tokens] = estimate_encoder(plan, item, *sizes)
    steps = {"global": -(-500_000 // 256), "all": -(-500_000 * 14 // 256)}
    assert {name: found[name].train for name in found} == {name: 2 * 12 * n for name, n in steps.items()}
    assert found["all"].encode == pytest.approx(found["global"].encode * (1_000_000 + 2 * 500_000 + 2048) / 1_000_000)
    buffers = found["all"].training - 12 * training_bytes(768, 6144)
    assert 0.98 * 12 * BLOCK_BYTES < buffers <= 12 * BLOCK_BYTES
    few = estimate_encoder(plan, item, 1_000_000, 500_000, found["all"].training - 1)
    assert few.parts == 2 and few.encode > found["all"].encode
