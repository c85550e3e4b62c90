"""A fake encoder whose vectors tell which letter of which caption they belong to, and what its extraction wrote."""

import json
from types import SimpleNamespace

import numpy as np
import torch

from benchmark.catalog import EncoderCard
from benchmark.encoders import Encoder
from benchmark.jobs import extraction_sizes
from benchmark.jobs.activation_files import PROGRESS
from benchmark.jobs.activations import extract

CARD = EncoderCard(name="fake", library="python", source="", modality="text", kind="text", token="cls")


class FakeTower:
    """Letters are tokens; a token's vector tells its letter, its position and its layer. Padding is NaN."""

    def __init__(self, widths=(3, 5), shorten=False, fits=10**9):
        self.module = torch.nn.Module()
        self.widths, self.shorten, self.fits = widths, shorten, fits
        self.sizes = []

    def preprocess(self, batch):
        longest = max(1, max(map(len, batch)))
        ids = torch.tensor([[*map(ord, text), *[0] * (longest - len(text))] for text in batch])
        return {"input_ids": ids.reshape(len(batch), -1), "mask": ids.reshape(len(batch), -1) > 0}

    def states(self, inputs, layers):
        ids, mask = inputs["input_ids"], inputs["mask"]
        self.sizes.append(len(ids))
        if len(ids) > self.fits:
            raise torch.OutOfMemoryError("too much")
        found = {}
        for layer in range(len(self.widths)) if layers is None else layers:
            place = torch.arange(ids.shape[1]).expand_as(ids)
            token = torch.stack([ids, place, torch.full_like(ids, layer)], -1).float()
            token = torch.nn.functional.pad(token, (0, self.widths[layer] - 3), value=1.0)
            found[layer] = torch.where(mask[..., None], token, torch.nan)
        return found


class FakeData(SimpleNamespace):
    """Captions without images."""

    def __len__(self):
        return len(self.ids)

    def captions(self):
        return self.texts


def fake_data(n=60, seed=0):
    rng = np.random.default_rng(seed)
    texts = ["".join(chr(c) for c in rng.integers(97, 123, rng.integers(1, 12))) for _ in range(n)]
    return FakeData(ids=[f"id-{i}" for i in range(n)], texts=texts)


def plain_extraction(folder, monkeypatch):
    """Extract two layers and two tokens, undisturbed, in shards of 12 rows; return the files."""
    monkeypatch.setattr(extraction_sizes, "SMALL_BATCH", (4, 1 << 30))
    monkeypatch.setattr(extraction_sizes, "SHARD_ROWS", 12)
    extract(Encoder(CARD, FakeTower()), fake_data(), [0, 1], folder, tokens=2)
    return contents(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*/*.npy"))}


def progress(folder):
    """The progress.json of the only pass in a folder."""
    return next(folder.glob(f"*/{PROGRESS}"))


def finished(folder):
    return sum(json.loads(path.read_text())["rows"] for path in folder.glob(f"*/{PROGRESS}"))


def contents_of(found):
    parts = (found.pooled, found.tokens, found.counts)
    return [np.asarray(array).tobytes() for part in parts for array in part.values()]
