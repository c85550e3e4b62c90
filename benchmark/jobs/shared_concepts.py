"""Examples for a report: of every encoder the features that are found again most surely, with what activates them."""

from collections.abc import Mapping

import pandas as pd

from benchmark.reporting.content import Concept, Example

EACH = 3
"""Features of an encoder."""
SHOWN = 4
"""Samples of a feature."""
FEWEST = 20
WIDEST = 0.2
"""Features active on fewer samples, or on a larger share of them, say little; so do such partners."""


def shared_concepts(run_id: str, saes: pd.DataFrame) -> list[Concept]:
    """Return features of every encoder with the highest held-out correlation with one of another encoder.

    `saes` is the compare run's table of SAEs. Runs that recorded no partners, or no samples of features, give none.
    """
    import registry

    first = saes.drop_duplicates("encoder")  # partners are those of the first seeds
    train = dict(zip(first.encoder, first.run_id, strict=True))
    found = []
    for source in train:
        candidates = []
        for target in train:
            if target == source:
                continue
            try:
                candidates.append(registry.feature_partners(run_id, source, target).assign(target=target))
            except ValueError:
                continue
        try:
            for row in _best(candidates, source, train).to_dict("records"):
                found.append(Concept(
                    source, row["target"], row["layer"], row["feature"], row["partner_layer"], row["partner"],
                    row["held_out_rho"], row["density"], _examples(train[source], row["layer"], row["feature"]),
                    _examples(train[row["target"]], row["partner_layer"], row["partner"]),
                    _name(train[source], row["layer"], row["feature"]),
                    _name(train[row["target"]], row["partner_layer"], row["partner"]),
                ))  # fmt: skip
        except ValueError:
            continue
    return found


def _best(candidates: list[pd.DataFrame], source: str, train: Mapping[str, str]) -> pd.DataFrame:
    """Return the chosen features of one encoder, each with its best partner and no two with the same one."""
    if not candidates:
        return pd.DataFrame()
    table = pd.concat(candidates)
    own = _telling(train[source], table.layer)
    table = table.merge(own, on=["layer", "feature"])
    others = [
        _telling(train[str(target)], part.partner_layer).assign(target=target)
        for target, part in table.groupby("target")
    ]
    columns = {"layer": "partner_layer", "feature": "partner"}
    partners = pd.concat([other.drop(columns="density").rename(columns=columns) for other in others])
    table = table.merge(partners, on=["target", "partner_layer", "partner"])
    table = table.sort_values(["held_out_rho", "layer", "feature"], ascending=[False, True, True], kind="stable")
    table = table.drop_duplicates(["layer", "feature"]).drop_duplicates(["target", "partner_layer", "partner"])
    return table.head(EACH)


def _telling(train_run: str, layers: pd.Series) -> pd.DataFrame:
    """Return layer, feature and density of the features of some layers that are neither too rare nor too frequent."""
    import registry

    found = pd.concat([registry.feature_summary(train_run, int(i)).assign(layer=int(i)) for i in sorted(set(layers))])
    return found[(found.frequency >= FEWEST) & (found.density <= WIDEST)][["layer", "feature", "density"]]


def _examples(train_run: str, layer: int, feature: int) -> list[Example]:
    """Return the samples that activate a feature most."""
    import registry

    found = registry.feature_examples(train_run, layer, [feature], SHOWN).get(feature, [])
    return [Example(caption, jpeg) for caption, jpeg in found]


def _name(train_run: str, layer: int, feature: int) -> str:
    """Return what the newest `name` run called a feature, "" without a name."""
    import registry

    return str(registry.with_names(pd.DataFrame({"layer": [layer], "feature": [feature]}), train_run)["name"].iloc[0])
