"""Time of naming features at a given size, without images and with them, on random data.

python perf/naming.py [--samples 118287] [--features 8192] [--words 20000] [--k 32] [--images 16384]
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.features import SparseFeatures
from benchmark.metrics.detection import detection_auc
from benchmark.metrics.log_odds import activation_matrix
from benchmark.metrics.naming import Evidence, best_candidates, permuted
from benchmark.metrics.phrases import terms
from benchmark.metrics.soft_wpmi import ImageWords, word_probabilities

CAPTION = 10
"""Words of a caption: COCO's have 10.5 on average."""
PAIRED = 8_192
"""Candidates where a pair reads the images (`CANDIDATES` of jobs.naming_evidence)."""


def timed(what: str, work: Callable[[], Any]) -> Any:
    """Print how long a piece of work takes, in seconds of this process and of the clock."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    print(f"{what:<58} {time.process_time() - cpu:7.1f} s of processor, {time.perf_counter() - wall:7.1f} s")
    return found


def main() -> None:
    """Print the time of every step, and the memory that was used at most."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, size in (("samples", 118_287), ("features", 8_192), ("words", 20_000), ("k", 32), ("images", 16_384)):
        parser.add_argument(f"--{name}", type=int, default=size)
    sizes = parser.parse_args()
    rng = np.random.default_rng(0)
    n, m, k = sizes.samples, sizes.features, sizes.k
    rates = 1 / np.arange(1, 30_001)
    said = rng.choice(len(rates), (n, CAPTION), p=rates / rates.sum())
    captions = [" ".join(f"w{word}" for word in row) for row in said]
    found = timed("candidates of all captions", lambda: terms(captions, most=sizes.words))
    indices = np.concatenate([
        np.argpartition(rng.random((len(part), m), np.float32) ** np.arange(1, m + 1) ** 0.3, -k, axis=1)[:, -k:]
        for part in np.array_split(np.arange(n), 100)
    ])  # fmt: skip
    features = SparseFeatures(indices, rng.exponential(1, (n, k)) + 0.1, m)
    active = timed("activations as a matrix", lambda: activation_matrix(features))
    print(f"{m:,} features, {len(found.names):,} candidates, {n:,} captions with {found.matrix.nnz / n:.1f} each")
    evidence, groups = Evidence(found.matrix, np.empty(0, np.int64)), np.arange(n)
    best = timed("log-odds and the best candidates of all features", lambda: best_candidates(active, evidence))
    timed("thresholds (20 permutations)", lambda: permuted(active, evidence, groups))
    timed("AUC of the names and of five words", lambda: [
        detection_auc(active, found.matrix, best.words[:, :count]) for count in (1, 5)
    ])  # fmt: skip
    vectors = [rng.standard_normal((size, 512)).astype(np.float32) for size in (sizes.images, PAIRED)]
    unit = [vector / np.linalg.norm(vector, axis=1, keepdims=True) for vector in vectors]
    images = timed("images: p(word | image), random images", lambda: ImageWords(word_probabilities(*unit)))
    seen = np.sort(rng.choice(n, sizes.images, replace=False))
    both = Evidence(found.matrix[:, :PAIRED], seen, images)
    timed(f"with images ({min(PAIRED, sizes.words):,} candidates): the best", lambda: best_candidates(active, both))
    timed("with images: thresholds", lambda: permuted(active, both, groups))
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
