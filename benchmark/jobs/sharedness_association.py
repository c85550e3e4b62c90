"""Are the features of M that two groups share the same ones? The paper's key finding, with its nulls, as a table."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from benchmark.jobs.encoder_groups import Groups
from benchmark.jobs.sharedness_features import Load
from benchmark.metrics import delta_association, partial_association

COLUMNS = [
    "source", "seed", "shared_with", "beside", "absent_from", "shuffled", "measure", "value", "low", "high", "null",
    "null_low", "null_high", "p_value", "plain", "corrected", "features",
]  # fmt: skip


def association_table(
    load: Load, groups: Groups, seed: int, *, texts: Collection[str], folds: int, permutations: int
) -> pd.DataFrame:
    """Return one row per measure of `ASSOCIATION_MEASURES`; none where there is no second group or no permutation.

    Of the two groups, the null shuffles the one that reads captions (among `texts`): `shared_with`, unless it reads
    images and `beside` does not. The first three are as published (naive rho). Columns: shuffled (that group); value;
    low, high (95 %, features resampled; of the last two); null (mean), null_low, null_high (95 % of the null's draws);
    p_value; plain (of the last two: the rank correlation without controls); corrected (of the last: as a correlation);
    features (ranked ones).
    """
    if not groups.beside or permutations < 1:
        return pd.DataFrame(columns=COLUMNS)
    own = load(groups.source, seed)[1]
    pair = groups.beside, groups.shared_with
    if not set(groups.shared_with) & set(texts) and set(groups.beside) & set(texts):
        pair = pair[::-1]
    first, second, absent = ([load(name, seed)[1] for name in part] for part in (*pair, groups.absent_from))
    about = {
        "source": groups.source, "seed": seed, "shared_with": ",".join(groups.shared_with),
        "beside": ",".join(groups.beside), "absent_from": ",".join(groups.absent_from),
        "shuffled": ",".join(pair[1]),
    }  # fmt: skip
    rows = []
    for measure, weighted in (("delta", True), ("theta", False)):
        found = delta_association(own, first, second, absent, weighted=weighted, permutations=permutations)
        rows.append(about | _row(measure, found.spearman, found.null, found.p_value, found.features))
        if weighted:
            rows.append(
                about | _row("overlap", found.overlap, found.overlap_null, found.overlap_p_value, found.features)
            )
    try:
        part = partial_association(own, first, second, absent, folds=folds, permutations=permutations)
    except ValueError:  # hardly any feature is active on enough samples of a half: the others stand alone
        return pd.DataFrame(rows, columns=COLUMNS)
    rows.append(about | _row("partial", part.value, part.null, part.p_value, part.features) | {
        "low": part.low, "high": part.high, "plain": part.plain})  # fmt: skip
    rows.append(about | _row("beyond", part.beyond, part.beyond_null, part.beyond_p_value, part.features) | {
        "low": part.beyond_low, "high": part.beyond_high, "plain": part.plain, "corrected": part.corrected,
    })  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(measure: str, value: float, null: np.ndarray, p_value: float, features: int) -> dict[str, object]:
    low, high = np.quantile(null, [0.025, 0.975])
    return {
        "measure": measure, "value": value, "low": np.nan, "high": np.nan, "null": float(null.mean()),
        "null_low": low, "null_high": high, "p_value": p_value, "plain": np.nan,
        "corrected": np.nan, "features": features,
    }  # fmt: skip
