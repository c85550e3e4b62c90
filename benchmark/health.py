"""A check: a figure beside its limits, for each encoder or for the data, and what to do where it is beyond them."""

import math
from collections.abc import Iterable
from typing import NamedTuple

OK, WARN, FAIL, UNKNOWN = "ok", "warn", "fail", "unknown"
STATUSES = (OK, UNKNOWN, WARN, FAIL)
"""From good to bad. Unknown: it could not be checked, so nothing is known to be wrong."""


class Check(NamedTuple):
    """One check of one subject."""

    check: str
    """What is looked for, the same for every subject: `dead-latents`."""
    subject: str
    """An encoder, or `data`."""
    status: str
    """One of `STATUSES`."""
    value: float
    """The worst figure; NaN where there is none."""
    limit: float
    """The limit that the figure is beyond, or else the first one it would have to cross."""
    where: str
    """Layer, seed or partner of the figure, as far as it is not the subject's only one."""
    sentence: str
    """What was found, with the figure."""
    advice: str
    """What to try; "" where nothing needs to be done."""


def judged(
    check: str,
    subject: str,
    value: float,
    sentence: str,
    advice: str,
    *,
    warn: float = math.nan,
    fail: float = math.nan,
    where: str = "",
) -> Check:
    """Return a check of a value that should not be above its limits (NaN: there is no such limit).

    A value of NaN is unknown: it could not be taken.
    """
    if math.isnan(value):
        status, limit = UNKNOWN, fail if math.isnan(warn) else warn
    elif value > fail:
        status, limit = FAIL, fail
    elif value > warn:
        status, limit = WARN, warn
    else:
        status, limit = OK, fail if math.isnan(warn) else warn
    return Check(check, subject, status, value, limit, where, sentence, "" if status == OK else advice)


def unknown(check: str, subject: str, sentence: str, advice: str) -> Check:
    """Return a check that could not be made."""
    return Check(check, subject, UNKNOWN, math.nan, math.nan, "", sentence, advice)


def worst(checks: Iterable[Check]) -> str:
    """Return ok, warn or fail, the worst status of all checks; what could not be checked counts as ok."""
    found = max((STATUSES.index(item.status) for item in checks), default=0)
    return OK if STATUSES[found] == UNKNOWN else STATUSES[found]


def checks_with(checks: Iterable[Check], status: str) -> list[str]:
    """Return the names of the checks that have a status somewhere, each once, in order."""
    return list(dict.fromkeys(item.check for item in checks if item.status == status))


def sentences(checks: Iterable[Check]) -> list[str]:
    """Return one line for each check that is not ok, the worst first: what was found where, then the advice, once."""
    items = [item for item in checks if item.status != OK]
    lines = []
    for status in (FAIL, WARN, UNKNOWN):
        for name in checks_with(items, status):
            same = [item for item in items if (item.check, item.status) == (name, status)]
            places: dict[str, list[str]] = {}
            for item in same:
                where = item.subject + (f" ({item.where})" if item.where else "")
                places.setdefault(item.sentence, []).append(where)
            found = " ".join(f"{', '.join(where)}: {sentence}" for sentence, where in places.items())
            lines.append(f"{status} {name}: {found} {' '.join(dict.fromkeys(item.advice for item in same))}")
    return lines
