"""A failure signature: something about a dictionary or a comparison that should not be trusted, and what to do."""

from collections.abc import Sequence
from typing import NamedTuple


class Signature(NamedTuple):
    """One finding about one subject."""

    name: str
    """What is wrong, the same for every subject: `dead-latents`."""
    subject: str
    """Where: an SAE, an encoder, a pair of encoders, or the whole comparison."""
    value: float
    """The figure that crossed the limit."""
    limit: float
    sentence: str
    """What was found, with the figures."""
    advice: str
    """What to try."""


def names(found: Sequence[Signature]) -> list[str]:
    """Return the names of signatures, each once, in order."""
    return list(dict.fromkeys(item.name for item in found))


def summary(found: Sequence[Signature]) -> list[str]:
    """Return one line for each name: how often, the subject farthest beyond its limit, its sentence and the advice."""
    lines = []
    for name in names(found):
        same = [item for item in found if item.name == name]
        worst = max(same, key=lambda item: abs(item.value - item.limit))
        more = f" (and {len(same) - 1} more)" if len(same) > 1 else ""
        where = f"{worst.subject}{more}: " if worst.subject else ""
        lines.append(f"{name}: {where}{worst.sentence} {worst.advice}")
    return lines
