"""The two ways in which a user's request can fail, and helpers that word them."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """The request itself is wrong (unknown name, missing column, impossible size): exit code 2.

    The message is one sentence that says what is wrong, where, and what to do.
    """


class WorkError(RuntimeError):
    """The request is fine but the work failed (unreachable weights, full disk, a failed unit): exit code 1."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return an `InputError` for an unknown `name` of some `kind`, suggesting close matches of the `known` ones."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names) or 'none'}."
    return InputError(f"unknown {kind} '{name}': {hint}")
