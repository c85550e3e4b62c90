"""A question as a job: its answer is computed once, kept whole on every run, and no failed encoder hides."""

import json

import mlflow
import pytest

import registry
from benchmark.errors import InputError, WorkError
from benchmark.jobs.experiment import Findings, require_encoders, run_experiment
from benchmark.jobs.experiment_configs import ExperimentConfig
from benchmark.jobs.plan import make_plan

SMALL = {"max_samples": 600, "epochs": 1, "k": 4, "folds": 2, "permutations": 1}


def plan(encoders="cards.yaml", **changes):
    return make_plan(ExperimentConfig(encoders=(encoders,), **SMALL | {"seeds": (0,)} | changes))


@pytest.fixture
def ask(here, capsys):
    """Run a question that counts its samples: ask(plans, **settings) -> (what was asked of it, what was printed)."""
    asked = []

    def answer(materials, folder):
        asked.append(materials)
        (folder / "below").mkdir()
        (folder / "below" / "counts.json").write_text(json.dumps([len(m.compared) for m in materials]))
        return Findings("a sentence", {"count": len(materials), "nothing": float("nan")}, {"mood": "good"})

    def run(plans, version=1, **settings):
        code = run_experiment("question", plans, answer, version=version, settings=settings)
        assert code == 0
        return asked, capsys.readouterr().out

    return run


def test_an_answer_is_computed_once_and_whole_on_every_run(ask):
    asked, first = ask([plan()], depth=1)
    asked, again = ask([plan()], depth=1)
    assert len(asked) == 1 and "a sentence" in first and "a sentence" in again and "0 reused" not in again
    runs = registry.runs("FINISHED", kind="question")
    assert len(runs) == 2 and runs.key.nunique() == 1
    for run_id in runs.run_id:
        run = mlflow.get_run(run_id)
        assert run.data.metrics == {"count": 1} and run.data.tags["mood"] == "good"
        assert run.data.params["cfg.depth"] == "1" and run.inputs.dataset_inputs[0].dataset.name == "scenes"
        assert json.loads((registry.verified(run_id) / "below" / "counts.json").read_text()) == [
            len(asked[0][0].compared)
        ]
    for plans, version, settings in (
        ([plan()], 1, {"depth": 2}), ([plan()], 2, {"depth": 1}), ([plan(folds=3)], 1, {"depth": 1}),
        ([plan(), plan(max_samples=500)], 1, {"depth": 1}),
    ):  # fmt: skip
        before = len(asked)
        ask(plans, version, **settings)
        assert len(asked) == before + 1


def test_a_question_has_the_features_of_every_encoder_and_seed_on_the_compared_samples(ask):
    ((material,),) = ask([plan(seeds=(0, 1))], reason="features")[0]
    assert list(material.sides) == [(name, seed) for name in material.encoders for seed in (0, 1)]
    layers = material.load("tiny-bert", 1)
    assert list(layers) == material.run_of("tiny-bert", 1).layers
    assert len(layers[2].indices) == len(material.compared) < len(material.dataset)


def test_an_answer_is_kept_where_an_encoder_fails_and_the_run_says_so(here, ask):
    broken = make_plan(ExperimentConfig(encoders=("one.yaml", "broken.yaml"), seeds=(0,), **SMALL))
    with pytest.raises(WorkError, match="tiny-gone.*1 other is complete"):
        ask([broken])
    run = registry.runs("FAILED", kind="question").iloc[0]
    assert run.failed == "tiny-gone" and run.metrics == {"count": 1}


def test_too_few_encoders_are_refused_with_what_asks_for_them(here):
    def answer(materials, folder):
        require_encoders(materials[0], 2, "a question")

    with pytest.raises(InputError, match="a question needs at least 2 encoders, got 1"):
        run_experiment("question", [plan("one.yaml")], answer, version=1)
