"""Speed of max_correlation against the dense computation, interleaved in one process.

    python perf/correlation.py --samples 20000

Prints medians and the ratio. "dense" is what the authors' code does, in torch: standardise both (N, m) arrays, one
matrix product, both maxima. Ours starts from the recorded features, with nothing prepared.
"""

import argparse
import time

import numpy as np
import torch

from benchmark.features import SparseFeatures
from benchmark.metrics import max_correlation


def zipf_features(n: int, m: int, k: int, seed: int) -> SparseFeatures:
    """Return TopK-like features: k distinct latents a sample, Zipf frequencies, positive values."""
    rng = np.random.default_rng(seed)
    log_p = -0.6 * np.log(np.arange(1, m + 1))
    indices = np.empty((n, k), np.int64)
    for start in range(0, n, 2048):
        rows = slice(start, start + 2048)
        noisy = log_p + rng.gumbel(size=(len(indices[rows]), m))
        indices[rows] = np.argpartition(-noisy, k, axis=1)[:, :k]
    return SparseFeatures(indices, np.abs(rng.standard_normal((n, k))) + 0.1, m)


def dense(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the source's maxima as the authors' code finds them, on dense float32 features."""
    standard = [(x - x.mean(0)) / (x.std(0) + 1e-10) for x in (a, b)]
    r = standard[0].T @ standard[1] / len(a)
    r.max(0)
    return r.max(1).values


def main() -> None:
    """Time both, alternating."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20000)
    parser.add_argument("--latents", type=int, default=6144)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    a, b = (zipf_features(args.samples, args.latents, args.k, seed) for seed in (0, 1))
    dense_a, dense_b = (torch.from_numpy(f.to_dense()) for f in (a, b))
    max_correlation(a.take(range(100)), b.take(range(100)))  # compile
    ours, theirs = [], []
    for _ in range(args.rounds):
        fresh = [f.take(np.arange(args.samples)) for f in (a, b)]  # nothing cached
        start = time.perf_counter()
        rho = max_correlation(*fresh).source
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        reference = dense(dense_a, dense_b)
        theirs.append(time.perf_counter() - start)
    difference = float(np.abs(rho - reference.numpy() * args.samples / (args.samples - 1)).max())
    ours_median, theirs_median = np.median(ours), np.median(theirs)
    print(
        f"N={args.samples:,} m={args.latents} k={args.k}: ours {ours_median * 1e3:.1f} ms, dense torch "
        f"{theirs_median * 1e3:.0f} ms, ratio {theirs_median / ours_median:.0f}, largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()
