"""A dry run tells what a comparison takes, touches nothing, and its numbers are those of the real run."""

from pathlib import Path

import mlflow
import pandas as pd
import pytest

import registry
from benchmark.catalog import DatasetCard, EncoderCard, SuiteCard, find_card
from benchmark.errors import InputError
from benchmark.jobs.configs import CompareConfig
from benchmark.jobs.dry_run import dry_run
from benchmark.jobs.estimate import estimate_comparison, estimate_encoder
from benchmark.jobs.outline import encoder_outline, expected_samples, parse_shape
from benchmark.jobs.plan import make_plan


def card(**fields):
    wanted = {"name": "x", "library": "timm", "source": "org/x", "modality": "image", "kind": "vision", "token": "cls"}
    return EncoderCard(**{**wanted, **fields})


def test_nothing_is_written_and_the_store_is_not_opened(command, tmp_path, monkeypatch, here):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    code, out, _ = command("compare", "--dry-run", "--encoders", here / "cards.yaml", "--max-samples", "600")
    assert code == 0 and not list(tmp_path.iterdir())
    assert all(f"\n{name} " in out for name in ("tiny-image", "tiny-text", "tiny-vit", "tiny-bert"))
    assert "8 train runs and 1 compare run: 28 pairs" in out


def test_the_paper_suite_is_planned_offline(command):
    code, out, _ = command("compare", "--suite", "paper", "--dry_run", "true")
    assert code == 0
    for name in find_card(SuiteCard, "paper").encoders:
        assert f"\n{name} " in out
    assert "118,287 samples" in out and "42 train runs" in out and "CAUTION: not in" not in out


def test_disk_is_what_a_real_run_writes(tiny, here):
    plan = make_plan(CompareConfig(encoders=("cards.yaml",), max_samples=600, epochs=1, k=4, layers="all", seeds=(7,)))
    code, *_ = tiny("--layers", "all", "--seeds", "7")
    assert code == 0
    for item in plan.encoders:
        found = estimate_encoder(plan, item, 600, 300)
        run = registry.verified(registry.runs(kind="train", encoder=item.name, seed="7").run_id.iloc[0])
        saes = pd.read_parquet(run / "saes.parquet")
        assert list(saes.d) == list(found.widths)
        models = sum(
            path.stat().st_size
            for uri in saes.model_uri
            for path in Path(mlflow.artifacts.download_artifacts(uri)).rglob("model.safetensors")
        )
        assert found.models < models < 1.15 * found.models + 2000 * len(saes)
        features = sum(path.stat().st_size for path in (run / "features").iterdir())
        assert found.features < features < 1.05 * found.features + 2000 * len(saes)
        folders = [path for path in Path(".cache/activations").glob(f"{item.name}-*") if path.is_dir()]
        written = max(sum(file.stat().st_size for file in path.glob("*.npy")) for path in folders)
        assert found.activations < written < found.activations + 1000 * len(saes)
        assert found.download == 0 and found.encode > 0 and found.train > 0


def test_the_comparison_is_counted_over_pairs_of_layers_and_seeds(here):
    plan = make_plan(CompareConfig(encoders=("cards.yaml",), seeds=(0, 1), permutations=3, folds=2, k=2))
    found = estimate_comparison(plan, [(8, 8, 8), (16,)], 300)
    # Sides 3, 3, 1, 1 layers: 3x3 + 3x1 four times + 1x1.
    assert (found.pairs, found.layer_pairs, found.evaluations) == (6, 9 + 4 * 3 + 1, 6)


def test_an_encoder_that_nothing_is_known_of_is_named_and_left_out_of_the_sums(here, tmp_path, capsys):
    path = tmp_path / "far.yaml"
    path.write_text("far:\n  library: timm\n  source: org/far\n  modality: image\n  kind: vision\n  token: cls\n")
    dry_run(make_plan(CompareConfig(encoders=(str(path),), max_samples=600)))
    out = capsys.readouterr().out
    assert "CAUTION: not in the sums" in out and "far" in out


def test_an_encoder_without_a_stated_cost_is_named(here, tmp_path, capsys):
    path = tmp_path / "far.yaml"
    path.write_text(
        "far:\n  library: timm\n  source: org/far\n  modality: image\n  kind: vision\n  token: cls\n  shape: 2x16\n"
    )
    dry_run(make_plan(CompareConfig(encoders=(str(path),), max_samples=600)))
    assert "CAUTION: not in the time of encoding, as their cards state no `gflop`: far." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "widths"), [("12x768", (768,) * 12), ("128,256, 512", (128, 256, 512)), ("64", (64,))]
)
def test_shapes(text, widths):
    assert parse_shape(card(shape=text)) == widths


@pytest.mark.parametrize("text", ["12x", "x", "a,b", "12x768x3", "-3x4"])
def test_a_malformed_shape(text):
    with pytest.raises(InputError, match="shape must look like 12x768"):
        parse_shape(card(shape=text))


def test_a_local_checkpoint_is_measured(here):
    found = encoder_outline(find_card(EncoderCard, "one.yaml"))
    # 3 blocks of width 16 over 17 tokens: 12 d^2 multiply-adds a token and block, 2 T d for attention, and the patches.
    assert found.widths == (16, 16, 16)
    least = 3 * 17 * (12 * 16**2 + 2 * 17 * 16)
    assert least < found.gflop * 1e9 < 1.5 * least


def test_samples_that_cannot_be_told(here):
    assert expected_samples(DatasetCard(name="x", kind="hub", source="org/x", size=50, max_samples=20)) == 20
    assert expected_samples(DatasetCard(name="x", kind="hub", source="org/x", max_samples=20)) == 20
    assert expected_samples(DatasetCard(name="x", kind="hub", source="org/x")) == 0
