"""What emptying rare features does to the cross-fitted value, against the truth of planted worlds.

python perf/rare_latents.py
"""

from itertools import product

import numpy as np

from benchmark.metrics import crossfit_both
from benchmark.metrics.wmppc import wmppc
from benchmark.worlds import WorldConfig, make_world

SEEDS = range(3)


def main() -> None:
    """Print one line per steepness of the frequencies, number of samples and limit, means over three worlds."""
    for zipf, n in product((0.6, 1.0), (5_000, 20_000)):
        worlds = [make_world(WorldConfig(share=0.25, zipf=zipf), n, seed) for seed in SEEDS]
        truth = np.mean([world.wmppc for world in worlds])
        print(f"zipf {zipf}, N = {n:,}: truth {truth:.3f}")
        for limit in (0, 5, 20):
            found, kept, weight, of_kept = [], [], [], []
            for world in worlds:
                sides = [side.without_rare(limit) for side in (world.source, world.target)]
                found.append(crossfit_both(*sides, resamples=0)[0].value)
                alive = sides[0].weights > 0
                kept.append(alive.mean())
                weight.append(sides[0].weights.sum() / world.source.weights.sum())
                of_kept.append(wmppc(world.rho[alive], world.source.weights[alive]))
            print(
                f"  min_count {limit:>2}: cross-fitted {np.mean(found):.3f} ({np.mean(found) - truth:+.3f}), truth of "
                f"the kept {np.mean(of_kept):.3f}, {np.mean(kept):.0%} of the features, {np.mean(weight):.0%} of S"
            )


if __name__ == "__main__":
    main()
