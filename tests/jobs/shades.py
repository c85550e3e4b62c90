"""A dataset of pictures of one shade each, five captions a picture."""

from PIL import Image

from benchmark.datasets.paired import Entry, PairedDataset

CAPTIONS = 5


class Shades:
    """Images of one shade a row, and how often each was decoded."""

    def __init__(self, size=(300, 200)):
        self.decoded, self.size = [], size

    def image(self, row):
        self.decoded.append(row)
        return Image.new("RGB", self.size, (row * 2 % 256, 90, 30))


def dataset(n=200, images=None, **options):
    """Pictures with five captions each; of two pictures there are two copies in the source."""
    entries = [
        Entry(i // CAPTIONS, f"id{i}", str(i // CAPTIONS), f"caption {i} <b>&</b> " + "long " * (100 * (i == 7)),
              f"hash{0 if i // CAPTIONS == 1 else i // CAPTIONS}", f"picture{i // CAPTIONS}")
        for i in range(n)
    ]  # fmt: skip
    return PairedDataset("shades", entries, images or Shades(), **options)
