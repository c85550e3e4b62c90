"""Failure signatures of a job: found in its tables, printed, and logged as a tag and a table."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark import report
from benchmark.metrics.signatures import comparison_signatures
from benchmark.sae.signatures import sae_signatures
from benchmark.signature import Signature, names, summary


def signatures_of_saes(saes: pd.DataFrame) -> list[Signature]:
    """Return the signatures of all SAEs of a table of them (`saes.parquet`)."""
    found: list[Signature] = []
    numbers = saes.select_dtypes("number").to_dict("records")
    for encoder, row in zip(saes.get("encoder", []), numbers, strict=True):
        figures = {str(name): float(value) for name, value in row.items()}
        found += sae_signatures(figures, f"{encoder}, layer {row['layer']:.0f}, seed {row['seed']:.0f}")
    return found


def signatures_of_comparison(cells: pd.DataFrame, saes: pd.DataFrame) -> list[Signature]:
    """Return the signatures of the cells of one sample set and aggregate, and of the SAEs behind them."""
    modality = dict(zip(saes.encoder, saes.modality, strict=True))
    return [*comparison_signatures(cells, modality), *signatures_of_saes(saes)]


def write_signatures(found: Sequence[Signature], stem: Path) -> None:
    """Write signatures as tables `stem`.csv and `stem`.parquet and tag the active run with their names.

    The tag `signatures` is "none" where there are none: a run without the tag was not looked at.
    """
    import mlflow

    table = pd.DataFrame(list(found), columns=list(Signature._fields))
    report.write(table.astype({"value": float, "limit": float}), stem)
    mlflow.set_tag("signatures", ",".join(names(found)) or "none")


def read_signatures(path: Path) -> list[Signature]:
    """Read the Parquet table that `write_signatures` wrote."""
    return [Signature(*row) for row in pd.read_parquet(path)[list(Signature._fields)].itertuples(index=False)]


def print_signatures(found: Sequence[Signature]) -> None:
    """Print one line for each kind of signature."""
    for line in summary(found):
        print(f"SIGNATURE {line}")
