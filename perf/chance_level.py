"""What wMPPC says of features that share nothing: naive, chance level and cross-fitted, by number of samples.

python perf/chance_level.py
"""

from correlation import zipf_features

from benchmark.metrics import chance, crossfit


def main() -> None:
    """Print one line per number of samples, for 6,144 independent features with 32 active a sample."""
    for n in (1000, 5000, 20000):
        a, b = (zipf_features(n, 6144, 32, seed) for seed in (0, 1))
        found = chance(a, b)
        print(
            f"N={n:,}: naive {found.naive:.3f}, chance level {found.null.mean():.3f}, cross-fitted {crossfit(a, b):.3f}"
        )


if __name__ == "__main__":
    main()
