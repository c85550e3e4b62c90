"""What contributions of samples cost beside the cross-fitted value itself, in processor time.

    OMP_NUM_THREADS=1 python perf/contributions.py [--samples 59000] [--latents 6144] [--k 32]

Two sides of a planted world, both directions; the median of interleaved rounds.
"""

import argparse
import time

import numpy as np

from benchmark.metrics import contributions, crossfit_both
from benchmark.worlds import WorldConfig, make_world

ROUNDS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=59_000)
    parser.add_argument("--latents", type=int, default=6144)
    parser.add_argument("--k", type=int, default=32)
    given = parser.parse_args()
    world = make_world(WorldConfig(n_latents=given.latents, k=given.k, share=0.5), given.samples, 0)
    some = np.arange(500)
    methods = {
        "crossfit_both, no intervals": lambda a, b: crossfit_both(a, b, resamples=0),
        "contributions": contributions,
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for method in methods.values():
        method(world.source.take(some), world.target.take(some))  # compiles
    for _ in range(ROUNDS):
        for name, method in methods.items():
            start = time.process_time()
            method(world.source, world.target)
            seconds[name].append(time.process_time() - start)
    for name, found in seconds.items():
        print(f"{name:<28} {np.median(found):.2f} s")


if __name__ == "__main__":
    main()
