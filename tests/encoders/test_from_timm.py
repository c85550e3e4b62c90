import pytest
import torch

from benchmark.encoders import load_encoder


@pytest.mark.parametrize("arguments", [{}, {"reg_tokens": 4}, {"class_token": False, "global_pool": "avg"}], ids=str)
def test_every_layer_is_the_output_of_its_block_with_prefix_tokens_first(card, images, hooked, arguments):
    encoder = load_encoder(card("timm", "image", "mean" if "class_token" in arguments else "cls", **arguments))
    seen, output = hooked(encoder, images, encoder._tower.module.blocks)
    assert len(seen) == len(output) == 3
    for layer, tokens in enumerate(seen):
        assert tokens.shape[1] == encoder._tower.module.num_prefix_tokens + 16
        assert torch.equal(output[layer].tokens, tokens)
        expected = tokens.mean(1) if "class_token" in arguments else tokens[:, 0]
        torch.testing.assert_close(output[layer].pooled, expected)


def test_hierarchical_models_give_stages_of_different_widths(card, images):
    source = card("timm", "image", "mean", architecture="convnext_atto", depths=(1, 1, 1, 1), dims=(8, 12, 16, 24))
    encoder = load_encoder(source)
    assert encoder.widths == {0: 8, 1: 12, 2: 16, 3: 24}
    output = encoder.run(images)
    assert [output[layer].tokens.shape[1] for layer in encoder.layers] == [64, 16, 4, 1]
    stage = {}
    encoder._tower.module.stages[1].register_forward_hook(lambda _m, _i, out: stage.update(out=out))
    torch.testing.assert_close(encoder.run(images)[1].pooled, stage["out"].mean((2, 3)))


def test_preprocessing_is_the_checkpoints_own(card, images):
    pixels = load_encoder(card("timm", "image", "cls")).preprocess(images)["pixel_values"]
    assert pixels.shape == (5, 3, 32, 32) and pixels.min() >= -1 and pixels.max() <= 1 and pixels.min() < -0.5
