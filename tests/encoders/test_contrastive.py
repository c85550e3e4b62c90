"""Both towers of a checkpoint give open_clip's own embeddings, of unit length."""

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from benchmark.catalog import EncoderCard
from benchmark.encoders.contrastive import LAYER, load_pair, pair_cards
from benchmark.errors import InputError


def card(source, modality="image", library="open_clip", **fields):
    token = "cls" if modality == "image" else "eot"
    return EncoderCard(
        name="tower", library=library, source=str(source), modality=modality, kind="vlm", token=token, **fields
    )


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_pair_embeds_as_its_library_does_whichever_tower_is_named(builders, tmp_path, modality):
    folder = tmp_path / "pair"
    builders.open_clip(folder)
    pair = load_pair(card(folder, modality))
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)) for _ in range(3)]
    texts = ["a red ball", "two small cubes on the table", ""]
    name = f"local-dir:{folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    model.eval()
    with torch.no_grad():
        seen = model.encode_image(torch.stack([transform(image) for image in images]), normalize=True)
        read = model.encode_text(open_clip.get_tokenizer(name)(texts), normalize=True)
    for found, expected in ((pair.image.run(images), seen), (pair.text.run(texts), read)):
        torch.testing.assert_close(found[LAYER].pooled, expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[LAYER].pooled.norm(dim=1), torch.ones(3))


def test_only_open_clip_has_pairs():
    with pytest.raises(InputError, match="'tower' is no tower of a contrastive pair"):
        pair_cards(card("x", library="timm"))
