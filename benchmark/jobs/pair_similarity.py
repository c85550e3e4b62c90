"""How similar image and caption are to a contrastive pair itself: the score that CLIP filtering ranks pairs by."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.catalog import EncoderCard
from benchmark.datasets import PairedDataset

BATCH = 128


def contrastive_pairs(cards: Sequence[EncoderCard]) -> list[tuple[EncoderCard, EncoderCard]]:
    """Return (image tower, text tower) of each open_clip model of which both towers are among the cards."""
    towers = [card for card in cards if card.library == "open_clip"]
    return [
        (image, text)
        for image in towers if image.modality == "image"
        for text in towers if text.modality == "text"
        and (text.source, text.pretrained, text.revision) == (image.source, image.pretrained, image.revision)
    ]  # fmt: skip


def embeddings(
    card: EncoderCard, dataset: PairedDataset, rows: NDArray[np.int64], device: str = "cpu"
) -> NDArray[np.float32]:
    """Return what a tower of an open_clip pair compares, of some samples: (N, e) of length 1.

    Raises InputError or WorkError where the encoder cannot be loaded or a sample cannot be read.
    """
    import torch.nn.functional as F

    from benchmark.encoders import load_encoder

    encoder = load_encoder(card, device)
    captions = dataset.captions() if card.modality == "text" else None
    found = []
    with tqdm(total=len(rows), desc=f"embed {card.name}", unit="sample", mininterval=0.5, leave=False) as bar:
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH].tolist()
            batch = [dataset[i].image if captions is None else captions[i] for i in chosen]
            found.append(F.normalize(encoder.embed(batch), dim=-1).cpu().numpy())
            bar.update(len(chosen))
    return np.concatenate(found)
