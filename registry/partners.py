"""The partner of every feature in another encoder, as a compare run recorded it."""

import pandas as pd

from registry.names import with_names
from registry.queries import Damaged, table

PARTNERS = "partners"


def partners_path(source: str, target: str) -> str:
    """Return the artifact path of the partners of one encoder's features in another within a compare run."""
    return f"{PARTNERS}/{source}/{target}.parquet"


def feature_partners(
    run_id: str, source: str, target: str, layer: int | None = None, feature: int | None = None, *, named: bool = False
) -> pd.DataFrame:
    """Return the partner in `target` of every live feature of `source`, under the first seed of each.

    layer, feature: only rows of this layer or feature of the source.

    Columns: layer, feature, rho (highest correlation with any feature of the target's layers), partner_layer, partner
    (the feature that attains it), held_out_rho (the correlation of partners chosen without the samples that it is taken
    on) and S (the feature's total activation). `named` adds name and partner_name, what the command `name` called both
    ("" without one). Raises ValueError when the run did not record this pair.
    """
    wanted = {"layer": layer, "feature": feature}
    filters = [(column, "==", value) for column, value in wanted.items() if value is not None]
    try:
        found = table(run_id, partners_path(source, target), filters or None)
    except Damaged:
        raise
    except ValueError:
        raise ValueError(f"run {run_id} recorded no partners of the features of {source} in {target}") from None
    if not named:
        return found
    saes = table(run_id, "saes.parquet").drop_duplicates("encoder").set_index("encoder")
    found = with_names(found, str(saes.run_id[source]))
    return with_names(found, str(saes.run_id[target]), layer="partner_layer", feature="partner", name="partner_name")
