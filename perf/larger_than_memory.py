"""Memory of comparing two encoders, at once and in shards of samples.

    python perf/larger_than_memory.py [--samples 50000,100000] [--layers 2] [--shards 4]

Features of two encoders with so many layers of 8,192 latents, 32 active (independent: their values mean nothing) are
written as a job records them. Three processes then take, of the same files: `compare`, what a comparison computes
(naive, one permutation, five folds, 200 resamples, and both without the decoder's scale); `maxima`, `max_correlation`
of the whole; `shards`, `max_correlation_of_shards`, which reads one shard at a time and holds sums of at most 128 MiB.
Memory is the peak of the process above what it held before it read anything (Linux only). The last words say whether
maxima and partners of shards are those of the whole, and by how much the maxima differ at most.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

M, K = 8192, 32
SUMS = 1 << 27


def write(folder: Path, samples: int, layers: int, shards: int) -> int:
    """Write the features of both sides, whole and in shards; returns the bytes of those that are whole."""
    from benchmark.features import SparseFeatures

    parts = np.array_split(np.arange(samples), shards)
    total = 0
    for side in range(2):
        for layer in range(layers):
            rng = np.random.default_rng((side, layer))
            # One latent of each of k parts of the dictionary: k different ones without sorting anything.
            indices = np.arange(K) * (M // K) + rng.integers(0, M // K, (samples, K))
            values = rng.gamma(2.0, 1.0, (samples, K)).astype(np.float16).astype(np.float32)
            features = SparseFeatures(indices.astype(np.uint16), values, M)
            path = folder / f"whole/{side}-{layer}.safetensors"
            features.save(path)
            total += path.stat().st_size
            for i, rows in enumerate(parts):
                features.take(rows).save(folder / f"shard{i}/{side}-{layer}.safetensors")
    return total


def read(folder: Path) -> tuple[list, list]:
    """Return the layers of both sides."""
    from benchmark.features import load_features

    found: tuple[list, list] = [], []
    for path in sorted(folder.iterdir()):
        found[int(path.name[0])].append(load_features(path))
    return found


class Shards:
    """Pairs of sides that are read when they are asked for."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __len__(self) -> int:
        return len(list(self.folder.glob("shard*")))

    def __getitem__(self, i: int) -> tuple[list, list]:
        return read(self.folder / f"shard{i}")


def child(what: str, folder: Path) -> None:
    """Do one of the three, save maxima, and print seconds and bytes of memory."""
    from benchmark.metrics import chance_measures, crossfit_both, max_correlation
    from benchmark.metrics.sharded import max_correlation_of_shards

    warm = read(folder / "warm")
    max_correlation(*warm), crossfit_both(*warm), max_correlation_of_shards([warm], memory=SUMS)  # compiles
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the warming up
    before, begun = status("VmRSS"), time.perf_counter()
    if what == "compare":
        sides = read(folder / "whole")
        for scaled in (False, True):
            both = [[f.scaled(np.full(M, 2.0)) if scaled else f for f in side] for side in sides]
            chance_measures(*both, permutations=0 if scaled else 1)
            crossfit_both(*both, resamples=0 if scaled else 200)
    else:
        if what == "maxima":
            found = max_correlation(*read(folder / "whole"))
        else:
            found = max_correlation_of_shards(Shards(folder), memory=SUMS)  # type: ignore[arg-type]
        np.savez(folder / f"{what}.npz", **found._asdict())
    seconds = time.perf_counter() - begun
    print(seconds, status("VmHWM") - before)


def status(name: str) -> int:
    """Return a figure of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def main() -> None:
    """Print a line for every number of samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", default="50000,100000")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], Path(asked.child[1]))
        return
    for samples in map(int, asked.samples.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            bytes_ = write(folder, samples, asked.layers, asked.shards)
            write(folder / "small", 500, 1, 1)
            (folder / "small" / "whole").rename(folder / "warm")
            line = f"N = {samples:,}, {asked.layers} layers a side, files {bytes_ / 1e6:.0f} MB:"
            for what in ("compare", "maxima", "shards"):
                command = [sys.executable, __file__, "--child", what, str(folder)]
                done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                line += f" {what} {float(done[0]):.1f} s {float(done[1]) / 1e6:.0f} MB;"
            whole, shards = (np.load(folder / f"{name}.npz") for name in ("maxima", "shards"))
            same = all((whole[f"{side}_match"] == shards[f"{side}_match"]).all() for side in ("source", "target"))
            gap = max(abs(whole[side] - shards[side]).max() for side in ("source", "target"))
            print(f"{line} partners {'equal' if same else 'differ'}, maxima within {gap:.1e}", flush=True)


if __name__ == "__main__":
    main()
