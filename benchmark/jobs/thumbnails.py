"""Small pictures of a dataset's images, each made once per process: the seeds and layers of a suite share them."""

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

from PIL import Image
from tqdm import tqdm

from benchmark.cores import cores
from benchmark.datasets import PairedDataset

SIDE = 96
"""Pixels of the longer side, at most; smaller images keep their size."""
QUALITY = 70
KEPT = 1 << 16
"""Thumbnails of a dataset that stay in memory for the next run: about 100 MB."""

_made: WeakKeyDictionary[PairedDataset, dict[int, bytes]] = WeakKeyDictionary()


def thumbnails(dataset: PairedDataset, rows: Mapping[int, int]) -> dict[int, bytes]:
    """Return the thumbnails of images as JPEG bytes.

    Args:
        dataset: where the images are.
        rows: number of each image -> a sample that shows it.

    Raises:
        WorkError: an image changed since the dataset was scanned.
    """
    made = _made.setdefault(dataset, {})
    missing = [number for number in rows if number not in made]
    found = {number: made[number] for number in rows if number in made}

    def make(number: int) -> bytes:
        image = dataset[rows[number]].image
        assert image is not None  # only datasets with images have numbers of them
        return encoded(image)

    with ThreadPoolExecutor(cores()) as pool:
        new = tqdm(pool.map(make, missing), "thumbnails", len(missing), unit="image", mininterval=0.5, leave=False)
        for number, data in zip(missing, new, strict=True):
            found[number] = data
            if len(made) < KEPT:
                made[number] = data
    return {number: found[number] for number in rows}


def encoded(image: Image.Image) -> bytes:
    """Return a copy of an image, shrunk to `SIDE` pixels, as JPEG bytes.

    JPEG takes a fifth of the time of WebP and, its tables compressed away by Parquet, about its space.
    """
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=QUALITY)
    return data.getvalue()
