"""Which encoders a feature may be shared with and absent from, by what kind its encoder is."""

from collections.abc import Mapping, Sequence

from benchmark.catalog import EncoderCard

PRESETS = {"vlm": ("text", "vision"), "vision": ("vlm", "text"), "text": ("vlm", "vision")}
"""Kind of an encoder -> the kind that its features are shared with, and the kind they are absent from."""


def kinds_beside(cards: Mapping[str, EncoderCard], names: Sequence[str]) -> dict[str, tuple[list[str], list[str]]]:
    """Return encoder -> those of `names` that its features may be shared with and absent from, by `PRESETS`.

    An encoder without any of either is left out.
    """
    found = {}
    for name in names:
        with_, without = (
            [other for other in names if other != name and cards[other].kind == kind]
            for kind in PRESETS[cards[name].kind]
        )
        if with_ and without:
            found[name] = with_, without
    return found


def preset_of(card: EncoderCard) -> dict[str, str]:
    """Return the columns shared_with and absent_from of an encoder: kinds."""
    return dict(zip(("shared_with", "absent_from"), PRESETS[card.kind], strict=True))
