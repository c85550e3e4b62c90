"""The pretrain job leaves checkpoints, their cards and a run with all figures."""

import registry
from benchmark.catalog import EncoderCard, read_cards
from benchmark.encoders import load_encoder


def test_a_trained_checkpoint_comes_with_its_card_and_figures(command, here, tmp_path):
    output = tmp_path / "new" / "checkpoints"
    code, out, _ = command(
        "pretrain", "--models", "small-bert", "--samples", "300", "--epochs", "1", "--output", output
    )
    assert code == 0 and "probes/scenes/colour" in out
    cards = read_cards(EncoderCard, tmp_path / "new" / "encoders" / "small.yaml")
    assert list(cards) == ["small-bert"] and cards["small-bert"].training["samples"] == 300
    assert load_encoder(cards["small-bert"]).layers == [0, 1, 2, 3]
    run = registry.runs(kind="pretrain").iloc[0]
    assert run.status == "FINISHED" and 0 < run.metrics["small-bert/probes/scenes/colour"] <= 1
    import mlflow

    logged = mlflow.artifacts.list_artifacts(run_id=run.run_id, artifact_path="checkpoints/small-bert")
    assert {"checkpoints/small-bert/model.safetensors", "checkpoints/small-bert/report.json"} <= {
        f.path for f in logged
    }
