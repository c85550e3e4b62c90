"""A sheet of features: what each one is and how it scores, beside the images that activate it most."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

IMAGES = 8
WIDTH = 60
"""Letters of a line of text."""


class Entry(NamedTuple):
    """One feature."""

    title: str
    lines: Sequence[str]
    """What is said of it."""
    captions: Sequence[str]
    """Of the samples that activate it most; untrusted text, long ones are cut."""
    images: Sequence[bytes]
    """JPEG bytes, strongest first."""


def feature_sheet(entries: Sequence[Entry], title: str, path: Path) -> None:
    """Write a PNG with a row for each feature: text on the left, up to eight images on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    height = 1.2
    figure = Figure(figsize=(13.5, height * len(entries) + 0.6))
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(title), y=1 - 0.2 / figure.get_figheight(), fontsize=11)
    grid = figure.add_gridspec(
        len(entries), IMAGES + 4, left=0.01, right=0.995, bottom=0.01, top=1 - 0.5 / figure.get_figheight(),
        wspace=0.04, hspace=0.08,
    )  # fmt: skip
    for number, entry in enumerate(entries):
        axes = figure.add_subplot(grid[number, :4])
        axes.axis("off")
        axes.text(0, 1, _plain(entry.title), va="top", fontsize=9.5, weight="bold", transform=axes.transAxes)
        captions = [textwrap.shorten(" ".join(text.split()), WIDTH, placeholder="…") for text in entry.captions if text]
        body = "\n".join([*entry.lines, *(f"“{caption}”" for caption in captions)])
        axes.text(0, 0.8, _plain(body), va="top", fontsize=8, linespacing=1.3, transform=axes.transAxes)
        for place, data in enumerate(entry.images[:IMAGES]):
            axes = figure.add_subplot(grid[number, 4 + place])
            axes.set_anchor("N")
            axes.imshow(Image.open(io.BytesIO(data)).convert("RGB"))
            axes.axis("off")
    figure.savefig(path, dpi=110)


def _plain(text: str) -> str:
    return text.replace("$", r"\$")
