"""What every measure is, in words: the one place that tables, tooltips and reports take their descriptions from.

Each entry is column name -> (title, one sentence). A module a question; the measures of every comparison, the quality
of SAEs and the leaderboard are imported here. `names` has the columns that say what a row is about.
"""

from benchmark.metrics.describe.leaderboard import BOARD
from benchmark.metrics.describe.measures import (
    AGGREGATES,
    CEILING,
    CELL_COLUMNS,
    DERIVED,
    EXTRAS,
    MEASURES,
)
from benchmark.metrics.describe.saes import QUALITY

__all__ = ["AGGREGATES", "BOARD", "CEILING", "CELL_COLUMNS", "DERIVED", "EXTRAS", "MEASURES", "QUALITY"]
