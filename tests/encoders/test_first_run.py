"""What a tower must give before an encoder is made of it."""

from dataclasses import replace

import pytest
import torch
import transformers
from PIL import Image, ImageOps

from benchmark.catalog import EncoderCard
from benchmark.encoders import Encoder, load_encoder
from benchmark.encoders.first_run import LONG_CAPTION, first_batch
from benchmark.errors import InputError
from benchmark.jobs.prefetch import LETTERS

IMAGES = EncoderCard(name="mine", library="python", source="", modality="image", kind="vision", token="mean")
CAPTIONS = replace(IMAGES, modality="text", kind="text")


class Tower:
    """A tower that gives what `states` returns for (batch, layers)."""

    module = torch.nn.Module()

    def __init__(self, given, mask=True):
        self.given, self.mask = given, mask

    def preprocess(self, batch):
        inputs = {"x": torch.ones(len(batch), 4, 2)}
        return {**inputs, "mask": torch.ones(len(batch), 4, dtype=torch.bool)} if self.mask else inputs

    def states(self, inputs, layers):
        return self.given(inputs["x"], layers)


@pytest.mark.parametrize(
    "given, said",
    [
        (lambda x, layers: {}, "layers .. instead of one tensor for each block"),
        (lambda x, layers: [x, x], "gave a list instead"),
        (lambda x, layers: None, "gave a NoneType instead"),
        (lambda x, layers: {"block0": x}, r"layers \['block0'\] instead"),
        (lambda x, layers: {True: x}, r"layers \[True\] instead"),
        (lambda x, layers: {0: x.long()}, "torch.int64 for layer 0 instead of a tensor of floats"),
        (lambda x, layers: {0: x.numpy()}, "ndarray for layer 0 instead"),
        (lambda x, layers: {0: x, 1: x[:, 0]}, r"shape \(2, 2\) for layer 1 .*\(samples, tokens, width\)"),
        (lambda x, layers: {0: x.transpose(0, 1)}, r"shape \(4, 2, 2\) for layer 0"),
        (lambda x, layers: {0: x[:1]}, r"shape \(1, 4, 2\) for layer 0"),
        (lambda x, layers: {0: x[..., :0]}, r"shape \(2, 4, 0\) for layer 0"),
        (lambda x, layers: {0: x[:, 1:]}, r"shape \(2, 3, 2\) for layer 0, but a mask of shape \(2, 4\)"),
        (lambda x, layers: {0: torch.rand_like(x)}, "another result for layer 0 when the same input was run again"),
        (lambda x, layers: {0: x, 1: x} if layers is None else {1: x}, "another result for layer 0"),
    ],
)  # fmt: skip
def test_what_is_no_residual_stream_is_refused_in_one_sentence(given, said):
    with pytest.raises(InputError, match=said) as failure:
        Encoder(CAPTIONS, Tower(given))
    assert "\n" not in str(failure.value) and "'mine'" in str(failure.value)


def test_captions_need_a_mask_and_images_do_not():
    with pytest.raises(InputError, match="no `mask` of type bool"):
        Encoder(CAPTIONS, Tower(lambda x, layers: {0: x}, mask=False))
    assert Encoder(IMAGES, Tower(lambda x, layers: {0: x}, mask=False)).layers == [0]


def test_padding_may_hold_anything():
    class Padded(Tower):
        def preprocess(self, batch):
            inputs = super().preprocess(batch)
            inputs["mask"][:, 2:] = False
            return inputs

    padded = Padded(lambda x, layers: {0: torch.cat([x[:, :2], torch.rand_like(x[:, :2]) / 0], 1)})
    assert Encoder(CAPTIONS, padded).layers == [0]


def test_values_that_are_not_finite_are_left_to_be_found_where_their_sample_is_known():
    tower = Tower(lambda x, layers: {0: torch.where(torch.arange(4)[:, None] > 1, torch.inf, x) * x})
    assert Encoder(CAPTIONS, tower).layers == [0]
    assert Encoder(CAPTIONS, Tower(lambda x, layers: {0: x * torch.nan})).layers == [0]


def test_the_long_caption_is_as_long_as_captions_of_full_batches_are():
    assert len(LONG_CAPTION.encode()) == LETTERS


def test_no_flip_leaves_the_first_image_as_it_is():
    (image,) = first_batch("image")
    for changed in (ImageOps.mirror(image), ImageOps.flip(image), image.transpose(Image.Transpose.ROTATE_180)):
        assert changed.tobytes() != image.tobytes()


def test_a_model_that_masks_at_random_is_refused(tmp_path):
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    decoder = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    config = transformers.ViTMAEConfig(**size, **decoder, image_size=32, patch_size=8)
    transformers.ViTMAEModel(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="another result .* masked autoencoders"):
        load_encoder(replace(IMAGES, library="transformers", source=str(tmp_path)))


@pytest.mark.parametrize("kind, token", [("bert", "cls"), ("gpt2", "last")])
def test_the_memory_of_a_sample_is_that_of_a_long_caption(card, kind, token):
    encoder = load_encoder(card(kind, "text", token))
    long = encoder.run([first_batch("text")[1]])
    assert encoder.state_bytes == sum(4 * output.tokens[0].numel() for output in long.values())
    usual = encoder.run(["a red ball"])
    assert encoder.state_bytes > 2 * sum(4 * output.tokens[0].numel() for output in usual.values())
