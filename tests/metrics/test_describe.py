"""What measures are called and said to be: complete, in whole sentences, and the same for tables and logged metrics."""

import importlib
import pkgutil

import pytest

from benchmark.jobs.sharedness_association import COLUMNS
from benchmark.metrics import describe
from benchmark.metrics.describe.leaderboard import beside, figures
from benchmark.metrics.describe.logged import meaning
from benchmark.metrics.describe.sharedness import ASSOCIATION

MODULES = [
    importlib.import_module(f"{describe.__name__}.{item.name}") for item in pkgutil.iter_modules(describe.__path__)
]
ENTRIES = {
    f"{module.__name__.rpartition('.')[2]}.{name}.{column}": words
    for module in MODULES
    for name, table in vars(module).items()
    if name.isupper() and not name.startswith("_") and isinstance(table, dict)
    for column, words in table.items()
    if isinstance(words, tuple)
}


def test_every_entry_has_a_title_and_a_sentence():
    assert len(ENTRIES) > 200
    for where, (title, text) in ENTRIES.items():
        assert title[:1].isupper() or title in ("k", "p", "q", "p (split)", "rho in G", "rho in H", "rho of the top"), (
            where
        )
        assert text and text == text.strip() and "{" not in text, where
        assert text.endswith(".") or "\n- **" in text, where


def test_columns_of_one_table_have_different_titles():
    for module in MODULES:
        for name, table in vars(module).items():
            if name.isupper() and isinstance(table, dict) and name not in ("NAMES", "METRICS"):
                titles = [words[0] for words in table.values() if isinstance(words, tuple)]
                assert len(set(titles)) == len(titles), (module.__name__, name, sorted(titles))


def test_figures_of_the_leaderboard_name_the_value_that_is_shown():
    assert figures("cross-fitted wMPPC") == describe.BOARD
    assert all("cross-fitted" not in text for _, text in figures("value of “Naive wMPPC”").values())
    assert {"share_interval", "share_group", "share_sd"} <= set(beside(describe.BOARD))


def test_the_association_describes_every_column_of_its_table():
    assert set(COLUMNS) <= {*ASSOCIATION, "seed"}


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("fvu", describe.QUALITY["fvu"][1]),
        ("loss/L03", "The mean squared error of the reconstruction"),
        ("wmppc/vit/bert", describe.MEASURES["naive"][1]),
        ("wmppc_crossfit/vit/bert", describe.MEASURES["crossfit"][1]),
        ("layers/last_quarter_parts_both/vit/bert", "The share of the cross-fitted value of all layers together"),
        ("stability/rank_tau/cells", "The agreement of the orders"),
        ("stability/smallest_difference", "With the seeds of this run"),
        ("consistency/alignment/scenes", "The mean cross-fitted wMPPC of the cells between"),
        ("drift/moved/flip", "How many cells changed"),
        ("sharedness/association_beyond_null/clip", "The mean under its null of: Covariance of"),
        ("name/vit/auc", "The mean AUC"),
    ],
)
def test_logged_metrics_are_said_to_be_what_they_are(metric, said):
    assert meaning(metric).startswith(said)


def test_nothing_is_said_of_metrics_that_are_not_ours():
    assert meaning("epoch_time") == meaning("stability") == meaning("layers/unheard/of") == ""
