"""How well the mixing buffer of `tokens: all` mixes, and what that is worth: FVU by the number of samples of a block.

    python perf/token_mixing.py                           # the pairs of docs/extraction.md, and 6,000 scenes (minutes)
    python perf/token_mixing.py --samples 20000 --seeds 1 --rates 1e-3 3e-4 --global-epochs 0

Works in ./.cache of the present folder. Every line trains the same SAEs for one epoch on the same vectors; only the
size of the buffer differs. The first line of a rate is the full shuffle.
"""

import argparse
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmark.datasets import load_dataset
from benchmark.encoders import load_encoder
from benchmark.jobs.activations import extract
from benchmark.jobs.plan import ALL_TOKENS
from benchmark.jobs.token_sample import token_sample
from benchmark.jobs.token_stream import TokenEpoch, TokenStream
from benchmark.sae import TopKSAE, TrainConfig, shuffled_batches, start, steps, train
from benchmark.sae.mixing import Piece, block_edges, mixed_batches
from benchmark.sae.reconstruction import reconstruction

TRAINING_SAMPLES = 59_000
"""Of COCO: half of its images."""
MODELS = {"ViT-B/32": (50, 768), "ViT-B/16": (197, 768), "ViT-L/14": (257, 1024), "ViT-L/16 384": (577, 1024),
          "captions, BERT-B": (13, 768)}  # fmt: skip


class Kept:
    """An epoch whose pieces are encoded once and kept, for many trainings."""

    def __init__(self, epoch: TokenEpoch) -> None:
        self.counts, self._pieces = epoch.counts, list(epoch.pieces(0))

    def pieces(self, first: int) -> Generator[Piece]:
        """Yield the pieces from the one that holds sample `first` on."""
        yield from (piece for piece in self._pieces if piece.first + piece.samples > first)


def pairs_of_one_sample(batch: int = 256, draws: int = 200) -> None:
    """Print how often two vectors of a batch come from one sample: within a block, and in a full shuffle."""
    rng = np.random.default_rng(0)
    for name, (tokens, width) in MODELS.items():
        edges = block_edges(TRAINING_SAMPLES * tokens, width, batch)
        line = f"{name:<18} block of {edges[1]:,} vectors of {-(-edges[1] // tokens):,} samples"
        for pool in (edges[1], edges[-1]):
            repeats = [np.unique(rng.choice(pool, batch) // tokens, return_counts=True)[1] for _ in range(draws)]
            share = np.mean([(n * (n - 1)).sum() for n in repeats]) / (batch * (batch - 1))
            line += f"; pairs of one sample {share:.3%}, samples in a batch {np.mean([len(n) for n in repeats]):.0f}"
        print(line)


def fvu_by_block(name: str, samples: int, rates: list[float], seeds: range, blocks: list[int], epochs: int) -> None:
    """Print the held-out FVU of recorded vectors and of tokens, by the training samples of a block.

    `epochs` above 0 also trains on the global vectors alone, for so many epochs.
    """
    data, encoder = load_dataset("scenes", samples, Path(".cache")), load_encoder(name)
    layer, folder = encoder.layers[-1], Path(".cache", "token_mixing", f"{name}-{samples}")
    width = encoder.widths[layer]
    found = extract(encoder, data, [layer], folder, tokens=ALL_TOKENS)
    rows, held = np.flatnonzero(~data.heldout), np.flatnonzero(data.heldout)
    recorded = np.asarray(found.pooled[layer])
    stream = TokenStream(encoder, data, rows, found.counts, [layer])
    tokens = token_sample(TokenStream(encoder, data, held, found.counts, [layer]), folder, tokens_only=True)[layer]
    first, kept = np.asarray(token_sample(stream, folder)[layer]), Kept(stream.epoch(0))
    total = int(stream.counts[layer][rows].sum())

    def run(config: TrainConfig, batches: Iterator[Mapping], n_steps: int, sample: np.ndarray, label: str) -> None:
        b_dec = start(sample, config).b_dec
        saes = {(layer, seed): TopKSAE(width, 8 * width, 8, seed=seed).centred(b_dec) for seed in seeds}
        train(saes, batches, config, totals=dict.fromkeys(saes, n_steps))
        figures = [
            [reconstruction(sae, x, sae.features(x)).fvu for sae in saes.values()] for x in (recorded[held], tokens)
        ]
        print(
            f"{label}, {n_steps:,} steps of {config.learning_rate:g}: FVU of recorded vectors "
            f"{np.mean(figures[0]):.4f}, of tokens {np.mean(figures[1]):.4f}", flush=True,
        )  # fmt: skip

    for rate in rates:
        orders = {seed: seed for seed in seeds}
        if epochs:
            config = TrainConfig(learning_rate=rate, b_dec="mean", epochs=epochs)
            batches = shuffled_batches({layer: recorded}, rows, orders, config)
            run(config, batches, steps(len(rows), config), recorded[rows], "global vectors")
        config = TrainConfig(learning_rate=rate, b_dec="mean")
        for block in [len(rows), *blocks]:
            size = 4 * width * max(block * total // len(rows), config.batch_size)
            size = 4 * width * total * 2 if block == len(rows) else size
            mixed = mixed_batches([kept], {layer: width}, orders, config.batch_size, block_bytes=size)
            run(config, mixed, steps(total, config), first, f"all tokens, {block:,} samples a block")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="small-vit")
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-3])
    parser.add_argument("--blocks", type=int, nargs="*", default=[886, 221, 55])
    parser.add_argument("--global-epochs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    pairs_of_one_sample()
    fvu_by_block(chosen.encoder, chosen.samples, chosen.rates, range(chosen.seeds), chosen.blocks, chosen.global_epochs)
