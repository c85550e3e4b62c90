"""Training as units of work: one encoder with all its seeds each, for workers that share nothing but the store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark.catalog import DatasetCard, EncoderCard, cards
from benchmark.datasets import PairedDataset, load_dataset
from benchmark.errors import WorkError
from benchmark.jobs import tracking
from benchmark.jobs.backends import fan_out
from benchmark.jobs.plan import Plan
from benchmark.jobs.results import CACHE, Trained, fetched
from benchmark.jobs.units import ROOT, Answer, Unit

SHIPPED = "project:"
"""Before the base of a card that ships with the project: the rest is relative to where that is installed."""
Found = list[tuple[int, str, bool]]
"""Seed, id of its train run, and whether that was there already."""


def train_elsewhere(plan: Plan, dataset: PairedDataset) -> dict[str, Callable[[], list[Trained]]]:
    """Train the encoders of a plan in other processes: {encoder: function that returns its train runs, or raises}.

    An encoder that is not in it is for this process: all are, where other processes would not help. Of an encoder
    whose runs are all there, the function returns them.
    """
    left: Sequence[EncoderCard] = plan.encoders
    there: dict[str, Callable[[], list[Trained]]] = {}
    if not plan.backend.elsewhere:
        if not plan.backend.processes(len(left), plan.device):
            return {}
        found = {card.name: _all_finished(plan, card, dataset) for card in left}
        there = {name: partial(list, runs) for name, runs in found.items() if runs}
        left = [card for card in left if card.name not in there]
    processes = plan.backend.processes(len(left), plan.device)
    if not left or not (processes or plan.backend.elsewhere):
        return there
    known = dataset.fingerprint, dataset.content_hash, dataset.grouping_hash
    asked = replace(plan, encoders=(), suite=replace(plan.suite, dataset=_place(plan.suite.dataset)))
    units = [
        Unit(f"train {card.name}", "benchmark.jobs.train_units:train_unit", (asked, _portable(card), known))
        for card in left
    ]
    answers = fan_out(plan.backend, processes, units, "train", "encoder")
    return there | {card.name: partial(_trained, card, answer) for card, answer in zip(left, answers, strict=True)}


def _all_finished(plan: Plan, card: EncoderCard, dataset: PairedDataset) -> list[Trained]:
    """Return the finished runs of all seeds, in the order of the seeds; none if one is missing."""
    from benchmark.jobs.train import finished, seed_keys

    try:
        done = finished(plan, card, seed_keys(plan, card, dataset)[1])
    except Exception:  # the unit says what is wrong with this encoder
        return []
    return [done[seed] for seed in plan.suite.seeds] if len(done) == len(plan.suite.seeds) else []


def _trained(card: EncoderCard, answer: Answer) -> list[Trained]:
    """Return the train runs that a unit made, their artifacts verified, and fetched if they are on a server."""
    return [Trained(card, seed, run_id, fetched(run_id), reused) for seed, run_id, reused in answer.result()]


def train_unit(plan: Plan, card: EncoderCard, known: tuple[str, str, str]) -> Found:
    """Train an encoder here, in the process of a unit.

    `known` are the fingerprint and hashes of the job's data set. Raises WorkError where this machine's is another, and
    whatever training raises, recorded on a FAILED run.
    """
    from benchmark.jobs.train import record_failure, train_encoder

    card = _installed(card)
    dataset = load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE)
    try:
        if known != (dataset.fingerprint, dataset.content_hash, dataset.grouping_hash):
            raise WorkError(
                f"dataset '{dataset.name}' of this worker differs from that of the job; give both the same files."
            )
        found = train_encoder(plan.here(), card, dataset)
    except Exception as error:
        if not tracking.is_recorded(error):
            record_failure(plan, card, dataset, error)
        raise
    return [(item.seed, item.run_id, item.reused) for item in found]


def _place(dataset: str) -> str:
    """Return the name of a data set, or its absolute path."""
    path = Path(dataset).expanduser()
    return dataset if dataset in cards(DatasetCard) or not path.exists() else str(path.absolute())


def _portable(card: EncoderCard) -> EncoderCard:
    """Return a card whose files are found in any folder, and in another installation too if they ship with it."""
    base = Path(card.base).absolute()
    return replace(card, base=SHIPPED + str(base.relative_to(ROOT)) if base.is_relative_to(ROOT) else str(base))


def _installed(card: EncoderCard) -> EncoderCard:
    shipped = card.base.startswith(SHIPPED)
    return replace(card, base=str(ROOT / card.base.removeprefix(SHIPPED))) if shipped else card
