"""Encoders whose runs are all there are verified once, and no process starts for them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.jobs import train, train_units
from benchmark.jobs.results import Trained
from benchmark.jobs.units import Answer

SEEDS = (0, 1)


@pytest.fixture
def plan(monkeypatch):
    """A plan of three encoders for two processes: one is finished, one in part, one cannot even be asked."""
    asked = []

    def finished(plan, card, key):
        asked.append(card.name)
        if card.name == "bad":
            raise ValueError("no such checkpoint")
        seeds = SEEDS if card.name == "all" else (1,)
        return {seed: Trained(card, seed, f"{card.name}{seed}", Path(), True) for seed in reversed(seeds)}

    monkeypatch.setattr(train, "finished", finished)
    monkeypatch.setattr(train, "seed_keys", lambda plan, card, dataset: ("", dict.fromkeys(SEEDS, "")))
    monkeypatch.setattr(train_units, "replace", lambda plan, **changed: plan)
    monkeypatch.setattr(train_units, "_portable", lambda card: card)
    backend = SimpleNamespace(elsewhere=False, processes=lambda n_units, device: min(n_units, 2))
    suite = SimpleNamespace(seeds=SEEDS, dataset="scenes")
    cards = [SimpleNamespace(name=name) for name in ("all", "some", "bad")]
    return SimpleNamespace(encoders=cards, backend=backend, suite=suite, device="cpu", asked=asked)


def test_finished_encoders_are_returned_and_the_others_handed_out(plan, monkeypatch):
    handed = []

    def fan_out(backend, processes, units, *words):
        handed.extend(unit.name for unit in units)
        return [Answer(error="it failed.") for _ in units]

    monkeypatch.setattr(train_units, "fan_out", fan_out)
    dataset = SimpleNamespace(fingerprint="", content_hash="", grouping_hash="")
    found = train_units.train_elsewhere(plan, dataset)
    assert handed == ["train some", "train bad"] and plan.asked == ["all", "some", "bad"]
    assert [(run.seed, run.run_id, run.reused) for run in found["all"]()] == [(0, "all0", True), (1, "all1", True)]
    with pytest.raises(Exception, match="it failed"):
        found["some"]()


def test_where_one_process_does_all_nothing_is_asked_before(plan):
    plan.backend.processes = lambda n_units, device: 0
    assert train_units.train_elsewhere(plan, None) == {} and not plan.asked
