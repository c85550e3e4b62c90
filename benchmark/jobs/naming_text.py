"""What the `name` command prints: how good the names are, what they stand for, and some of them."""

import pandas as pd

from benchmark.jobs.naming_evidence import Samples
from benchmark.metrics.naming import ALPHA, FEWEST
from benchmark.report import text_table

EXAMPLES = 6
"""Names of an encoder that are printed: those of its most active named features."""
MEASURES = {
    "nameable": "{:.0f}", "named_share": "{:.0%}", "shuffled_share": "{:.1%}", "auc": "{:.2f}",
    "auc_shuffled": "{:.2f}", "auc_strong": "{:.2f}", "auc_words": "{:.2f}", "auc_image": "{:.2f}",
    "again": "{:.0%}", "again_chance": "{:.0%}", "again_shown": "{:.0%}", "again_shown_chance": "{:.0%}",
}  # fmt: skip
PLANTED = {
    "told": "{:.0f}", "right_value": "{:.0%}", "right_value_chance": "{:.0%}", "right_factor": "{:.0%}",
    "right_factor_chance": "{:.0%}", "nuisances": "{:.0f}", "nuisances_named": "{:.0%}",
}  # fmt: skip


def described(samples: Samples, names: pd.DataFrame, summary: pd.DataFrame, counts: pd.DataFrame) -> str:
    """Return the text: means over the SAEs of each encoder, planted truth where there is one, kinds, and examples."""
    pair = f"captions and images ({samples.pair})" if samples.pair else "captions alone (no contrastive pair)"
    parts = [
        f"{len(samples.names):,} words and pairs of words; evidence: {pair}. Names are chosen on "
        f"{len(samples.chosen_on.rows):,} samples and tested on the {len(samples.tested_on.rows):,} held-out ones.",
        f"named_share: of the features that fire on {FEWEST} or more samples (nameable), those with p <= {ALPHA}; "
        "shuffled_share: the same under shuffled samples. auc: captions with the name against firing; auc_shuffled: of "
        "names found under shuffled samples; auc_strong: against the strongest quarter of the activations; auc_words: "
        "with the runners-up; auc_image: p(name | image) instead. again: the other half of the samples gives the same "
        "name (_shown: among its first five; _chance: names dealt out at random).\n" + _means(summary, MEASURES),
    ]
    if "told" in summary:
        parts.append(
            "Planted truth: of the features that tell a captioned value clearly (told), names that mean this value or "
            "its factor, and by chance; features that tell a nuisance, and the share of them with a name.\n"
            + _means(summary, PLANTED)
        )
    if len(counts):
        kinds = counts.groupby(["encoder", "typology"], sort=False).share.mean().unstack(sort=False)
        shares = [
            [str(encoder), *(f"{value:.0%}" for value in row)]
            for encoder, row in zip(kinds.index, kinds.to_numpy(), strict=True)
        ]
        parts.append("Kinds of names (share of the named features)\n" + text_table(["", *map(str, kinds)], shares))
    parts.append("Names of the most active features (auc)\n" + _examples(names))
    return "\n\n".join(parts)


def _means(summary: pd.DataFrame, measures: dict[str, str]) -> str:
    chosen = [name for name in measures if name in summary and summary[name].notna().any()]
    means = summary.groupby("encoder", sort=False)[chosen].mean()
    rows = [
        [str(encoder), *("–" if pd.isna(row[name]) else measures[name].format(row[name]) for name in chosen)]
        for encoder, row in means.iterrows()
    ]
    return text_table(["", *chosen], rows)


def _examples(names: pd.DataFrame) -> str:
    """Return a line for each encoder, of its first seed and deepest layer."""
    lines = []
    for encoder, part in names.groupby("encoder", sort=False):
        own = part[(part.seed == part.seed.iloc[0]) & (part.layer == part.layer.max()) & (part["name"] != "")]
        shown = own.sort_values("S", ascending=False, kind="stable").head(EXAMPLES)
        told = ", ".join(f"{row['name']} ({row['auc']:.2f})" for row in shown.to_dict("records"))
        lines.append([str(encoder), told or "none"])
    return text_table(["", ""], lines).lstrip("\n")
