"""What `stability` prints: one table of encoders, then what the seeds mean for top lists, rankings and differences."""

from collections.abc import Mapping

import pandas as pd

from benchmark.metrics import Components
from benchmark.report import text_table

WHAT = {"both": "both", "init": "weights", "order": "order"}
PUBLISHED = (
    "Published, for scale (other models, larger dictionaries): 30 % of latents shared at 131k latents on Llama-3-8B\n"
    "and 53 % on the MLP of a Pythia-160m (encoder and decoder, arXiv 2501.16615); PW-MCC 0.80 (arXiv 2505.20254)."
)
HEADER = (
    "encoder", "seeds vary", "agree", "95 % interval", "chance", "untrained", "dec", "enc+dec", "untr. dec", "PW-MCC",
    "untr. MCC", "FVU", "± seeds", "dead", "± seeds",
)  # fmt: skip


def sentences(tables: Mapping[str, pd.DataFrame], parts: Components | None, seeds: int) -> str:
    """Return the whole text.

    Args:
        tables: those of the command.
        parts: components of the variance of a cell; None where there is one encoder.
        seeds: how many there are.
    """
    lines = [
        "Two seeds of one encoder, means over pairs of seeds. agree: cross-fitted wMPPC; chance: of the naive value;",
        "untrained: agree before training. dec: share of live latents whose one-to-one partner's decoder row is at a",
        "cosine above 0.7; enc+dec: and their encoder row too. PW-MCC: mean cosine of partners, all latents.", "",
        text_table(HEADER, [_row(row) for _, row in tables["stability"].iterrows()]), "",
        *(["Where order alone varies, latents that training hardly moved agree by their common initial weights.", ""]
          if "order" in set(tables["stability"].varies) else []),
        PUBLISHED, "",
    ]  # fmt: skip
    lines += _deciles(tables["deciles"])
    if "top_features" in tables and len(tables["top_features"]):
        lines += ["", *_top(tables["top_features"])]
    if parts is not None:
        lines += ["", *_ranks(tables["rank_agreement"]), "", *_differences(tables, parts, seeds)]
    if seeds < 5:
        lines += ["", f"{seeds} seeds say little about how much seeds matter: use five or more."]
    return "\n".join(lines)


def _row(row: pd.Series) -> list[str]:
    layers = f" L{row.layer:02d}"
    return [
        row.encoder + layers, WHAT[row.varies], f"{row.crossfit:.3f}", f"{row.low:.3f} to {row.high:.3f}",
        _number(row.chance), _number(row.untrained_crossfit), f"{row.decoder_shared_live:.2f}",
        f"{row.both_shared_live:.2f}", _number(row.untrained_decoder_shared, 2), f"{row.mcc:.2f}",
        _number(row.untrained_mcc, 2), f"{row.fvu:.3f}", f"{row.fvu_sd:.3f}", f"{row.dead:.2f}", f"{row.dead_sd:.3f}",
    ]  # fmt: skip


def _deciles(deciles: pd.DataFrame) -> list[str]:
    """Return the means over encoders of the rarest and the most frequent features, where seeds vary both."""
    part = deciles[deciles.varies == "both"].groupby("decile")[
        ["frequency", "weight", "correlation", "decoder_shared", "both_shared"]
    ].mean()  # fmt: skip
    rows = [
        (f"{decile}", f"{row.frequency:.4f}", f"{row.weight:.0%}", *(f"{value:.2f}" for value in row.iloc[2:]))
        for decile, row in part.iterrows()
    ]
    return [
        "Live features by how often they fire (1: the rarest tenth), means over encoders, seeds varying both:",
        text_table(("decile", "frequency", "weight", "held-out r", "dec", "enc+dec"), rows),
    ]


def _top(top: pd.DataFrame) -> list[str]:
    rows = []
    for (encoder, with_, without), part in top.groupby(["encoder", "shared_with", "absent_from"], sort=False):
        above = (part.p_value <= 0.05).sum()
        rows.append((
            str(encoder), f"{with_}, not {without}",
            _number(part["share"].mean(), 2), _number(part.by_chance.mean(), 2),
            f"{above} of {part.p_value.notna().sum()}", _number(part.correlation.mean(), 2),
        ))  # fmt: skip
    return [
        "Top 1 % by Comparative Sharedness (held-out correlations): share whose partner is on the other seed's list",
        text_table(
            ("encoder", "shared with", "found again", "by chance given S", "pairs at p <= 0.05", "rank corr. of Delta"),
            rows,
        ),
    ]


def _ranks(agreement: pd.DataFrame) -> list[str]:
    rows = [
        (str(row["ranking"]), f"{row['entries']}", f"{row['tau']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}",
         f"{row['same_order']:.0%}")
        for row in agreement.to_dict("records")
    ]  # fmt: skip
    return [
        "Rankings of cells, and of encoders by the columns of the leaderboard: Kendall's tau between two seeds'",
        "rankings (intervals resample seeds and groups), and how many pairs of entries stand in one order under all",
        text_table(("ranking", "entries", "tau", "95 % interval", "one order"), rows),
    ]


def _differences(tables: Mapping[str, pd.DataFrame], parts: Components, seeds: int) -> list[str]:
    of_parts, smallest = tables["components"], tables["smallest_difference"]
    overall = of_parts[of_parts.encoder == ""]
    rows = [(str(row["what"]), f"{row['sd']:.4f}", f"{row['share']:.1%}") for row in overall.to_dict("records")]
    of_seeds = of_parts[of_parts.component == "source_seed"].sort_values("sd", ascending=False)
    worst = of_seeds[of_seeds.encoder != ""].iloc[0]
    by_seeds = text_table(
        ("seeds", "smallest difference", "95 % interval"),
        [
            (
                f"{row['seeds']:.0f}",
                f"{row['smallest_difference']:.3f}",
                f"{_number(row['low'])} to {_number(row['high'])}",
            )
            for row in smallest.to_dict("records")
        ],
    )
    return [
        "What a cell's cross-fitted value varies with (one seed of each side):",
        text_table(("component", "standard deviation", "share of the variance"), rows), "",
        f"As a source, {worst['encoder']} varies most with its seed (sd {worst['sd']:.4f}).", "",
        "Smallest difference between two cells that can be trusted (95 %; means over all pairs of seeds; its own",
        "interval by leaving out seeds)", by_seeds, f"Here, with {seeds}: {parts.smallest_difference(seeds):.3f}.",
    ]  # fmt: skip


def _number(value: float, digits: int = 3) -> str:
    return "–" if pd.isna(value) else f"{value:.{digits}f}"
