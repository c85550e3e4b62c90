"""What a report says of a comparison's health: its failure signatures, and the checks of the newest health run."""

from benchmark.health import STATUSES, Check, sentences
from benchmark.reporting.content import Comparison
from benchmark.reporting.tables import Cell, Table


def health_table(item: Comparison) -> Table | None:
    """Return the status of every check for the data and each encoder, or None where nobody ran `health`."""
    if item.health is None:
        return None
    checks = item.health.checks
    subjects = list(dict.fromkeys(checks.subject))
    status = dict(zip(zip(checks.check, checks.subject, strict=True), checks.status, strict=True))
    rows = [
        [Cell(name), *(Cell(str(status.get((name, subject), ""))) for subject in subjects)]
        for name in dict.fromkeys(checks.check)
    ]
    counts = ", ".join(f"{(checks.status == name).sum()} {name}" for name in STATUSES[::-1])
    return Table(
        "Health", ["check", *subjects], [("", rows)],
        notes=[f"Run {item.health.run_id}, {item.health.date}: {counts}. Limits and advice: docs/sae.md."],
    )  # fmt: skip


def health_lines(item: Comparison) -> list[str]:
    """Return a sentence for each failure signature of the comparison, and for each check that is not ok."""
    lines = [f"Signature {line}" for line in item.signatures]
    if item.health is None:
        missing = f"Its health was not checked: run `python -m benchmark health --suite {item.suite}`."
        return [*lines, missing]
    return [*lines, *sentences(Check(*row) for row in item.health.checks[list(Check._fields)].itertuples(index=False))]
