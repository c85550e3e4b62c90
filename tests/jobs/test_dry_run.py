"""A dry run tells what a comparison takes, stores nothing, and names what it cannot tell."""

import re
import shutil

import numpy as np
import pytest

from benchmark.catalog import SuiteCard, find_card
from benchmark.errors import InputError
from benchmark.jobs import dry_run as module
from benchmark.jobs.configs import CompareConfig
from benchmark.jobs.dry_run import dry_run
from benchmark.jobs.plan import make_plan

FAR = "far:\n  library: timm\n  source: hf-hub:org/far\n  modality: image\n  kind: vision\n  token: cls\n"


@pytest.fixture
def printed(here, tmp_path, capsys):
    """Dry-run the quickstart suite with encoders written as YAML; returns what it prints."""

    def run(yaml, *others, **options):
        path = tmp_path / "encoders.yaml"
        path.write_text(yaml)
        dry_run(make_plan(CompareConfig(encoders=(str(path), *others), **{"max_samples": 600, "k": 4} | options)))
        return capsys.readouterr().out

    return run


def row(out, name):
    """Cells of an encoder's row of the table: {heading: cell}."""
    lines = out.splitlines()
    (header,) = (line for line in lines if line.startswith("encoder "))
    (line,) = (line for line in lines if line.startswith(f"{name} "))
    starts = [found.start() for found in re.finditer(r"(?<!\S)\S+( x width)?", header)] + [len(header) + 99]
    return {header[a:b].strip(): line[a:b].strip() for a, b in zip(starts, starts[1:], strict=False)}


def test_nothing_is_stored_and_the_store_is_not_opened(command, tmp_path, monkeypatch, here):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    code, out, _ = command("compare", "--dry-run", "--encoders", here / "cards.yaml", "--max-samples", "600")
    assert code == 0 and not list(tmp_path.iterdir())
    assert all(f"\n{name} " in out for name in ("tiny-image", "tiny-text", "tiny-vit", "tiny-bert"))
    assert "8 train runs, one for each encoder and seed, and 1 compare run" in out and "28 pairs of them" in out
    assert "nothing is downloaded, trained or stored" in out


def test_the_paper_suite_is_planned_offline(command):
    code, out, _ = command("compare", "--suite", "paper", "--dry_run", "true")
    assert code == 0
    for name in find_card(SuiteCard, "paper").encoders:
        assert row(out, name)["download"].endswith(("MB", "GB", "here"))
    assert "118,287 samples" in out and "42 train runs" in out and "CAUTION: not in" not in out and "?" not in out


def test_one_is_not_a_plural(printed):
    out = printed(FAR + "  shape: 1x8\n  gflop: 1.0\n  download_mb: 1\n", seeds=(0, 1))
    assert "1 encoder x 2 seeds" in out and "1 pair of them: 1 pair of layers" in out


def test_the_network_is_not_asked_even_to_load_what_lies_in_the_cache(here, printed, tmp_path, monkeypatch):
    from huggingface_hub import HfApi, constants

    from benchmark import offline

    store = tmp_path / "hub" / "models--org--far"
    shutil.copytree(here / "vit", store / "snapshots" / ("0" * 40))
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text("0" * 40)
    asked = []
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(offline, "_probe", lambda *_: asked.append("probe"))
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: asked.append("model"))
    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, **__: asked.append("dataset"))
    assert row(printed(FAR, dataset="coco"), "far")["layers x width"] == "1 x 16"
    assert not asked and constants.HF_HUB_OFFLINE is False


def test_an_encoder_of_unknown_layers_is_named_and_left_out_of_the_sums(printed):
    out = printed(FAR + "  download_mb: 12\n", "one.yaml")
    assert "CAUTION: not in the sums: far: its layers can be known only when its weights are here" in out
    assert row(out, "far")["layers x width"] == "?" and row(out, "far")["download"] == "12 MB"
    assert row(out, "tiny-vit")["download"] == "here"


def test_an_encoder_that_cannot_be_planned_does_not_stop_the_others(printed):
    bad = FAR + "  shape: 12y8\n" + FAR.replace("far:", "gone:").replace("hf-hub:org/far", "./gone") + "  shape: 2x8\n"
    out = printed(bad, "one.yaml")
    assert (
        "CAUTION: not in the sums: far: encoder 'far': shape must look like 12x768 or 128,256,512, got '12y8'." in out
    )
    assert "CAUTION: not in the sums: gone: encoder 'gone': there is no folder" in out
    assert "not in the download" not in out  # nothing is fetched for them
    assert row(out, "gone")["train"] == "?" and row(out, "tiny-vit")["train"].endswith(" s")


def test_a_request_that_is_wrong_for_every_encoder_is_refused(printed):
    with pytest.raises(InputError, match="has no layer 44"):
        printed(FAR + "  shape: 2x8\n", layers="44")


def test_an_encoder_without_a_stated_cost_is_named(printed):
    out = printed(FAR + "  shape: 2x16\n  download_mb: 9\n")
    assert "CAUTION: not in the time of encoding, as their cards state no `gflop`: far." in out
    assert row(out, "far")["encode"] == "?"


def test_a_download_of_no_stated_size_is_unknown_rather_than_here(printed):
    out = printed(FAR + "  shape: 2x16\n", "one.yaml")
    assert row(out, "far")["download"] == "?"
    assert "CAUTION: not in the download, as their cards state no `download_mb`: far." in out
    assert "Download  ?: encoders ? " in out and "Disk      at least" in out


def test_features_without_topk_are_told_to_be_large(printed):
    stated = FAR + "  shape: 2x16\n  download_mb: 9\n  gflop: 1.0\n"
    topk, relu = (printed(stated, codes=codes) for codes in ("topk", "relu"))
    assert "without TopK (codes: relu)" in relu and "without TopK" not in topk
    # 2 seeds, trained and not, 600 samples of 128 float16 (or 4 slots) and a group.
    assert row(relu, "far")["features"] == "634 kB" and row(topk, "far")["features"] == "58 kB"


def test_vectors_made_elsewhere_take_no_activations_and_no_time_to_encode(printed, tmp_path):
    (tmp_path / "ids.txt").write_text("a\nb\n")
    np.save(tmp_path / "L00.npy", np.zeros((2, 8), np.float32))
    out = printed(FAR.replace("timm", "activations").replace("hf-hub:org/far", "."))
    assert (row(out, "far")["activations"], row(out, "far")["encode"], row(out, "far")["download"]) == (
        "none", "0 s", "here",
    )  # fmt: skip
    assert "CAUTION: not" not in out


def test_a_memory_that_holds_only_some_of_an_encoders_saes_is_told(printed, monkeypatch):
    monkeypatch.setattr(module, "memory_budget", lambda device: 1 << 12)
    out = printed(FAR + "  shape: 3x8\n", seeds=(0, 1), layers="all")
    # 16 bytes of encoder, decoder and b_dec of one SAE: 16 x (2 x 64 x 8 + 8)
    assert row(out, "far")["memory"] == "17 kB" and "in up to 6 parts" in out
    assert "of memory are free here" in out


def test_a_dataset_that_cannot_be_counted_is_asked_for_its_size(printed, tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("far-data:\n  kind: hub\n  source: org/data\n")
    with pytest.raises(InputError, match="give the number in its card"):
        printed(FAR + "  shape: 2x8\n", dataset=str(path), max_samples=None)
    out = printed(FAR + "  shape: 2x8\n", dataset=str(path), max_samples=50)
    assert "not in the download, as its card states no `download_mb`: '" in out


def test_a_dataset_that_is_not_there_yet_is_planned_from_its_card(printed, tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("mine:\n  kind: coco\n  source: ./gone\n  size: 1234\n")
    out = printed(FAR + "  shape: 2x8\n", dataset=str(path), max_samples=None)
    assert "about 1,234 samples" in out and "CAUTION: the number of samples is what the dataset's card expects" in out
