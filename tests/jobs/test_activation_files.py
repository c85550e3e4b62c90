"""Damaged files of an extraction are noticed: it starts anew, without a traceback and without wrong data."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from letters import CARD, FakeTower, contents, contents_of, fake_data, finished, plain_extraction, progress

from benchmark.encoders import Encoder
from benchmark.errors import WorkError
from benchmark.jobs import activation_files, extraction_sizes
from benchmark.jobs.activation_files import Layout, Writer
from benchmark.jobs.activations import extract


@pytest.fixture
def plain(tmp_path, monkeypatch):
    return plain_extraction(tmp_path / "plain", monkeypatch)


DAMAGED_PROGRESS = [
    "", "{}", "no json", "[]", "3", "[" * 100_000, '{"rows": 24, "layout": 3}', {"rows": "24"}, {"rows": 24.0},
    {"rows": -12}, {"rows": 72}, {"rows": 13}, {"rows": True}, {"rows": None}, {"shard": 0}, {"shard": "12"},
    {"widths": {"0": 3}}, {"widths": {"0": 3, "1": -5}}, {"widths": {"zero": 3}}, {"widths": [3, 5]}, {"tokens": 1},
    {"slots": {}}, {"n_samples": 61}, {"checksums": {}}, {"checksums": None}, {"checksums": {"L00": 1}},
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED_PROGRESS, ids=lambda damage: str(damage)[:30])
@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_progress_file_means_to_start_anew(plain, tmp_path, caplog, whole, damage):
    folder = tmp_path / "plain" if whole else tmp_path / "part"
    encoder = Encoder(CARD, FakeTower())
    if not whole:
        part_of(plain, encoder, folder)
    done = json.loads(progress(folder).read_text())
    if isinstance(damage, dict):
        known = {name: value for name, value in damage.items() if name in done}
        done = {**done, **known, "layout": {**done["layout"], **{k: v for k, v in damage.items() if k not in done}}}
        damage = json.dumps(done)
    progress(folder).write_text(damage)
    extract(encoder, fake_data(), [0, 1], folder, tokens=2)
    assert contents(folder) == plain and "starting anew" in caplog.text


def part_of(plain, encoder, folder):
    """Extract two shards of five."""
    real, left = Writer.append, [3]

    def twice(self, shard):
        left[0] -= 1
        if not left[0]:
            raise OSError("stop")
        real(self, shard)

    Writer.append = twice
    try:
        with pytest.raises(WorkError):
            extract(encoder, fake_data(), [0, 1], folder, tokens=2)
    finally:
        Writer.append = real
    assert finished(folder) == 24


@pytest.mark.parametrize("damage", ["empty", "short", "header", "shape", "text", "gone", "folder", "bit"])
@pytest.mark.parametrize("array", ["L00", "L01.tokens", "L01.counts"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_array_means_to_start_anew(plain, tmp_path, caplog, whole, array, damage):
    folder = tmp_path / "plain" if whole else tmp_path / "part"
    encoder = Encoder(CARD, FakeTower())
    if not whole:
        part_of(plain, encoder, folder)
    path = progress(folder).parent / f"{array}.npy"
    if damage in ("gone", "folder"):
        path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "shape":
        np.save(path, np.zeros((60, 7), np.float32))
    elif damage == "text":
        path.write_text("no array at all, but long enough to hold one " * 1000)
    elif damage == "bit":
        content = bytearray(path.read_bytes())
        content[140] ^= 1  # behind the header, within the first shard
        path.write_bytes(content)
    elif damage != "gone":
        keep = {"empty": 0, "short": 130, "header": len(path.read_bytes())}[damage]
        content = path.read_bytes()[:keep]
        path.write_bytes(content.replace(b"60", b"61") if damage == "header" else content)
    extract(encoder, fake_data(), [0, 1], folder, tokens=2)
    assert contents(folder) == plain and "starting anew" in caplog.text


def test_a_folder_of_another_shard_size_is_written_anew(plain, tmp_path, monkeypatch):
    part_of(plain, Encoder(CARD, FakeTower()), tmp_path / "b")
    monkeypatch.setattr(extraction_sizes, "SHARD_ROWS", 1000)
    encoder = Encoder(CARD, FakeTower())
    wanted = contents_of(extract(encoder, fake_data(), [0, 1], tmp_path / "a", tokens=2))
    assert contents_of(extract(encoder, fake_data(), [0, 1], tmp_path / "b", tokens=2)) == wanted


def test_a_full_disk_is_told_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr(activation_files.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    tower = FakeTower()
    encoder = Encoder(CARD, tower)
    tower.sizes.clear()
    with pytest.raises(WorkError, match=r"take 0.1 MB more and .* has 0.0 MB left"):
        extract(encoder, fake_data(2000), [0, 1], tmp_path / "a")
    with pytest.raises(WorkError, match=r"take 3.2 GB more"):
        Writer(tmp_path / "b", Layout(10**8, {0: 8}, 0, {}, 100))
    assert tower.sizes == []
