"""A train run keeps samples, captions and thumbnails once each, within bounds, and the registry reads them."""

import io

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from shades import CAPTIONS, Shades, dataset

import registry
from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.jobs import feature_samples, thumbnails
from benchmark.jobs.feature_samples import log_feature_samples
from registry.queries import feature_path


def write(folder, data, layers):
    for layer, dense in layers.items():
        dense.save(folder / feature_path(layer))
    log_feature_samples(folder, layers, data)


def features(data, seed=0, m=6, density=0.2):
    rng = np.random.default_rng(seed)
    dense = rng.random((len(data), m)) * (rng.random((len(data), m)) < density)
    return SparseFeatures.from_dense(dense, data.fingerprint, data.groups).rounded()


@pytest.fixture
def run(here, tmp_path):
    """A run with the samples of two layers, one of them without TopK."""
    data = dataset()
    layers = {3: features(data), 11: DenseFeatures(features(data, 1).to_dense(), data.fingerprint, data.groups)}
    write(tmp_path, data, layers)
    with mlflow.start_run() as started:
        mlflow.log_artifacts(str(tmp_path))
    return started.info.run_id, data, layers


def test_the_registry_reads_samples_with_captions_and_thumbnails(run):
    run_id, data, layers = run
    for layer, recorded in layers.items():
        table = registry.feature_samples(run_id, layer)
        assert set(table.feature) == set(range(6)) and list(table.columns) == [
            "feature", "level", "rank", "row", "value", "id", "group", "caption", "image"
        ]  # fmt: skip
        np.testing.assert_array_equal(table.value, recorded.to_dense()[table.row, table.feature])
        assert table.id.tolist() == [data.ids[row] for row in table.row]
        np.testing.assert_array_equal(table.group, data.groups[table.row])
        assert not table.duplicated(["feature", "group"]).any()
        pd.testing.assert_frame_equal(
            registry.feature_samples(run_id, layer, [4, 2]),
            table[table.feature.isin([2, 4])].reset_index(drop=True),
        )
        summary = registry.feature_summary(run_id, layer)
        np.testing.assert_allclose(summary.S, recorded.weights)
        small = registry.thumbnails(run_id, table.image)
        for row, number in zip(table.row, table.image, strict=True):
            with Image.open(io.BytesIO(small[number])) as image:
                assert image.size == (96, 64)
                shown = 0 if row // CAPTIONS == 1 else row // CAPTIONS  # copies of one picture share a thumbnail
                assert abs(image.getpixel((5, 5))[0] - shown * 2) <= 3
    assert set(registry.thumbnails(run_id, [0, -1, 999])) == {0}


def test_long_captions_are_cut_and_others_are_whole(run):
    run_id, data, _ = run
    samples = registry.table(run_id, "samples.parquet")
    assert samples.row.is_unique and samples.caption.str.len().max() <= 200
    whole = samples[samples.row != 7]
    assert whole.caption.tolist() == [data.captions()[row] for row in whole.row]
    assert feature_samples.cut("a" * 200) == "a" * 200 and feature_samples.cut("a" * 201) == "a" * 199 + "…"


def test_an_image_is_decoded_once_for_all_layers_and_seeds(tmp_path):
    images = Shades()
    data = dataset(images=images)
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        write(tmp_path / str(seed), data, {0: features(data, seed), 1: features(data, seed + 7)})
    assert len(images.decoded) == len(set(images.decoded)) <= 39  # of 40 pictures two are the same


def test_there_are_no_more_thumbnails_than_allowed_and_top_samples_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_samples, "IMAGES", 6)
    data = dataset()
    write(tmp_path, data, {0: features(data, density=1.0)})
    samples = pd.read_parquet(tmp_path / "samples.parquet").set_index("row")
    table = pd.read_parquet(tmp_path / "feature_samples" / "L00.parquet")
    kept = pd.read_parquet(tmp_path / "thumbnails.parquet")
    assert len(kept) == 6 and set(samples.image) - {-1} == set(kept.image) and kept.image.is_monotonic_increasing
    strongest = table[(table.level == "top") & (table["rank"] == 0)].row
    assert (samples.image[strongest] >= 0).all() and (samples.image == -1).any()


def test_captions_alone_have_no_thumbnails_and_images_alone_no_captions(tmp_path):
    for name, options in (("text", {"has_images": False}), ("image", {"has_captions": False})):
        data = dataset(**options)
        (tmp_path / name).mkdir()
        write(tmp_path / name, data, {0: features(data)})
        samples = pd.read_parquet(tmp_path / name / "samples.parquet")
        assert (samples.image == -1).all() == (name == "text")
        assert (samples.caption == "").all() == (name == "image")
        assert (tmp_path / name / "thumbnails.parquet").exists() == (name == "image")


def test_small_images_keep_their_size():
    with Image.open(io.BytesIO(thumbnails.encoded(Image.new("RGB", (48, 20))))) as image:
        assert image.size == (48, 20) and image.format == "JPEG"
