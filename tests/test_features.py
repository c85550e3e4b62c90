"""Recorded features keep what they are given, refuse what makes no sense, and survive the disk unchanged."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save_file

from benchmark.features import DenseFeatures, SparseFeatures, load_features

some = settings(max_examples=60, deadline=None, derandomize=True)
activations = arrays.arrays(
    np.float32,
    st.tuples(st.integers(0, 12), st.integers(1, 9)),
    elements=st.one_of(st.just(0.0), st.floats(0, width=32, allow_nan=False, allow_infinity=False)),
)


def tiny(values=((1.0, 0.5), (0.0, 2.0)), n_latents=9, **more):
    return SparseFeatures([[3, 1], [7, 0]], values, n_latents, **more)


def same(a, b):
    names = ("array",) if isinstance(a, DenseFeatures) else ("indices", "values")
    assert type(a) is type(b) and a.n_latents == b.n_latents and a.samples == b.samples
    for name in (*names, "groups"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None)
        if x is not None:
            assert x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


@some
@given(activations)
def test_dense_and_sparse_forms_hold_the_same_numbers(array):
    sparse, dense = SparseFeatures.from_dense(array), DenseFeatures.from_dense(array)
    np.testing.assert_array_equal(sparse.to_dense(), array)
    np.testing.assert_array_equal(dense.to_dense(), array)
    assert sparse.k == np.count_nonzero(array, axis=1).max(initial=0)
    assert len(sparse) == sparse.n_samples == dense.n_samples == len(array)
    assert sparse.n_latents == dense.n_latents == array.shape[1]
    truth = array.astype(np.float64).sum(0)
    for features in (sparse, dense):
        assert features.weights.dtype == np.float64
        np.testing.assert_allclose(features.weights, truth, rtol=1e-12)


def test_values_and_unsorted_indices_are_kept_as_given():
    features = tiny()
    np.testing.assert_array_equal(features.indices, [[3, 1], [7, 0]])
    np.testing.assert_array_equal(features.values, [[1, 0.5], [0, 2]])
    assert features.values.dtype == np.float32 and features.weights.tolist() == [2, 0.5, 0, 1, 0, 0, 0, 0, 0]


def test_empty_slots_may_hold_any_index_and_repeat_one():
    features = SparseFeatures([[4, 4, 4], [-7, 10**9, 2]], [[0, 1, 0], [0, 0, 3]], 5)
    assert features.weights.tolist() == [0, 0, 3, 0, 1]
    assert features.to_dense().sum() == 4


@pytest.mark.parametrize(("n_latents", "kind"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_indices_take_two_bytes_up_to_65536_latents(n_latents, kind):
    features = SparseFeatures([[n_latents - 1, 0]], [[1, 2]], n_latents)
    assert features.indices.dtype == kind
    assert features.to_dense()[0, -1] == 1 and features.weights[-1] == 1


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_no_samples_or_no_slots_are_features_too(shape):
    features = SparseFeatures(np.zeros(shape, int), np.zeros(shape), 5)
    assert features.weights.tolist() == [0] * 5 and features.weights.dtype == np.float64
    assert features.to_dense().shape == (shape[0], 5)
    assert features.rounded() is features or features.rounded().n_samples == shape[0]
    assert features.take(np.arange(shape[0])).n_samples == shape[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 1]], [[1.0]], 5), r"\(1, 2\).*\(1, 1\)"),
        (([0, 1], [1.0, 1.0], 5), r"shape \(N, k\)"),
        (([[0.0, 1.0]], [[1.0, 1.0]], 5), "must be integers"),
        (([[0, 1]], [[1.0, 1.0]], 0), "at least 1"),
        (([[0, 5]], [[1.0, 1.0]], 5), "sample 0 has a live index outside 0..4"),
        (([[0, 1], [0, -1]], [[1.0, 1.0]] * 2, 5), "sample 1 has a live index outside"),
        (([[0, 1], [2, 2]], [[1.0, 1.0]] * 2, 5), "sample 1 has a repeated live index"),
        (([[0, 1]], [[1.0, np.nan]], 5), "sample 0 has an activation that is not finite"),
        (([[0, 1]], [[1.0, np.inf]], 5), "not finite"),
        (([[0, 1]], [[1.0, 1e39]], 5), "not finite in float32"),
        (([[0, 1], [0, 1]], [[1.0, 1.0], [1.0, -0.1]], 5), "sample 1 has an activation that is negative"),
        (([[0, 1]], [[1.0, -1e-60]], 5), "negative"),
        (([[0, 1]], [[1.0, 1.0]], 5, "", [0, 1]), r"groups must be \(1,\) integers"),
        (([[0, 1]], [[1.0, 1.0]], 5, "", [0.5]), "groups must be"),
    ],
)
def test_senseless_codes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SparseFeatures(*arguments)


def test_a_repeat_far_down_a_long_file_is_found():
    indices = np.tile(np.arange(3), (70_000, 1))
    indices[69_999, 2] = 0
    with pytest.raises(ValueError, match="sample 69999 has a repeated live index"):
        SparseFeatures(indices, np.ones((70_000, 3)), 5)


@pytest.mark.parametrize("array", [np.ones(3), np.ones((2, 2, 2)), [[-1.0]], [[np.nan]], [[np.inf]], np.ones((2, 0))])
@pytest.mark.parametrize("kind", [SparseFeatures, DenseFeatures])
def test_senseless_dense_arrays_are_refused(kind, array):
    with pytest.raises(ValueError):
        kind.from_dense(array)


@pytest.mark.parametrize("features", [tiny(groups=[1, 1]), DenseFeatures(np.ones((2, 3)), groups=[1, 1])])
def test_features_cannot_be_written_to(features):
    for name in ("indices", "values", "array", "groups"):
        if hasattr(features, name):
            with pytest.raises(ValueError, match="read-only"):
                getattr(features, name)[...] = 0
            with pytest.raises(ValueError, match="read-only"):
                getattr(features.take([1]), name)[...] = 0


def test_writing_to_what_features_were_made_from_does_not_change_them():
    indices, values, dense = np.array([[0, 1]], np.uint16), np.ones((1, 2), np.float32), np.ones((1, 2), np.float32)
    groups = np.zeros(1, np.int64)
    sparse, full = SparseFeatures(indices, values, 2, groups=groups), DenseFeatures(dense)
    indices[:], values[:], dense[:], groups[:] = 1, 7, 7, 7
    assert sparse.weights.tolist() == full.weights.tolist() == [1, 1] and sparse.groups.tolist() == [0]


@pytest.mark.parametrize("kind", [SparseFeatures, DenseFeatures])
def test_take_follows_positions_masks_and_negative_positions(kind):
    array = np.arange(20, dtype=np.float32).reshape(5, 4)
    features = kind.from_dense(array, "abc", groups=[9, 9, 8, 7, 7])
    mask = np.array([True, False, False, True, True])
    for rows in ([3, 0, 0], [-1, 2], mask, np.array([4], np.uint8), [], range(5)):
        taken, index = features.take(rows), np.arange(5)[np.asarray(rows, bool if rows is mask else int)]
        np.testing.assert_array_equal(taken.to_dense(), array[index])
        np.testing.assert_array_equal(taken.groups, np.array([9, 9, 8, 7, 7])[index])
    assert kind.from_dense(array).take([0]).groups is None


def test_taken_rows_fit_exactly_those_taken_alike_from_the_same_samples():
    one = SparseFeatures.from_dense(np.ones((4, 2)), "abc")
    two = DenseFeatures(np.ones((4, 3)), "abc")
    mask = np.array([True, False, True, False])
    assert one.take([0, 2]).samples == two.take(mask).samples == one.take([-4, -2]).samples
    fingerprints = {one.take(rows).samples for rows in ([0, 2], [2, 0], [0], [0, 1, 2, 3])} | {"abc", ""}
    assert len(fingerprints) == 6
    assert SparseFeatures.from_dense(np.ones((4, 2)), "abd").take([0, 2]).samples not in fingerprints
    assert SparseFeatures.from_dense(np.ones((4, 2))).take([0]).samples == ""


def test_rows_that_do_not_exist_are_refused():
    features = tiny()
    for rows in ([True], [True] * 3):
        with pytest.raises(ValueError, match=r"mask must have shape \(2,\)"):
            features.take(np.array(rows))
    for rows in (1, [[0]], [0.5], ["a"]):
        with pytest.raises(ValueError, match="rows must be"):
            features.take(rows)
    for rows in ([2], [-3]):
        with pytest.raises(IndexError):
            features.take(rows)


def test_rounding_is_to_float16_unless_a_value_would_overflow_or_vanish():
    rounded = tiny([[1.0001, 0.1], [0, 2.0]]).rounded()
    np.testing.assert_array_equal(rounded.values, np.float16([[1.0001, 0.1], [0, 2.0]]).astype(np.float32))
    again = rounded.rounded()
    same(again, rounded)
    for value in (7e4, 1e30, 1e-9, 1e-41):
        features = tiny([[1.0001, value], [0, 2]], samples="x", groups=[1, 2])
        same(features.rounded(), features)
    kept = tiny([[1.0001, 0.1], [0, 2.0]], samples="x", groups=[1, 2]).rounded()
    assert kept.samples == "x" and kept.groups.tolist() == [1, 2]


@some
@given(activations, st.sampled_from([1, 2.0**-8]), st.booleans(), st.booleans())
def test_the_disk_changes_no_bit(tmp_path_factory, array, unit, half, grouped):
    array = np.minimum(array, 60_000).astype(np.float16).astype(np.float32) if half else array
    path = tmp_path_factory.mktemp("features") / "a.safetensors"
    groups = np.arange(len(array)) * -3 if grouped else None
    for kind in (SparseFeatures, DenseFeatures):
        features = kind.from_dense(array, "Fingerprint é", groups)
        features.save(path)
        same(kind.load(path), features)


def test_wide_dictionaries_and_scrambled_slots_survive_the_disk(tmp_path):
    features = SparseFeatures([[70_000, 2, 99_999_999], [5, 3, 70_000]], [[0.1, 1e-41, 0], [1e30, 0, 3]], 70_001, "s")
    features.save(tmp_path / "deep" / "down" / "f.safetensors")
    same(SparseFeatures.load(tmp_path / "deep" / "down" / "f.safetensors"), features)
    assert [p.name for p in (tmp_path / "deep" / "down").iterdir()] == ["f.safetensors"]


def test_rounded_features_take_half_the_space(tmp_path):
    values = np.random.default_rng(0).exponential(1, (1000, 8))
    features = SparseFeatures(np.tile(np.arange(8), (1000, 1)), values, 8)
    features.save(tmp_path / "full")
    features.rounded().save(tmp_path / "half")
    sizes = [(tmp_path / name).stat().st_size for name in ("full", "half")]
    assert sizes[0] - sizes[1] == pytest.approx(16_000, abs=100)


@pytest.mark.parametrize("kind", [SparseFeatures, DenseFeatures])
def test_a_file_cut_short_or_with_one_wrong_byte_is_refused(tmp_path, kind):
    features = kind.from_dense(np.eye(3, 5) + 0.1, "abc", groups=[1, 1, 2])
    path = tmp_path / "f.safetensors"
    features.save(path)
    whole = path.read_bytes()
    for length in (0, 4, 8, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="f.safetensors"):
            kind.load(path)
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            loaded = kind.load(path)
        except ValueError:
            continue
        same(loaded, features)  # a byte without meaning, such as padding


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "f.safetensors"
    DenseFeatures(np.ones((2, 3))).save(path)
    with pytest.raises(ValueError, match="holds no sparse features"):
        SparseFeatures.load(path)
    for content in ({"kind": "sparse", "format": "1"}, {"kind": "sparse", "format": "1", "n_latents": "x"}, {}):
        save_file({"w": np.ones(3, np.float32)}, path, content)
        with pytest.raises(ValueError, match="f.safetensors"):
            SparseFeatures.load(path)
    path.write_text(json.dumps({"kind": "sparse"}))
    with pytest.raises(ValueError, match="damaged or no safetensors"):
        SparseFeatures.load(path)


def test_a_failed_save_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    import safetensors.numpy

    path = tmp_path / "f.safetensors"
    old = tiny()
    old.save(path)

    def full_disk(tensors, name, meta):
        name.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.numpy, "save_file", full_disk)
    with pytest.raises(OSError, match="disk full"):
        tiny([[9, 9], [9, 9]]).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["f.safetensors"]
    same(SparseFeatures.load(path), old)


def test_dense_values_are_rounded_unless_one_would_overflow_or_a_latent_vanish():
    for values in ([[1.0009], [0.5]], [[1.0], [1e-9]]):  # a small value beside a large one may become 0
        rounded = DenseFeatures(values).rounded()
        np.testing.assert_array_equal(rounded.array, np.array(values, np.float32).astype(np.float16))
    for values in ([[70_000.0], [1.0]], [[1e-9], [0.0]]):
        features = DenseFeatures(values)
        assert features.rounded() is features


@pytest.mark.parametrize("kind", [SparseFeatures, DenseFeatures])
def test_a_file_is_read_as_what_it_holds(tmp_path, kind):
    features = kind.from_dense(np.random.default_rng(0).random((5, 4)), "s", np.arange(5)).rounded()
    features.save(tmp_path / "f")
    same(load_features(tmp_path / "f"), features)
    if kind is DenseFeatures:
        assert (tmp_path / "f").stat().st_size < 5 * 4 * 2 + 5 * 8 + 500
    (tmp_path / "f").write_bytes(b"not a safetensors file")
    with pytest.raises(ValueError, match="no safetensors file"):
        load_features(tmp_path / "f")


@pytest.mark.parametrize("kind", [SparseFeatures, DenseFeatures])
def test_latents_are_scaled_one_by_one(kind):
    array = np.array([[1, 0, 2], [3, 4, 0]], np.float32)
    scaled = kind.from_dense(array, "s", [0, 1]).scaled([2, 1, 0.5])
    np.testing.assert_array_equal(scaled.to_dense(), array * [2, 1, 0.5])
    assert scaled.samples == "s" and scaled.groups.tolist() == [0, 1]
    for wrong in ([1, 2], [1, 1, 0], [1, 1, np.nan]):
        with pytest.raises(ValueError, match="factors must be"):
            scaled.scaled(wrong)


@pytest.mark.parametrize("kind", [SparseFeatures, DenseFeatures])
def test_latents_that_fire_too_seldom_are_emptied(kind):
    array = np.array([[1, 0, 2, 0], [3, 4, 0, 0], [1, 5, 0, 0]], np.float32)
    features = kind.from_dense(array, "s", [0, 1, 2])
    assert features.without_rare(0) is features and features.without_rare(1) is features
    few = features.without_rare(2)
    np.testing.assert_array_equal(few.to_dense(), array * [1, 1, 0, 0])
    np.testing.assert_array_equal(features.without_rare(3).to_dense(), array * [1, 0, 0, 0])
    assert few.weights.tolist() == [5, 9, 0, 0] and few.samples == "s" and few.groups.tolist() == [0, 1, 2]
    assert not features.without_rare(4).weights.any()


def test_an_array_that_nobody_can_write_to_is_taken_over():
    array = np.ones((3, 2), np.float32)
    assert DenseFeatures(array).array is not array
    array.flags.writeable = False
    assert DenseFeatures(array).array is array
    view = np.ones((3, 2), np.float32)[:]
    view.flags.writeable = False  # its owner can still be written to
    assert DenseFeatures(view).array is not view
