"""Fixtures of the encoder tests: small checkpoints, made once a session, and samples."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.catalog import EncoderCard
from benchmark.encoders.torchvision_ops import declare_missing_ops

torch.set_num_threads(1)
declare_missing_ops()


@pytest.fixture(scope="session")
def checkpoint(builders, tmp_path_factory):
    """Return checkpoint("bert"), checkpoint("timm"), ...: a folder, written on first use."""
    made = {}

    def get(kind, **arguments):
        key = (kind, *sorted(arguments.items()))
        if key not in made:
            folder = tmp_path_factory.mktemp("checkpoints") / kind
            if kind == "open_clip":
                made[key] = builders.open_clip(folder, **arguments)
            elif kind == "timm":
                made[key] = builders.timm(folder, **arguments)
            else:
                made[key] = builders.transformers(folder, kind, **arguments)
        return made[key]

    return get


@pytest.fixture(scope="session")
def card(checkpoint):
    """Return card(kind, modality, token, ...): the card of a small checkpoint."""

    def make(kind, modality, token, padding=0, **arguments):
        library = kind if kind in ("open_clip", "timm") else "transformers"
        source = str(checkpoint(kind, **arguments))
        return EncoderCard(
            name=f"small-{kind}-{modality}",
            library=library,
            source=source,
            modality=modality,
            kind="vlm",
            token=token,
            padding=padding,
        )

    return make


@pytest.fixture(scope="session")
def images():
    """Five RGB images of different sizes."""
    noise = np.random.default_rng(0)
    shapes = [(40, 40), (32, 50), (64, 33), (48, 48), (90, 41)]
    return [Image.fromarray(noise.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


@pytest.fixture(scope="session")
def captions():
    """Five captions of different lengths; one is empty, one is longer than every model's limit."""
    return ["a red ball", "two small cubes on the table", "", "the blue cube left of a green ball", "a red ball " * 20]


@pytest.fixture(scope="session")
def hooked():
    """Return hooked(encoder, batch, blocks): the outputs of the blocks by forward hooks, and of encoder.run."""

    def run(encoder, batch, blocks):
        seen = []
        handles = [
            block.register_forward_hook(lambda _m, _i, out: seen.append(out[0] if isinstance(out, tuple) else out))
            for block in blocks
        ]
        output = encoder.run(batch)
        for handle in handles:
            handle.remove()
        return seen, output

    return run
