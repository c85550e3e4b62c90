"""Vectors made elsewhere: a card of library `activations` brings each sample's vector at each layer, and their ids.

A card's source is one of
    a folder      ids.txt (UTF-8, one id a line) and L00.npy, L05.npy, ...: one (N, d) float array a layer, row i for
                  the i-th id; read through a memory map, so only the rows that are used are read
    FILE.npz      arrays `ids` (strings) and L00, L05, ...
    FILE.safetensors  tensors L00, L05, ... and, in the file's metadata, the entry `ids`: a JSON list of strings
Ids are the dataset's sample ids, in any order; rows of other ids are ignored. Nothing is ever unpickled.
"""

import json
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.catalog import EncoderCard
from benchmark.encoders import hub, reasons
from benchmark.encoders.choice_of_layers import chosen_layers, no_layer
from benchmark.errors import InputError

LAYER = re.compile(r"L(\d+)")
SHOWN = 3
DEFLATED = 1100
"""Times that an archive's member can be longer than its compressed form: deflate reaches 1,032 (zlib's manual)."""


@dataclass(frozen=True)
class Recorded:
    """The vectors of one card; `layers` are those that the card offers, shallow to deep."""

    card: EncoderCard
    path: Path
    layers: list[int]
    widths: dict[int, int]
    ids: dict[str, int]
    """Row of each id."""
    _read: Callable[[int], NDArray[Any]]

    def vectors(self, ids: Sequence[str], layers: Sequence[int] | None = None) -> dict[int, NDArray[np.float32]]:
        """Return {layer: (len(ids), d) float32}, row i for `ids[i]`; layers=None: all.

        Raises InputError for ids or layers that are not there and for NaN or infinite values in the rows asked for.
        """
        wanted = self.layers if layers is None else layers
        for layer in wanted:
            if layer not in self.widths:
                raise no_layer(self.card.name, layer, self.layers)
        if missing := [name for name in ids if name not in self.ids]:
            raise InputError(
                f"encoder '{self.card.name}': {self.path} lacks {len(missing):,} of the {len(ids):,} samples of the "
                f"dataset ({_few(missing)}); record vectors for all of them, under the dataset's ids."
            )
        rows = np.array([self.ids[name] for name in ids], dtype=np.int64)
        return {layer: self._rows(layer, rows, ids) for layer in wanted}

    def _rows(self, layer: int, rows: NDArray[np.int64], ids: Sequence[str]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which is refused below
            chosen = np.asarray(self._read(layer)[rows]).astype(np.float32, copy=False)
        bad = np.flatnonzero(~np.isfinite(chosen).all(1))
        if len(bad):
            raise InputError(
                f"encoder '{self.card.name}': layer {layer} of {self.path} has NaN or infinite values for "
                f"{len(bad):,} samples ({_few(ids[row] for row in bad[:SHOWN])}); record them again."
            )
        return chosen


def load_recorded(card: EncoderCard) -> Recorded:
    """Open the vectors of a card of library `activations`.

    Raises WorkError when there is nothing at the card's source, and InputError for a card of another library, ids
    that are missing, repeated or not text, arrays of a wrong form or length, and layers that are not there.
    """
    if card.library != "activations":
        raise InputError(f"encoder '{card.name}' is of library {card.library}, not of library activations.")
    path = hub.folder(card)
    assert path is not None  # hub.folder raises when an activations card names nothing
    try:
        ids, headers, read = _open(path)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"encoder '{card.name}': {path} cannot be read: {reasons.short_reason(error)}.") from error
    rows = {name: row for row, name in enumerate(ids)}
    if len(rows) < len(ids):
        repeated = [name for row, name in enumerate(ids) if rows[name] != row]
        raise InputError(f"encoder '{card.name}': the ids of {path} repeat {_few(repeated)}; each id needs one row.")
    found: dict[int, str] = {}
    for name in sorted(headers):
        if match := LAYER.fullmatch(name):
            if int(match[1]) in found:
                raise InputError(f"encoder '{card.name}': {path} has layer {int(match[1])} twice.")
            found[int(match[1])] = name
    if not found:
        raise InputError(f"encoder '{card.name}': {path} has no arrays called L00, L01, ..., only {_few(headers)}.")
    layers = chosen_layers(card, sorted(found))
    widths = {layer: _width(card, path, found[layer], headers[found[layer]], len(ids)) for layer in layers}
    return Recorded(card, path, layers, widths, rows, lambda layer: read(found[layer]))


class Header(NamedTuple):
    """What a file says of one array without reading it."""

    shape: tuple[int, ...]
    dtype: str


Source = tuple[list[str], dict[str, Header], Callable[[str], NDArray[Any]]]


def _open(path: Path) -> Source:
    """Return the ids, the arrays' headers and a reader of one array."""
    if path.is_dir():
        return _open_folder(path)
    if path.suffix == ".npz":
        return _open_npz(path)
    if path.suffix == ".safetensors":
        return _open_safetensors(path)
    raise ValueError("it must be a folder, or a file .npz or .safetensors")


def _open_folder(path: Path) -> Source:
    text = (path / "ids.txt").read_text(encoding="utf-8-sig")  # Windows' editors put a mark in front
    ids = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    arrays = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in path.glob("*.npy")}
    return ids, {name: Header(array.shape, str(array.dtype)) for name, array in arrays.items()}, arrays.__getitem__


def _open_npz(path: Path) -> Source:
    with zipfile.ZipFile(path) as archive:
        headers = {
            info.filename.removesuffix(".npy"): _npy_header(archive, info)
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
    ids = headers.pop("ids", None)
    if ids is None or len(ids.shape) != 1 or not ids.dtype.startswith("<U"):
        raise ValueError("it needs an array 'ids' of strings, of one dimension")
    file = np.load(path, allow_pickle=False)
    return file["ids"].tolist(), headers, file.__getitem__


def _npy_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Header:
    """Read an array's header, and check its size before anybody allocates it."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        # Version 3 is version 2 in UTF-8, and the header of a plain array is ASCII.
        old = version == (1, 0)
        shape, _, dtype = (np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0)(member)
        size = math.prod(shape) * dtype.itemsize
        if member.tell() + size != info.file_size or info.file_size > DEFLATED * info.compress_size:
            raise ValueError(f"{info.filename} says {dtype} {shape}, which is not what it holds")
    return Header(shape, dtype.str if dtype.kind == "U" else str(dtype))


def _open_safetensors(path: Path) -> Source:
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, "np")
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    ids = json.loads((file.metadata() or {}).get("ids", "null"))
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise ValueError("its metadata need an entry 'ids', a JSON list of strings")
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    dtypes = {"F16": "float16", "F32": "float32", "F64": "float64"}
    headers = {
        name: Header(tuple(part.get_shape()), dtypes.get(part.get_dtype(), part.get_dtype()))
        for name, part in slices.items()
    }
    return ids, headers, file.get_tensor


def _width(card: EncoderCard, path: Path, name: str, header: Header, n_ids: int) -> int:
    shape, dtype = header
    if len(shape) != 2 or not dtype.startswith("float") or shape[0] != n_ids or not shape[1]:
        raise InputError(
            f"encoder '{card.name}': {name} of {path} must be an array of floats (16, 32 or 64 bits) of shape "
            f"({n_ids}, width), one row for each id, got {dtype} {shape}."
        )
    return shape[1]


def _few(items: Iterable[Any], shown: int = SHOWN) -> str:
    listed = [str(item) for item in items]
    return ", ".join(listed[:shown]) + (", ..." if len(listed) > shown else "")
