"""Are the features of a variant those of the plain data? Dictionaries of one encoder over the samples both have."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmark.jobs.drift_rows import Compared, common_rows, under
from benchmark.metrics import chance_both, crossfit_both

COLUMNS = ["variant", "encoder", "layer", "pairs", "seeds", "value", "back", "low", "high", "chance", "n_samples"]
LEAST = 100
"""Common samples below which nothing is compared."""


def correspondence(compared: Sequence[Compared], encoders: Sequence[str]) -> pd.DataFrame:
    """Return how much of the features on the plain data is found again in those of the same encoder on a variant.

    Sample i is the plain image for the one and its variant for the other. Columns: variant (`plain`: the ceiling, plain
    data against itself), encoder, layer, pairs (same: of equal seeds, whose dictionaries start alike; other: of
    different seeds, which is what the ceiling has too), seeds (number of pairs), value (cross-fitted wMPPC from plain
    to variant, mean over pairs), back (from variant to plain), low, high (95 %: groups of samples resampled; mean over
    pairs), chance (level of the naive value), n_samples. Variants with fewer than 100 samples of the plain data have no
    rows.
    """
    plain = compared[0]
    suite = plain.material.plan.suite
    rows = []
    for other in tqdm(compared, "correspondence", unit="variant", mininterval=0.5):
        own, there = common_rows(plain, other)
        if len(own) < LEAST:
            continue
        for encoder in encoders:
            found: dict[str, list[list[float]]] = {"same": [], "other": []}
            layer = 0
            for s, t in product(suite.seeds, repeat=2):
                kind = "same" if s == t else "other"
                if other is plain and s == t:
                    continue
                layer, one = plain.last(encoder, s, own)
                two = under(other.last(encoder, t, there)[1], one)
                fit, back = crossfit_both(one, two, folds=suite.folds)
                level = chance_both(one, two, permutations=min(suite.permutations, 3))[0]
                chance = float(level.null.mean()) if len(level.null) else float("nan")
                found[kind].append([fit.value, back.value, fit.low, fit.high, chance])
            for kind, values in found.items():
                if values:
                    value, back_value, low, high, chance = np.mean(values, 0)
                    rows.append((other.name, encoder, layer, kind, len(values), value, back_value, low, high, chance,
                                 len(own)))  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)
