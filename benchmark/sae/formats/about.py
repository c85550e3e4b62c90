"""What an SAE was trained on, as far as its files say. No torch here."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

LENGTH = 200
"""Letters of a foreign name that are kept."""
PLACE = re.compile(r"(?:^|[._/-])(?:layers?|blocks?|resblocks|h)[._-](\d{1,4})(?:\.hook_resid_(post|pre))?$")
"""A block, in the names of transformers and of TransformerLens."""


@dataclass(frozen=True, kw_only=True)
class About:
    """Where an SAE comes from; "" and None stand for unknown."""

    encoder: str = ""
    weights: str = ""
    """Where the encoder's weights are, and which of its tokens is read as a sample's own."""
    layer: int | None = None
    """Index of the block whose output it reads."""
    dataset: str = ""
    seed: int | None = None
    licence: str = ""
    """Licence of the encoder's weights, or of the SAE where it names its own."""
    quality: Mapping[str, float] = field(default_factory=dict)
    """Figures of its publisher, by name (fvu, ...)."""

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, as JSON can hold it."""
        found = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: value for name, value in found.items() if value not in ("", None, {})}


def about(found: Any) -> About:
    """Return what an untrusted mapping says; whatever is missing or of another type is unknown."""
    if not isinstance(found, Mapping):
        return About()
    quality = found.get("quality")
    figures = quality.items() if isinstance(quality, Mapping) else ()
    return About(
        encoder=_text(found.get("encoder")),
        weights=_text(found.get("weights")),
        layer=_number(found.get("layer")),
        dataset=_text(found.get("dataset")),
        seed=_number(found.get("seed")),
        licence=_text(found.get("licence")),
        quality={_text(name): float(value) for name, value in figures if _is_figure(value) and _text(name)},
    )


def layer_of(name: Any) -> int | None:
    """Return the index of the block whose output a place in a model is; None where the name says no such thing.

    `layers.5` and `blocks.5.hook_resid_post` are the output of block 5, `blocks.6.hook_resid_pre` too; `layers.5.mlp`
    is no residual stream.
    """
    found = PLACE.search(str(name)[:LENGTH])
    if found is None:
        return None
    layer = int(found[1]) - (found[2] == "pre")
    return layer if layer >= 0 else None


def _text(value: Any) -> str:
    return "".join(letter for letter in value[:LENGTH] if letter.isprintable()) if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _is_figure(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
