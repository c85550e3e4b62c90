"""Whether the tables of a run say what their columns are."""

from collections.abc import Mapping

import registry
from benchmark.metrics.describe.names import NAMES

Words = Mapping[str, tuple[str, str]]


def undescribed(run: str, tables: Mapping[str, Words], hidden: tuple[str, ...] = ()) -> list[str]:
    """Return the columns of a run's tables (table -> words) without title and sentence, but for hidden ones."""
    return [
        f"{table}: {column}"
        for table, words in tables.items()
        for column in registry.table(run, f"{table}.parquet")
        if column not in words and column not in NAMES and column not in hidden
    ]
