"""Augmentation of a dataset's images: each image is changed once and for all, by draws from its id.

A card's `augment` makes another dataset of the same samples, for instance to ask which shared concepts survive a change
of colours. It is not the random augmentation of training, which shows an image anew in every epoch: every encoder and
every job sees the same changed image.
"""

from collections.abc import Callable
from math import exp, log, sqrt

from PIL import Image, ImageEnhance

from benchmark.catalog import DatasetCard
from benchmark.datasets.hashing import position
from benchmark.errors import InputError, unknown

VERSION = 1
"""Rises when the same draws give other pixels."""
SMALLEST_AREA, WIDEST_ASPECT = 0.5, 4 / 3
SPREAD, HUE_SPREAD = 0.4, 0.1

Draws = tuple[float, float, float, float]
"""Independent numbers, uniform in [0, 1)."""


def crop(image: Image.Image, draws: Draws) -> Image.Image:
    """Cut out a part and enlarge it (bicubic) to the size of the whole.

    As in torchvision's RandomResizedCrop the part's share of the area is uniform (0.5..1) and its aspect log-uniform
    (3/4..4/3); here relative to the image's own aspect, and only as far as the part fits in, so no draw is rejected.
    """
    area = SMALLEST_AREA + (1 - SMALLEST_AREA) * draws[0]
    aspect = exp(_between(draws[1], min(log(WIDEST_ASPECT), -log(area))))
    width, height = min(sqrt(area * aspect), 1.0) * image.width, min(sqrt(area / aspect), 1.0) * image.height
    left, upper = draws[2] * (image.width - width), draws[3] * (image.height - height)
    box = (left, upper, min(left + width, image.width), min(upper + height, image.height))
    return image.resize(image.size, Image.Resampling.BICUBIC, box)


def flip(image: Image.Image, draws: Draws) -> Image.Image:
    """Mirror the image left to right with probability 1/2. Captions stay as they are, "on the left" too."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draws[0] < 0.5 else image


def colour(image: Image.Image, draws: Draws) -> Image.Image:
    """Change brightness, contrast, saturation and hue as torchvision's ColorJitter(0.4, 0.4, 0.4, 0.1) does.

    The first three are factors in 0.6..1.4, the hue moves by up to a tenth of the circle; always in this order.
    """
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for enhancer, draw in zip(enhancers, draws[:3], strict=True):
        image = enhancer(image).enhance(1 + _between(draw, SPREAD))
    hue, saturation, value = image.convert("HSV").split()
    shift = int(_between(draws[3], HUE_SPREAD) * 255)
    turned = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image, Draws], Image.Image]] = {"crop": crop, "flip": flip, "colour": colour}
"""In the order in which they are made, whatever their order in the card."""


def augmenter(card: DatasetCard) -> Callable[[Image.Image, str], Image.Image] | None:
    """Return a function of (RGB image, id) that makes the changes of `card.augment`; None if there are none.

    Each change is drawn from `card.seed`, its own name and the id alone: other samples, other changes, threads and
    processes make no difference. Raises InputError for an unknown change.
    """
    wanted = _wanted(card)
    if not wanted:
        return None

    def changed(image: Image.Image, id_: str) -> Image.Image:
        for name in wanted:
            image = CHANGES[name](image, _draws(f"{name} {card.seed}", id_))
        return image

    return changed


def describe(card: DatasetCard) -> str:
    """Return all that the changed pixels depend on beside image and id; "" without augmentation."""
    wanted = _wanted(card)
    return f"{', '.join(wanted)} (seed {card.seed}, version {VERSION})" if wanted else ""


def _wanted(card: DatasetCard) -> list[str]:
    for name in card.augment:
        if name not in CHANGES:
            raise InputError(f"dataset '{card.name}', field 'augment': {unknown('change', name, CHANGES)}")
    return [name for name in CHANGES if name in card.augment]


def _draws(salt: str, id_: str) -> Draws:
    a, b, c, d = ((position(f"{salt} {number}", id_) >> 11) / 2**53 for number in range(4))
    return a, b, c, d


def _between(draw: float, spread: float) -> float:
    """Return the point of -spread..spread at which `draw` lies in 0..1."""
    return (2 * draw - 1) * spread
