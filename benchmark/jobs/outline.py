"""What an encoder and a dataset will look like, found out without fetching anything: the ground of a dry run."""

import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.catalog import DatasetCard, EncoderCard, local_path
from benchmark.errors import InputError

SHAPE = re.compile(r"(\d+)x(\d+)|\d+(,\d+)*")


@dataclass(frozen=True)
class Outline:
    """Layers of an encoder and what one sample costs."""

    widths: tuple[int, ...]
    """Width of each layer that the encoder offers, shallow to deep."""
    gflop: float
    """Billions of multiply-adds of one forward pass of one sample; 0: unknown."""


def encoder_outline(card: EncoderCard) -> Outline | None:
    """Return the outline that a card states, else that of a checkpoint on this machine, else None.

    Raises InputError for a malformed `shape`, and whatever loading a local checkpoint raises.
    """
    if card.shape:
        return Outline(parse_shape(card), card.gflop)
    if card.library == "activations":
        from benchmark.encoders.recorded import load_recorded

        recorded = load_recorded(card)
        return Outline(tuple(recorded.widths[layer] for layer in recorded.layers), 0.0)
    if local_path(card.source, card.base) is None:
        return None
    from benchmark.encoders import load_encoder
    from benchmark.encoders.cost import multiply_adds

    encoder = load_encoder(card)
    return Outline(tuple(encoder.widths[layer] for layer in encoder.layers), multiply_adds(encoder) / 1e9)


def parse_shape(card: EncoderCard) -> tuple[int, ...]:
    """Return the widths that a card's `shape` states: `12x768` or `128,256,512`. Raises InputError for another form."""
    text = card.shape.replace(" ", "")
    if not SHAPE.fullmatch(text):
        raise InputError(f"encoder '{card.name}': shape must look like 12x768 or 128,256,512, got '{card.shape}'.")
    if "x" in text:
        blocks, width = (int(part) for part in text.split("x"))
        return (width,) * blocks
    return tuple(int(part) for part in text.split(","))


def expected_samples(card: DatasetCard) -> int:
    """Return how many samples a dataset will have, as far as that can be told at once; 0: unknown."""
    path = local_path(card.source, card.base) if card.source else None
    count = card.size
    if card.kind == "parquet" and path is not None:
        import pyarrow.parquet as pq

        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        count = sum(pq.read_metadata(file).num_rows for file in files)
    elif card.kind == "imagefolder" and path is not None:
        count = _lines(path)
    return min(count, card.max_samples) if card.max_samples and count else count or card.max_samples


def _lines(folder: Path) -> int:
    """Return the number of samples in a folder's metadata, 0 without one."""
    for name, heading in (("metadata.jsonl", 0), ("metadata.csv", 1)):
        if (folder / name).is_file():
            with (folder / name).open("rb") as lines:
                return max(sum(1 for line in lines if line.strip()) - heading, 0)
    return 0
