import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from dataset_files import png
from PIL import Image

from benchmark.catalog import DatasetCard
from benchmark.datasets import augmentation
from benchmark.datasets.augmentation import augmenter, colour, crop, describe, flip
from benchmark.errors import InputError

IDS = [f"id{i}" for i in range(400)]


def card(*augment: str, seed: int = 0, **options) -> DatasetCard:
    return DatasetCard(**{"name": "set", "kind": "parquet", "augment": augment, "seed": seed} | options)


def photo(width=40, height=24) -> Image.Image:
    """Smooth colours that differ everywhere."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + 2 * y) * 3 % 256], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def differ(a: Image.Image, b: Image.Image) -> bool:
    return a.tobytes() != b.tobytes()


def test_without_augmentation_there_is_nothing_to_do():
    assert augmenter(card()) is None and describe(card()) == ""


@pytest.mark.parametrize("names", [("flip",), ("crop",), ("colour",), ("flip", "crop", "colour")])
def test_an_image_is_changed_by_seed_and_id_alone(names):
    image, change = photo(), augmenter(card(*names))
    before = image.tobytes()
    changed = {id_: change(image, id_).tobytes() for id_ in IDS[:40]}
    assert image.tobytes() == before and len(set(changed.values())) > 1
    again = augmenter(card(*names))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda id_: again(image, id_).tobytes(), IDS[39::-1])) == list(changed.values())[::-1]
    other = augmenter(card(*names, seed=1))
    assert [other(image, id_).tobytes() for id_ in IDS[:40]] != list(changed.values())
    assert again(image, "x").mode == "RGB" and again(image, "x").size == image.size


def test_another_process_makes_the_same_changes():
    script = (
        "from PIL import Image; from benchmark.catalog import DatasetCard\n"
        "from benchmark.datasets.augmentation import augmenter\n"
        "from benchmark.datasets.hashing import digest\n"
        "change = augmenter(DatasetCard(name='s', kind='parquet', augment=('flip', 'crop', 'colour'), seed=5))\n"
        "image = Image.linear_gradient('L').convert('RGB')\n"
        "print(digest(b''.join(change(image, str(i)).tobytes() for i in range(5))))"
    )
    command = [sys.executable, "-c", script]
    seen = {
        subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1 and seen.pop().strip()


def test_half_of_the_images_are_mirrored_and_nothing_else():
    image, change = photo(), augmenter(card("flip"))
    mirror = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    outcomes = [change(image, id_).tobytes() for id_ in IDS]
    assert set(outcomes) == {mirror, image.tobytes()}
    assert outcomes.count(mirror) == pytest.approx(200, abs=50)  # five standard deviations
    assert differ(flip(image, (0.499, 0, 0, 0)), image) and not differ(flip(image, (0.5, 0, 0, 0)), image)


def test_a_change_is_drawn_independently_of_the_other_changes():
    image = photo()
    flips = [differ(augmenter(card("flip"))(image, id_), image) for id_ in IDS]
    both = [differ(augmenter(card("colour", "flip"))(image, i), augmenter(card("colour"))(image, i)) for i in IDS[:50]]
    assert both == flips[:50]
    lefts = [augmentation._draws("crop 0", id_)[2] for id_ in IDS]
    assert abs(np.corrcoef(flips, lefts)[0, 1]) < 0.25


def test_the_order_of_the_card_makes_no_difference():
    image, cards = photo(), (card("colour", "crop", "flip"), card("flip", "crop", "colour", "flip"))
    assert describe(cards[0]) == describe(cards[1]) == "crop, flip, colour (seed 0, version 1)"
    assert not differ(*(augmenter(one)(image, "a") for one in cards))


def box(width: int, height: int, id_: str) -> tuple[float, float, float, float]:
    """The part that `crop` cuts out, seen through a recorder in place of the image."""
    seen = []

    class Recorder:
        size = (width, height)

        def resize(self, size, resample, box):
            assert size == self.size
            seen.append(box)

    Recorder.width, Recorder.height = width, height
    crop(Recorder(), augmentation._draws("crop 0", id_))
    return seen[0]


@pytest.mark.parametrize(("width", "height"), [(500, 375), (64, 64), (10, 2000)])
def test_a_crop_has_half_to_all_of_the_area_and_little_distortion(width, height):
    areas, aspects = [], []
    for id_ in IDS:
        left, upper, right, lower = box(width, height, id_)
        assert 0 <= left < right <= width and 0 <= upper < lower <= height
        across, down = (right - left) / width, (lower - upper) / height
        areas.append(across * down)
        assert areas[-1] == pytest.approx(0.5 + 0.5 * augmentation._draws("crop 0", id_)[0])
        aspects.append(across / down)
    assert min(areas) > 0.499 and max(areas) < 1.001 and np.mean(areas) == pytest.approx(0.75, abs=0.04)
    assert 0.749 < min(aspects) < 0.85 and 1.2 < max(aspects) < 1.334
    assert np.mean(np.log(aspects)) == pytest.approx(0, abs=0.04)


def test_a_crop_shows_the_part_that_was_drawn():
    image = photo(200, 100)
    left, upper, right, lower = box(200, 100, "id7")
    shown = np.asarray(augmenter(card("crop"))(image, "id7")).astype(int)
    # The red channel is 255 x / width, the green one 255 y / height.
    assert shown[50, 100, 0] == pytest.approx((left + right) / 2 / 200 * 255, abs=4)
    assert shown[50, 100, 1] == pytest.approx((upper + lower) / 2 / 100 * 255, abs=4)
    assert shown[50, 190, 0] == pytest.approx((left + 0.95 * (right - left)) / 200 * 255, abs=4)
    assert shown[95, 100, 1] == pytest.approx((upper + 0.95 * (lower - upper)) / 100 * 255, abs=4)


@pytest.mark.parametrize("draws", [(0, 0, 0, 0), (1 - 2**-53,) * 4, (0, 1 - 2**-53, 1, 1), (0.5, 0.1, 0.9, 0.3)])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 3), (48, 48)])
def test_extreme_draws_and_tiny_images_are_no_problem(size, draws):
    for change in (crop, flip, colour):
        assert change(photo(*size), draws).size == size


@pytest.mark.parametrize("draws", [(0.1, 0.2, 0.9, 0.95), (0.9, 0.6, 0.3, 0.05), (0.5, 0.5, 0.5, 0.5)])
def test_colours_change_as_torchvision_s_jitter_changes_them(draws):
    functional = pytest.importorskip("torchvision.transforms.functional")
    expected = functional.adjust_brightness(photo(), 0.6 + 0.8 * draws[0])
    expected = functional.adjust_contrast(expected, 0.6 + 0.8 * draws[1])
    expected = functional.adjust_saturation(expected, 0.6 + 0.8 * draws[2])
    expected = functional.adjust_hue(expected, -0.1 + 0.2 * draws[3])
    assert np.abs(np.asarray(colour(photo(), draws)).astype(int) - np.asarray(expected)).max() <= 1


def test_an_unknown_change_is_refused_with_a_suggestion():
    for ask in (augmenter, describe):
        with pytest.raises(
            InputError, match="dataset 'set', field 'augment': unknown change 'color': did you mean colour"
        ):
            ask(card("flip", "color"))


@pytest.mark.parametrize("kind", ["scenes", "blooms"])
def test_procedural_images_are_changed_too(make, kind):
    plain = make.load(card(kind=kind, size=12))
    changed = make.load(card("flip", "colour", kind=kind, size=12))
    assert changed.ids == plain.ids and changed.captions() == plain.captions()
    assert changed.fingerprint == plain.fingerprint and changed.content_hash != plain.content_hash
    change = augmenter(card("flip", "colour"))
    for before, after in zip(plain, changed, strict=True):
        assert differ(before.image, after.image) and not differ(change(before.image, before.id), after.image)
    with pytest.raises(InputError, match="unknown change 'spin'"):
        make.load(card("spin", kind=kind, size=12))


def test_all_captions_of_an_image_keep_the_same_changed_image(make):
    path = make.parquet([png(i, (30, 20)) for i in range(8)], [["a", "b", "c"]] * 8)
    options = {"source": str(path), "name": "several"}
    one = make.load(card("colour", "crop", **options))
    all_ = make.load(card("colour", "crop", captions="all", **options))
    assert len(one) == 8 and len(all_) == 24
    for i, sample in enumerate(all_):
        assert not differ(sample.image, one[i // 3].image) and sample.group == i // 3
    assert differ(make.load(card(**options))[0].image, one[0].image)
