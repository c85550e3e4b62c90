import pytest
import torch
from PIL import Image

from benchmark.datasets import load_dataset
from benchmark.errors import InputError
from benchmark.pretraining.data import SIDE, load_pretraining, normalised


def test_images_captions_and_classes_belong_together(data, cache):
    scenes, blooms = load_dataset("scenes-pretrain", 50, cache), load_dataset("blooms-pretrain", 20, cache)
    assert len(data) == 70 and data.images.shape == (70, 3, SIDE, SIDE) and data.images.dtype == torch.uint8
    assert data.captions == scenes.captions() + blooms.captions()
    for row, dataset, i, names in ((3, scenes, 3, ("shape", "colour")), (55, blooms, 5, ("colour", "petal_shape"))):
        assert Image.fromarray(data.images[row].permute(1, 2, 0).numpy()).tobytes() == dataset[i].image.tobytes()
        assert data.classes[data.labels[row]] == " ".join(dataset.factors.iloc[i][list(names)])


def test_no_sample_is_in_an_evaluation_set(data, cache):
    seen = {dataset[i].image.tobytes() for dataset in _evaluation(cache) for i in range(200)}
    trained = {Image.fromarray(image.permute(1, 2, 0).numpy()).tobytes() for image in data.images}
    assert len(seen) == 400 and not seen & trained


def _evaluation(cache):
    return [load_dataset(name, 200, cache, progress=False) for name in ("scenes", "blooms")]


def test_pixels_are_normalised_as_the_loaded_checkpoint_does(data, tower):
    image = Image.fromarray(data.images[0].permute(1, 2, 0).numpy())
    for name in ("small-vit", "small-ssl", "small-clip-image"):
        pixels = tower(name).preprocess([image])["pixel_values"]
        torch.testing.assert_close(pixels, normalised(data.images[:1]))


@pytest.mark.parametrize("samples", [0, 3, 10**6])
def test_impossible_sizes_are_refused_in_a_sentence(samples, cache):
    with pytest.raises(InputError, match=f"{samples} samples|not {samples}"):
        load_pretraining(samples, cache, progress=False)
