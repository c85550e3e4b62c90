import io
import json
import math
import pickle
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmark.catalog import EncoderCard
from benchmark.encoders import load_encoder
from benchmark.encoders.recorded import load_recorded
from benchmark.errors import InputError, WorkError
from benchmark.jobs.keys import encoder_identity

IDS = ["b", "ü 1", "a", "c"]
ARRAYS = {
    "L00": np.arange(12, dtype=np.float32).reshape(4, 3),
    "L05": np.arange(8, dtype=np.float64).reshape(4, 2) / 3,
    "L12": np.arange(4, dtype=np.float16).reshape(4, 1),
}
FORMS = ["folder", "vectors.npz", "vectors.safetensors"]


def write(root, form, ids=IDS, arrays=ARRAYS):
    """Write vectors in one of the three forms and return their card."""
    path = root / form
    if form == "folder":
        path.mkdir(exist_ok=True)
        (path / "ids.txt").write_text("".join(f"{name}\n" for name in ids), encoding="utf-8")
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    elif form.endswith("npz"):
        np.savez(path, ids=np.array(ids), **arrays)
    else:
        save_file(arrays, path, {"ids": json.dumps(ids)})
    return EncoderCard(
        name="brought", library="activations", source=form, modality="text", kind="text", token="cls", base=str(root)
    )


@pytest.mark.parametrize("form", FORMS)
def test_vectors_come_in_the_order_asked_for_as_float32(tmp_path, form):
    recorded = load_recorded(write(tmp_path, form))
    assert recorded.layers == [0, 5, 12] and recorded.widths == {0: 3, 5: 2, 12: 1}
    vectors = recorded.vectors(["a", "b", "ü 1"], [5, 0])
    assert list(vectors) == [5, 0]
    for layer, name in ((5, "L05"), (0, "L00")):
        assert vectors[layer].dtype == np.float32
        np.testing.assert_array_equal(vectors[layer], ARRAYS[name][[2, 0, 1]].astype(np.float32))
    assert list(recorded.vectors(["a"])) == [0, 5, 12]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layers, offered", [("last", [12]), ("5,0", [0, 5]), ("all", [0, 5, 12])])
def test_the_card_restricts_the_layers(tmp_path, form, layers, offered):
    recorded = load_recorded(replace(write(tmp_path, form), layers=layers))
    assert recorded.layers == list(recorded.widths) == list(recorded.vectors(["a"])) == offered


@pytest.mark.parametrize("form", FORMS)
def test_ids_that_are_missing_are_counted_and_named(tmp_path, form):
    recorded = load_recorded(write(tmp_path, form))
    with pytest.raises(InputError, match=rf"{form} lacks 4 of the 5 samples .*\(p, q, r, \.\.\.\)"):
        recorded.vectors(["a", "p", "q", "r", "s"], [0])


@pytest.mark.parametrize("form", FORMS)
def test_a_layer_that_is_not_there_is_named(tmp_path, form):
    card = write(tmp_path, form)
    with pytest.raises(InputError, match="'brought' has no layer 7: its layers are 0, 5, 12"):
        load_recorded(card).vectors(["a"], [7])
    with pytest.raises(InputError, match="'brought' has no layer 7"):
        load_recorded(replace(card, layers="0,7"))
    with pytest.raises(InputError, match="has no layer 0"):
        load_recorded(replace(card, layers="last")).vectors(["a"], [0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "change, message",
    [
        ({"ids": ["a", "b", "a", "c"]}, r"ids of .* repeat a;"),
        ({"ids": ["a", "b", "c"]}, r"L00 of .* shape \(3, width\).*got float32 \(4, 3\)"),
        ({"arrays": {"L00": np.zeros(4, np.float32)}}, r"got float32 \(4,\)"),
        ({"arrays": {"L00": np.zeros((4, 0), np.float32)}}, r"got float32 \(4, 0\)"),
        ({"arrays": {"L00": np.zeros((4, 2), np.int64)}}, r"array of floats.*got"),
        ({"arrays": {"layer0": np.zeros((4, 2), np.float32)}}, r"no arrays called L00, L01, \.\.\., only layer0"),
        ({"arrays": {"L5": ARRAYS["L05"], "L05": ARRAYS["L05"]}}, r"has layer 5 twice"),
    ],
)
def test_ids_and_arrays_that_do_not_fit_are_refused(tmp_path, form, change, message):
    with pytest.raises(InputError, match=message) as failure:
        load_recorded(write(tmp_path, form, **change))
    assert "\n" not in str(failure.value) and form in str(failure.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_in_float32_are_refused_where_they_are_used(tmp_path, form, value):
    array = ARRAYS["L05"].copy()
    array[1, 1] = value
    recorded = load_recorded(write(tmp_path, form, arrays={**ARRAYS, "L05": array}))
    assert recorded.vectors(["a", "b"])[5].shape == (2, 2)  # the bad row belongs to a sample that is not used
    with pytest.raises(InputError, match=rf"layer 5 of .*{form} has NaN or infinite values for 1 samples \(ü 1\)"):
        recorded.vectors(IDS)


def test_a_folder_is_read_through_a_memory_map(tmp_path):
    assert isinstance(load_recorded(write(tmp_path, "folder"))._read(0), np.memmap)


def test_ids_with_a_byte_order_mark_are_read_without_it(tmp_path):
    card = write(tmp_path, "folder")
    path = tmp_path / "folder" / "ids.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(load_recorded(card).ids) == IDS


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("form", FORMS[:2])
def test_arrays_of_all_versions_of_the_format_are_read(tmp_path, form, version):
    card = write(tmp_path, form)
    arrays = {**ARRAYS, "ids": np.array(IDS)}
    with zipfile.ZipFile(tmp_path / "vectors.npz", "w") as archive:
        for name, array in arrays.items():
            target = tmp_path / "folder" / f"{name}.npy" if form == "folder" else None
            with target.open("wb") if target else archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, version=version)
    (tmp_path / "folder" / "ids.npy").unlink() if form == "folder" else None
    np.testing.assert_array_equal(load_recorded(card).vectors(IDS)[0], ARRAYS["L00"])


def header(shape, kind):
    """Return the bytes of an array's header."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    "member, shape, kind", [("L00", (4, 10**12), "<f4"), ("ids", (10**12,), "<U8"), ("ids", (4,), "<U99999999")]
)
@pytest.mark.parametrize("claimed", [False, True])
def test_an_archive_that_says_more_than_it_holds_is_refused_before_memory_is_taken(
    tmp_path, member, shape, kind, claimed
):
    card = write(tmp_path, "vectors.npz")
    members = {"ids": np.array(IDS), "L00": ARRAYS["L00"]}
    with zipfile.ZipFile(tmp_path / "vectors.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w") as file:
                if name == member:
                    file.write(header(shape, kind) + bytes(100))
                else:
                    np.lib.format.write_array(file, array)
        if claimed:  # the archive's own directory repeats the lie
            size = len(header(shape, kind)) + math.prod(shape) * np.dtype(kind).itemsize
            archive.getinfo(f"{member}.npy").file_size = size
    tracemalloc.start()
    with pytest.raises(InputError, match=rf"cannot be read: ValueError: {member}.npy says .* not what it holds"):
        load_recorded(card)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_compressed_archive_is_read(tmp_path):
    card = write(tmp_path, "vectors.npz")
    large = {"L00": np.zeros((4, 10**6), np.float32)}
    np.savez_compressed(tmp_path / "vectors.npz", ids=np.array(IDS), **large)
    assert load_recorded(card).vectors(["a"])[0].shape == (1, 10**6)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    np.savez(tmp_path / "vectors.npz", ids=np.array([Trap()], dtype=object), L00=np.zeros((1, 2), np.float32))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "ids.txt").write_text("a\n")
    np.save(tmp_path / "folder" / "L00.npy", np.array([[Trap()]], dtype=object))
    (tmp_path / "vectors.safetensors").write_bytes(pickle.dumps(Trap()))
    for form in FORMS:
        card = EncoderCard(
            name="brought",
            library="activations",
            source=str(tmp_path / form),
            modality="text",
            kind="text",
            token="cls",
        )
        with pytest.raises(InputError, match="cannot be read"):
            load_recorded(card)


@pytest.mark.parametrize("form", [*FORMS, "vectors.csv"])
def test_a_file_of_another_kind_is_one_sentence(tmp_path, form):
    path = tmp_path / form
    path.mkdir() if form == "folder" else path.write_bytes(b"something else entirely")
    card = EncoderCard(
        name="brought", library="activations", source=str(path), modality="text", kind="text", token="cls"
    )
    with pytest.raises(InputError, match=f"'brought': .*{form} cannot be read") as failure:
        load_recorded(card)
    assert "\n" not in str(failure.value)


def test_a_source_that_is_not_there_is_named(tmp_path):
    card = write(tmp_path, "folder")
    with pytest.raises(WorkError, match="there is no file or folder '.*nothing'"):
        load_recorded(replace(card, source="nothing"))


@pytest.mark.parametrize("form", FORMS)
def test_such_a_card_cannot_encode(tmp_path, form):
    with pytest.raises(InputError, match="holds vectors made elsewhere and cannot encode"):
        load_encoder(write(tmp_path, form))


def test_a_card_of_another_library_holds_no_vectors(tmp_path):
    with pytest.raises(InputError, match="of library timm"):
        load_recorded(replace(write(tmp_path, "folder"), library="timm"))


@pytest.mark.parametrize("form", FORMS)
def test_the_key_follows_the_content(tmp_path, form):
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    one = encoder_identity(write(tmp_path / "one", form))
    assert encoder_identity(write(tmp_path / "two", form)) == one
    assert encoder_identity(write(tmp_path / "three", form, arrays={"L00": ARRAYS["L00"] + 1})) != one
