"""What the top features of Comparative Sharedness look like: their samples, captions and partners."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.jobs.encoder_groups import Groups
from benchmark.jobs.experiment import Material
from benchmark.plots_features import Entry
from benchmark.reporting.content import Example
from benchmark.reporting.top_features import TopFeature, page

SHOWN = 8
"""Samples of a feature on the page; the table names the three strongest."""
NAMED = 3
ON_PAGE = 100
"""Features of an encoder on the page, at most."""
ON_SHEET = 10
"""Features on the picture, at most."""


def top_table(material: Material, features: pd.DataFrame, partners: pd.DataFrame) -> pd.DataFrame:
    """Return the top 1 % of the features of every M and seed, the highest first, with what activates them.

    Columns: those of `features`, then found_in (the partner and its cross-fitted correlation in every encoder of G),
    absent_from (likewise of H), rows and captions (of the three samples that activate it most; captions joined by
    " | ", untrusted text).
    """
    best = features[features.top].sort_values(["source", "seed", "rank"])
    rows = []
    for record in best.to_dict("records"):
        own = partners[
            (partners.source == record["source"]) & (partners.seed == record["seed"])
            & (partners.feature == record["feature"])
        ]  # fmt: skip
        strongest = _strongest(material, record, NAMED)
        rows.append({
            "found_in": _partners(own, "shared_with"), "absent_from": _partners(own, "absent_from"),
            "rows": ",".join(map(str, strongest.row)), "captions": " | ".join(strongest.caption),
        })  # fmt: skip
    return pd.concat([best.reset_index(drop=True), pd.DataFrame(rows)], axis=1)


def write_pages(
    material: Material, groups: Sequence[Groups], tables: Mapping[str, pd.DataFrame], title: str, folder: Path
) -> None:
    """Write top.html (the top 1 % of every M under the first seed, with samples) and top.png (ten of the first M)."""
    from benchmark.plots_features import feature_sheet

    found: dict[str, list[TopFeature]] = {}
    seed = material.plan.suite.seeds[0]
    for each in groups:
        best = tables["top"]
        best = best[(best.source == each.source) & (best.seed == seed)].head(ON_PAGE)
        found[each.source] = [_feature(material, record) for record in best.to_dict("records")]
    heads = {
        each.source: f"{each.source}: shared with {', '.join(each.shared_with)}, absent from "
        f"{', '.join(each.absent_from)}" for each in groups
    }  # fmt: skip
    html = page(title, {heads[name]: items for name, items in found.items()})
    (folder / "top.html").write_text(html, encoding="utf-8")
    first = groups[0].source
    entries = [_entry(place, item) for place, item in enumerate(found[first][:ON_SHEET], 1)]
    feature_sheet(entries, heads[first], folder / "top.png")


def _entry(place: int, item: TopFeature) -> Entry:
    return Entry(
        f"{place}. layer {item.layer}, feature {item.feature}" + (f": {item.name}" if item.name else ""),
        [
            f"Δ {1000 * item.delta_share:.2f} ± {1000 * item.error:.2f} ‰ of S, q {item.q_value:.1g}; "
            f"{item.S_share:.1%} of S",
            f"in {item.found_in}",
            f"closest in {item.absent_from}",
        ],
        [example.caption for example in item.examples[:2]],
        [example.jpeg for example in item.examples if example.jpeg is not None],
    )


def _feature(material: Material, record: Mapping[Any, Any]) -> TopFeature:
    import registry

    strongest = _strongest(material, record, SHOWN)
    run = material.run_of(str(record["source"]), int(record["seed"])).run_id
    try:
        small = registry.thumbnails(run, strongest.image)
    except ValueError:  # trained on captions alone
        small = {}
    examples = [Example(row["caption"], small.get(row["image"])) for row in strongest.to_dict("records")]
    return TopFeature(
        layer=int(record["layer"]), feature=int(record["feature"]), name=str(record["name"]),
        delta_share=record["delta_share"], error=record["error"], q_value=record["q_value"],
        rho_shared=record["rho_shared"], rho_absent=record["rho_absent"], S_share=record["S_share"],
        found_in=str(record["found_in"]), absent_from=str(record["absent_from"]), examples=examples,
    )  # fmt: skip


def _strongest(material: Material, record: Mapping[Any, Any], count: int) -> pd.DataFrame:
    """Return the samples that activate a feature most, of all samples that were recorded."""
    import registry

    run = material.run_of(str(record["source"]), int(record["seed"])).run_id
    found = registry.feature_samples(run, int(record["layer"]), [int(record["feature"])])
    return found[found.level == "top"].sort_values("rank").head(count)


def _partners(own: pd.DataFrame, role: str) -> str:
    part = own[own.role == role].to_dict("records")
    return "; ".join(f"{row['target']} {row['partner']} ({row['rho_crossfit']:.2f})" for row in part)
