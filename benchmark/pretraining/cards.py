"""Write the cards of trained checkpoints: the file `cards/encoders/small.yaml` is what this gives."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmark.pretraining.build import MODELS, Report

HEADER = """\
# Small encoders that ship with the project; written by benchmark.pretraining from their reports, not by hand.
# Probes: [accuracy of a linear probe on the last global token, share of the most frequent value], held-out samples.

"""
SHOWN = ("library", "source", "modality", "kind", "token", "family", "size", "licence")


def write_cards(reports: Sequence[Report], path: Path) -> None:
    """Write one card for each tower of the reported checkpoints to the YAML file `path`; sources are relative to it."""
    entries: dict[str, dict[str, Any]] = {}
    for report in reports:
        for card in report.cards:
            fields = {name: getattr(card, name) for name in SHOWN}
            fields["source"] = Path(os.path.relpath(report.folder, path.parent)).as_posix()
            fields["training"] = {
                "how": MODELS[report.name].summary,
                "samples": report.samples,
                "epochs": report.epochs,
                "seconds": report.seconds,
                "command": f"mlflow run . -e pretrain -P models={report.name}",
                "metrics": report.metrics[card.name],
            }
            entries[card.name] = fields
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [
        yaml.dump({name: fields}, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)
        for name, fields in entries.items()
    ]
    part = path.with_name(path.name + ".part")
    part.write_text(HEADER + "\n".join(written), encoding="utf-8")
    os.replace(part, path)


class _Dumper(yaml.SafeDumper):
    """Lists of numbers on one line, everything else in blocks."""


_Dumper.add_representer(list, lambda dumper, values: dumper.represent_sequence("tag:yaml.org,2002:seq", values, True))
