"""What a validation found, as Markdown for people and as metrics for MLflow."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from benchmark.jobs.validation_factors import CLEAR
from benchmark.jobs.validation_weights import WEIGHTS
from benchmark.jobs.validation_worlds import CLOSE

Tables = Mapping[str, pd.DataFrame]
NOTHING = "–"


def markdown(table: pd.DataFrame, decimals: int = 3) -> str:
    """Return a table as Markdown: whole numbers with thousands' separators, NaN as a dash."""

    def text(value: object) -> str:
        if isinstance(value, str):
            return value
        if pd.isna(value):  # type: ignore[call-overload]
            return NOTHING
        return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.{decimals}f}"

    lines = [list(map(str, table.columns)), ["---"] * table.shape[1]]
    lines += [[text(value) for value in row] for row in table.itertuples(index=False, name=None)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(tables: Tables) -> str:
    """Return the main tables of a validation as one Markdown page."""
    found = tables["errors"]
    estimates = ["truth", "naive", "chance", "calibrated", "crossfit", "half_width", "covered"]
    shown = ["n_samples", "share", *estimates]
    plain, others = found[found.condition == "plain"], found[found.condition != "plain"]
    parts = [
        ("Plain worlds: means over worlds", markdown(plain[shown])),
        ("Other conditions", markdown(others[["condition", "n_samples", "share", *estimates]])),
        (f"Samples from which the error stays within {CLOSE}", markdown(tables["identified"])),
        ("Finding what is shared with G and absent from H", markdown(_ranked(tables["sharedness"]))),
    ]
    if "features" in tables:
        parts += [
            ("Planted values: does rho tell those that captions mention from those that only images show?",
             markdown(tables["captioned"])),
            ("What live features tell best", markdown(_told(tables["features"]))),
            ("Features and partners that tell the same factor", markdown(tables["agreement"])),
            ("Rank correlation of weights with what features are worth", markdown(_worth(tables["worth"]))),
            ("wMPPC under each weight (mean over pairs of encoders)", markdown(_weighted(tables["weights"]))),
            ("Features by how often they fire", markdown(tables["rarity"], 4)),
        ]  # fmt: skip
    return "\n\n".join(f"## {heading}\n\n{table}" for heading, table in parts) + "\n"


def metrics(tables: Tables) -> dict[str, float]:
    """Return the figures that runs are compared by: errors in plain worlds, AUC of Delta, factors and weights."""
    found: dict[str, float] = {}
    grid = tables["errors"]
    for n, part in grid[grid.condition == "plain"].groupby("n_samples"):
        for name in ("naive", "calibrated", "crossfit"):
            found[f"error_{name}/N{n}"] = float(part[f"{name}_error"].abs().mean())
        found[f"chance/N{n}"] = float(part.chance.mean())
        found[f"covered/N{n}"] = float(part.covered.mean())
    for row in _ranked(tables["sharedness"]).to_dict("records"):
        if row["ranking"] == "Delta":
            found[f"sharedness_auc/fidelity{row['fidelity']:g}/N{row['n_samples']}"] = row["auc"]
    if "features" in tables:
        for row in tables["captioned"].to_dict("records"):
            found[f"captioned_auc/{row['encoder']}"] = row["auc"]
        for row in _worth(tables["worth"]).to_dict("records"):
            found[f"worth_fvu/{row['weight']}"] = row["fvu_loss"]
            found[f"worth_probe/{row['weight']}"] = row["probe_loss"]
    return found


def _ranked(sharedness: pd.DataFrame) -> pd.DataFrame:
    keys = ["fidelity", "n_samples", "ranking"]
    return sharedness.groupby(keys, sort=False)[["auc", "precision", "base"]].mean().reset_index()


def _worth(table: pd.DataFrame) -> pd.DataFrame:
    return table.groupby("weight", sort=False)[["fvu_loss", "probe_loss"]].mean().reset_index()


def _told(features: pd.DataFrame) -> pd.DataFrame:
    """Return how many live features of each encoder tell a captioned factor or a nuisance best, and clearly."""
    live = features[features.S > 0]
    clear = live[live.eta2 >= CLEAR]
    kinds = (("captioned", True), ("nuisance", False))
    rows = [
        {"encoder": encoder, "live": len(part)}
        | {kind: int((part.captioned == yes).sum()) for kind, yes in kinds}
        | {f"{kind}_clear": int((clear[clear.encoder == encoder].captioned == yes).sum()) for kind, yes in kinds}
        for encoder, part in live.groupby("encoder", sort=False)
    ]
    return pd.DataFrame(rows)


def _weighted(table: pd.DataFrame) -> pd.DataFrame:
    """Return means over pairs of encoders, and how alike each weight orders the pairs to S (Spearman)."""
    means = table.groupby("weight", sort=False)[["naive", "crossfit"]].mean().reset_index()
    ranks = table.pivot(index=["source", "target"], columns="weight", values="crossfit").rank()
    alike = [ranks["S"].corr(ranks[weight]) for weight in means.weight]
    return means.assign(order_as_S=alike, meaning=means.weight.map(WEIGHTS))
