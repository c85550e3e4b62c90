import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from benchmark.catalog import EncoderCard, read_cards
from benchmark.encoders import load_encoder
from benchmark.errors import InputError, WorkError
from benchmark.pretraining import build as module
from benchmark.pretraining import evaluate
from benchmark.pretraining.build import build, read_report
from benchmark.pretraining.cards import write_cards


@pytest.fixture
def small(monkeypatch, recipes):
    """Let `build` use the tiny recipes and a small evaluation."""
    monkeypatch.setattr(module, "recipe", recipes.__getitem__)
    monkeypatch.setattr(evaluate, "PROBE_SAMPLES", 120)
    monkeypatch.setattr(evaluate, "PAIRS", 40)


def make(name, output, cache, **changes):
    return build(name, output, **{"samples": 70, "epochs": 1, "progress": False, "cache": cache, **changes})


def test_a_built_checkpoint_loads_by_the_card_that_is_written(small, tmp_path, cache):
    reports = [make(name, tmp_path / "checkpoints", cache) for name in ("small-clip", "small-bert")]
    write_cards(reports, tmp_path / "cards" / "small.yaml")
    cards = read_cards(EncoderCard, tmp_path / "cards" / "small.yaml")
    assert list(cards) == ["small-clip-image", "small-clip-text", "small-bert"]
    assert cards["small-clip-text"].source == "../checkpoints/small-clip"
    assert load_encoder(cards["small-clip-text"]).run(["a red star", ""])[1].pooled.shape == (2, 16)
    assert load_encoder(cards["small-bert"]).run(["a red star", ""])[1].pooled.shape == (2, 16)


def test_a_report_survives_on_disk_and_says_what_was_measured(small, tmp_path, cache):
    report = make("small-clip", tmp_path, cache)
    assert read_report(tmp_path / "small-clip") == report
    assert (report.samples, report.epochs, report.seed) == (70, 1, 0) and report.seconds >= 0
    assert report.config["width"] == 16
    pair = report.metrics["small-clip-image"]
    assert 0 <= pair["retrieval"]["image_to_text_r1"] <= 1
    for name, factors in evaluate.PROBED.items():
        assert tuple(pair["probes"][name]) == factors
        assert all(0 <= share <= 1 for both in pair["probes"][name].values() for share in both)


def test_cards_hold_what_the_report_says(small, tmp_path, cache):
    report = make("small-vit", tmp_path, cache)
    write_cards([report], tmp_path / "small.yaml")
    text = (tmp_path / "small.yaml").read_text(encoding="utf-8")
    training = yaml.safe_load(text)["small-vit"]["training"]
    assert training["metrics"] == report.metrics["small-vit"] and training["seconds"] == report.seconds
    assert training["command"] == "mlflow run . -e pretrain -P models=small-vit"
    assert str(tmp_path) not in text


def test_the_seed_decides_the_weights_and_the_callers_generator_is_left_alone(small, tmp_path, cache):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    make("small-vit", tmp_path / "a", cache)
    assert torch.equal(torch.rand(1), expected)
    make("small-vit", tmp_path / "b", cache)
    make("small-vit", tmp_path / "c", cache, seed=1)
    a, b, c = (load_file(tmp_path / x / "small-vit" / "model.safetensors") for x in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a) and not all(torch.equal(a[key], c[key]) for key in a)


def test_a_failed_training_leaves_the_old_checkpoint_and_nothing_else(small, tmp_path, cache, monkeypatch):
    make("small-vit", tmp_path, cache)
    before = (tmp_path / "small-vit" / "report.json").read_text()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", fail)
    with pytest.raises(WorkError, match="cannot write the checkpoint .*No space left"):
        make("small-vit", tmp_path, cache)
    assert [path.name for path in tmp_path.iterdir()] == ["small-vit"]
    assert (tmp_path / "small-vit" / "report.json").read_text() == before


def test_a_loss_that_is_no_number_ends_the_training(data):
    from benchmark.pretraining.optimise import optimise

    model = torch.nn.Linear(1, 1)
    with pytest.raises(WorkError, match="x: the loss became nan at step 0"):
        optimise(
            model,
            lambda rows: model(torch.full((1, 1), float("nan"))).sum(),
            8,
            epochs=1,
            batch=4,
            learning_rate=1e-3,
            title="x",
            progress=False,
        )


def test_the_learning_rate_warms_up_and_falls_to_zero():
    from benchmark.pretraining.optimise import rate

    rates = [rate(step, 100) for step in range(101)]
    assert rates[:10] == sorted(rates[:10]) and max(rates) == 1.0 and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[0] == 0.1 and rates[100] == 0


def test_unknown_names_and_impossible_epochs_are_refused(tmp_path, cache):
    with pytest.raises(InputError, match="did you mean small-clip"):
        make("smal-clip", tmp_path, cache)
    with pytest.raises(InputError, match="epochs must be 1 or more, not 0"):
        make("small-vit", tmp_path, cache, epochs=0)
    with pytest.raises(InputError, match="no readable report.json"):
        read_report(tmp_path)


def test_reports_hold_no_path_of_this_machine(small, tmp_path, cache):
    make("small-bert", tmp_path, cache)
    written = "".join(path.read_text() for path in (tmp_path / "small-bert").glob("*.json"))
    assert str(tmp_path) not in written
    assert "folder" not in json.loads((tmp_path / "small-bert" / "report.json").read_text())
