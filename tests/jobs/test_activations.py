"""Extraction writes each sample's vectors once, in order, and goes on where a killed process stopped."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
from letters import CARD, FakeTower, contents, contents_of, fake_data, finished, plain_extraction, progress

from benchmark.catalog import EncoderCard, read_cards
from benchmark.datasets import load_dataset
from benchmark.encoders import Encoder, load_encoder
from benchmark.errors import WorkError
from benchmark.jobs import activations, extraction_sizes
from benchmark.jobs.activation_cache import find_activations, pass_folder
from benchmark.jobs.activation_files import Layout, Writer
from benchmark.jobs.activations import extract
from benchmark.jobs.locks import locked
from benchmark.jobs.prefetch import batches


@pytest.fixture(scope="module")
def dataset(workspace):
    return load_dataset("scenes", 150, workspace / ".cache", progress=False)


@pytest.fixture(params=["tiny-image", "tiny-text"])
def encoder(workspace, request):
    return load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")[request.param])


def test_every_row_is_its_samples_global_token_at_every_layer(encoder, dataset, tmp_path):
    found = extract(encoder, dataset, encoder.layers, tmp_path / "a").pooled
    for i in (0, 77, 149):
        sample = dataset[i]
        alone = encoder.global_tokens([sample.image if encoder.modality == "image" else sample.caption])
        for layer in encoder.layers:
            np.testing.assert_allclose(found[layer][i], alone[layer][0].numpy(), atol=1e-5)


def test_rows_keep_the_datasets_order_whatever_the_shards(monkeypatch, tmp_path):
    data = fake_data()
    monkeypatch.setattr(extraction_sizes, "SMALL_BATCH", (4, 1 << 30))
    for rows in (4, 10, 24, 1000):
        monkeypatch.setattr(extraction_sizes, "SHARD_ROWS", rows)
        found = extract(Encoder(CARD, FakeTower()), data, [0, 1], tmp_path / str(rows)).pooled
        for layer in (0, 1):
            assert found[layer][:, 0].tolist() == [ord(text[0]) for text in data.texts]
            assert (found[layer][:, 2] == layer).all()


def test_finished_files_are_used_again_and_unfinished_ones_are_not(encoder, dataset, tmp_path):
    folder = tmp_path / "a"
    first = extract(encoder, dataset, encoder.layers, folder)
    stamp = (progress(folder).parent / "L00.npy").stat().st_mtime_ns
    again = extract(encoder, dataset, encoder.layers, folder)
    assert (progress(folder).parent / "L00.npy").stat().st_mtime_ns == stamp
    assert np.array_equal(first.pooled[0], again.pooled[0])
    progress(folder).unlink()
    assert find_activations(folder, encoder.layers, 150) is None
    extract(encoder, dataset, encoder.layers, folder)
    assert find_activations(folder, encoder.layers, 150) is not None
    assert find_activations(folder, encoder.layers, 149) is None
    assert find_activations(folder, encoder.layers, 150, tokens=2) is None
    assert find_activations(folder, [*encoder.layers, 99], 150) is None


def in_child(folder, calls, n=60, die_at=0, slow=0.0):
    """Extract into a folder and note each model call's samples; `die_at` counts syncs, of a file torn just before."""
    extraction_sizes.SMALL_BATCH, extraction_sizes.SHARD_ROWS = (4, 1 << 30), 12
    real, left = os.fsync, [die_at]

    def fsync(handle):
        left[0] -= 1
        if left[0] == 0:
            os.ftruncate(handle, max(0, os.fstat(handle).st_size - 5))
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    os.fsync = fsync
    tower = FakeTower()
    encoder = Encoder(CARD, tower)
    states = tower.states

    def counted(inputs, layers):
        with calls.open("a") as out:
            out.write(f"{len(inputs['mask'])}\n")
        time.sleep(slow)
        return states(inputs, layers)

    tower.states = counted
    extract(encoder, fake_data(n), [0, 1], folder, tokens=2)


@pytest.fixture(scope="module")
def child():
    """Return child(**arguments), which calls `in_child` in a process of its own that costs no second import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmark.jobs.activations", "benchmark.encoders.encoder"])

    def start(target=in_child, **arguments):
        process = context.Process(target=target, kwargs=arguments)
        process.start()
        return process

    return start


@pytest.fixture
def plain(tmp_path, monkeypatch):
    """The files of an extraction that nothing disturbed; shards of 12 rows from here on."""
    return plain_extraction(tmp_path / "plain", monkeypatch)


def samples(calls):
    return sum(map(int, calls.read_text().split())) if calls.exists() else 0


@pytest.mark.parametrize("die_at", [1, 4, 7, 8, 13, 14, 22, 28, 29, 35])
def test_a_process_killed_in_a_write_is_followed_by_one_that_goes_on(child, plain, tmp_path, die_at):
    """A shard syncs six arrays and progress.json: seven writes; the 35th is the last one."""
    folder = tmp_path / "killed"
    process = child(folder=folder, calls=tmp_path / "calls", die_at=die_at)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert finished(folder) == (die_at - 1) // 7 * 12
    assert find_activations(folder, [0, 1], 60, 2) is None
    tower = FakeTower()
    encoder = Encoder(CARD, tower)
    tower.sizes.clear()
    extract(encoder, fake_data(), [0, 1], folder, tokens=2)
    assert sum(tower.sizes) == 60 - (die_at - 1) // 7 * 12
    assert contents(folder) == plain


def test_a_process_killed_at_any_moment_again_and_again_never_repeats_a_shard(child, plain, tmp_path):
    folder, calls = tmp_path / "killed", tmp_path / "calls"
    for wait in (0.0, 0.03, 0.05, 0.02, 0.04):
        before, already = finished(folder), samples(calls)
        process = child(folder=folder, calls=calls, slow=0.01)
        while samples(calls) == already and process.is_alive():
            time.sleep(0.001)
        time.sleep(wait)
        process.kill()
        process.join()
        assert samples(calls) - already <= 60 - before
    before, already = finished(folder), samples(calls)
    process = child(folder=folder, calls=calls)
    process.join()
    assert process.exitcode == 0 and samples(calls) - already == 60 - before
    assert contents(folder) == plain


def test_a_second_process_waits_and_finds_the_work_done(child, plain, tmp_path):
    processes = [child(folder=tmp_path / "a", calls=tmp_path / name, slow=0.01) for name in ("one", "two")]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert samples(tmp_path / "one") + samples(tmp_path / "two") == 60
    assert contents(tmp_path / "a") == plain


@pytest.mark.parametrize("after", [1, 7, 8, 20, 35])
def test_whatever_write_fails_the_next_run_gives_the_same_bytes(plain, monkeypatch, tmp_path, after):
    """The disk refuses at one sync, then has room again."""
    folder, left, real = tmp_path / "broken", [after], os.fsync

    def refusing(handle):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", refusing)
    tower = FakeTower()
    encoder = Encoder(CARD, tower)
    with pytest.raises(WorkError, match="No space left on device.*goes on behind it"):
        extract(encoder, fake_data(), [0, 1], folder, tokens=2)
    tower.sizes.clear()
    before = finished(folder)
    extract(encoder, fake_data(), [0, 1], folder, tokens=2)
    assert sum(tower.sizes) == 60 - before and contents(folder) == plain


def test_a_file_that_may_not_grow_ends_in_one_sentence(tmp_path):
    """A real refusal of the operating system, not a patched one."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    encoder = Encoder(CARD, FakeTower(widths=(3, 600)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(WorkError, match="cannot be finished"):
            extract(encoder, fake_data(), [1], tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(extract(encoder, fake_data(), [1], tmp_path / "a").pooled[1]) == 60


def test_who_waits_for_the_lock_reads_what_the_other_finished(tmp_path, caplog):
    data, tower = fake_data(), FakeTower()
    encoder = Encoder(CARD, tower)
    folder, found = tmp_path / "a", []
    with locked(folder, "extracting a"):
        waiting = threading.Thread(target=lambda: found.append(extract(encoder, data, [0], folder)))
        waiting.start()
        while "waiting for it" not in caplog.text:
            time.sleep(0.01)
        tower.sizes.clear()
        activations._fill(encoder, data, [0], pass_folder(folder, [0], 0), 0)
        assert sum(tower.sizes) == 60 and not found
    waiting.join()
    assert sum(tower.sizes) == 60 and len(found[0].pooled[0]) == 60


def test_only_what_nobody_wrote_to_for_a_month_is_removed(child, tmp_path):
    old, fresh, done, held = (tmp_path / name for name in ("old", "fresh", "done", "held"))
    encoder, data = Encoder(CARD, FakeTower()), fake_data()
    extract(encoder, data, [0], done)
    for folder in (old, fresh, held):
        Writer(folder / "pass", Layout(1000, {0: 3}, 0, {}, 8)).close()
    past = time.time() - 31 * 86400
    for folder in (old, done, held):
        for path in (*folder.glob("*/*"), *folder.iterdir(), folder):
            os.utime(path, (past, past))
    holder = child(hold, folder=held, mark=tmp_path / "holding")
    while not (tmp_path / "holding").exists():
        time.sleep(0.05)
    extract(encoder, data, [0], tmp_path / "a")
    holder.kill()
    holder.join()
    left = {folder.name for folder in tmp_path.iterdir() if folder.is_dir() and list(folder.iterdir())}
    assert left == {"fresh", "done", "held", "a"}


def hold(folder, mark):
    with locked(folder, "extracting"):
        mark.touch()
        time.sleep(60)


def test_a_vector_that_is_not_finite_is_named(encoder, dataset, tmp_path, monkeypatch):
    real = encoder.forward

    def broken(inputs, layers):
        outputs = real(inputs, layers)
        outputs[layers[0]].pooled[3] = float("nan")
        return outputs

    monkeypatch.setattr(encoder, "forward", broken)
    with pytest.raises(ValueError, match=rf"encoder '{encoder.name}', layer 0: sample 'scenes-0-\d+' is not finite"):
        extract(encoder, dataset, encoder.layers, tmp_path / "a")
    assert not list((tmp_path / "a").glob("*"))


def test_a_batch_too_large_for_the_device_is_halved(tmp_path, caplog):
    data = fake_data(200)
    wanted = extract(Encoder(CARD, FakeTower()), data, [0, 1], tmp_path / "plain", tokens=3)
    tower = FakeTower(fits=17)
    found = extract(Encoder(CARD, tower), data, [0, 1], tmp_path / "halved", tokens=3)
    assert contents_of(found) == contents_of(wanted)
    assert [size for size in tower.sizes[1:] if size > 17] == [64, 32] and 16 in tower.sizes
    assert "going on with batches of 16" in caplog.text
    encoder = Encoder(CARD, tower)
    tower.fits = 0
    with pytest.raises(WorkError, match="a single sample"):
        extract(encoder, data, [0], tmp_path / "none")


def test_batches_stay_in_their_shard_and_do_not_depend_on_where_they_begin():
    lengths = np.random.default_rng(0).integers(1, 400, 100).tolist()
    whole = [rows.tolist() for rows in batches(lengths, range(100), 8, 32)]
    assert sorted(sum(whole, [])) == list(range(100))
    assert all(len(rows) <= 8 and len({row // 32 for row in rows}) == 1 for rows in whole)
    later = [rows.tolist() for rows in batches(lengths, range(64, 100), 8, 32)]
    assert later == whole[-len(later) :]
    assert [rows.tolist() for rows in batches(None, range(5), 2, 4)] == [[0, 1], [2, 3], [4]]


def test_long_captions_make_small_batches():
    rows = [len(batch) for batch in batches([100] * 32 + [10_000] * 8, range(40), 16, 64)]
    assert rows[:2] == [16, 16] and max(rows[2:]) == 1


def test_images_that_a_processor_gives_different_shapes_still_form_a_batch(workspace, dataset, tmp_path):
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")["tiny-image"])
    wanted = extract(encoder, dataset, [0], tmp_path / "plain")
    real = encoder._tower.preprocess

    def padded(batch):
        inputs = real(batch)
        inputs["sizes"] = torch.zeros(len(batch), len(batch))  # depends on how many images are processed together
        return inputs

    encoder._tower.preprocess = padded
    found = extract(encoder, dataset, [0], tmp_path / "shapes")
    np.testing.assert_allclose(found.pooled[0], wanted.pooled[0], atol=1e-6)


def test_progress_begins_where_the_last_process_stopped(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(extraction_sizes, "SMALL_BATCH", (4, 1 << 30))
    monkeypatch.setattr(extraction_sizes, "SHARD_ROWS", 12)
    real, left = Writer.append, [3]

    def once(self, shard):
        left[0] -= 1
        if not left[0]:
            raise OSError("stop")
        real(self, shard)

    monkeypatch.setattr(Writer, "append", once)
    encoder = Encoder(CARD, FakeTower())
    with pytest.raises(WorkError):
        extract(encoder, fake_data(), [0], tmp_path / "a")
    capfd.readouterr()
    extract(encoder, fake_data(), [0], tmp_path / "a")
    shown = capfd.readouterr().err
    assert "24/60" in shown and "60/60" in shown and "sample/s" in shown


@pytest.mark.parametrize(("flop", "wanted"), [(1e6, 1), (3e8, 2), (1e12, 4)])
def test_a_small_image_model_leaves_the_cores_to_the_decoding(workspace, dataset, tmp_path, flop, wanted):
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")["tiny-image"])
    encoder.flop, used, real = flop, [], encoder._tower.states

    def watched(inputs, layers):
        used.append(torch.get_num_threads())
        return real(inputs, layers)

    encoder._tower.states, before = watched, torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        extract(encoder, dataset, [0], tmp_path / "a")
        assert set(used) == {wanted} and torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
