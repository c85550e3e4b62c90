"""The partner of every feature in another encoder, as a compare run recorded it."""

import pandas as pd

from registry.queries import table

PARTNERS = "partners"


def partners_path(source: str, target: str) -> str:
    """Return the artifact path of the partners of one encoder's features in another within a compare run."""
    return f"{PARTNERS}/{source}/{target}.parquet"


def feature_partners(
    run_id: str, source: str, target: str, layer: int | None = None, feature: int | None = None
) -> pd.DataFrame:
    """Return the partner in `target` of every live feature of `source`, under the first seed of each.

    layer, feature: only rows of this layer or feature of the source.

    Columns: layer, feature, rho (highest correlation with any feature of the target's layers), partner_layer, partner
    (the feature that attains it), held_out_rho (the correlation of partners chosen without the samples that it is taken
    on) and S (the feature's total activation). Raises ValueError when the run did not record this pair.
    """
    wanted = {"layer": layer, "feature": feature}
    filters = [(column, "==", value) for column, value in wanted.items() if value is not None]
    return table(run_id, partners_path(source, target), filters or None)
