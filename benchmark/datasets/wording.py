"""Putting captions together from phrases."""

from collections.abc import Sequence


def joined(*parts: str) -> str:
    """Join the parts that are not empty with single spaces."""
    return " ".join(part for part in parts if part)


def with_article(phrase: str) -> str:
    """Put `a` or `an` before a phrase, by its first letter."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def plural(phrase: str) -> str:
    """Return the plural of a phrase whose last word is a regular noun."""
    return phrase + ("es" if phrase.endswith(("s", "x", "sh", "ch")) else "s")


def listed(parts: Sequence[str]) -> str:
    """Join parts as a list in prose: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def agreeing(subject: str, singular: str, several: str) -> str:
    """Return the form of a verb that agrees with a noun phrase, by its first word."""
    return singular if subject.split(" ", 1)[0] in ("a", "an", "one") else several
