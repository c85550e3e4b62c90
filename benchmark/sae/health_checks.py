"""Checks of one encoder's SAEs: the signatures of `benchmark.sae.signatures`, judged over all layers and seeds."""

import math
from collections.abc import Mapping, Sequence

from benchmark.health import FAIL, OK, WARN, Check
from benchmark.sae.signatures import DEAD, FALL, OFFSET, RARE, sae_signatures
from benchmark.signature import Signature

FIGURES: dict[str, tuple[str, float | str]] = {
    "constant-activations": ("fvu", math.nan),
    "worse-than-mean": ("fvu", 1.0),
    "no-better-than-pca": ("fvu", "pca_fvu"),
    "dead-latents": ("dead", DEAD),
    "rare-latents": ("rare", RARE),
    "offset": ("offset", OFFSET),
    "loss-falling": ("loss_fall", FALL),
}
"""Signature -> its figure, and its limit or the figure that is the limit."""
FAILING = ("constant-activations", "worse-than-mean")
"""Signatures of dictionaries that tell nothing; with the others figures are to be read with care."""
NEARLY_ALL_DEAD = 0.9
"""Share of dead latents from which a dictionary fails: on planted data 0.99 dead finds nothing (docs/sae.md)."""


def sae_checks(saes: Sequence[Mapping[str, float]], encoder: str) -> list[Check]:
    """Return one check per signature; the worst layer and seed speaks for the encoder.

    saes: figures of each SAE as `sae_signatures` takes them, with `layer` and `seed`.
    """
    found = [(row, sae_signatures(row, encoder)) for row in saes]
    return [_check(name, encoder, found) for name in FIGURES]


def _check(name: str, encoder: str, saes: Sequence[tuple[Mapping[str, float], list[Signature]]]) -> Check:
    figure, bound = FIGURES[name]

    def limit(row: Mapping[str, float]) -> float:
        return float(row.get(bound, math.nan)) if isinstance(bound, str) else bound

    def excess(row: Mapping[str, float]) -> float:
        value = float(row.get(figure, math.nan)) - (0 if math.isnan(limit(row)) else limit(row))
        return -math.inf if math.isnan(value) else value

    raised = [(row, item) for row, items in saes for item in items if item.name == name]
    row = max((row for row, _ in raised or saes), key=excess)
    where, value = f"layer {row['layer']:.0f}, seed {row['seed']:.0f}", float(row.get(figure, math.nan))
    if not raised:
        return Check(name, encoder, OK, value, limit(row), where, "", "")
    item = next(item for other, item in raised if other is row)
    fails = name in FAILING or name == "dead-latents" and value > NEARLY_ALL_DEAD
    many = f" ({len(raised)} of {len(saes)} SAEs)" if len(saes) > 1 else ""
    return Check(name, encoder, FAIL if fails else WARN, value, item.limit, where + many, item.sentence, item.advice)
