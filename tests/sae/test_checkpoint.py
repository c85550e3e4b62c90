"""A training that is stopped at any moment goes on to the same weights, bit for bit."""

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import tensor_file
from benchmark.sae import checkpoint as module
from benchmark.sae.settings import TrainConfig
from tests.sae.training_runs import EVERYTHING, digest, run

PLAIN = TrainConfig(learning_rate=5e-3, batch_size=32, epochs=3)
STEPS = 39
"""13 an epoch, of the layer with most items."""


@pytest.fixture(scope="module")
def wanted():
    return {config: digest(*run(config)) for config in (PLAIN, EVERYTHING)}


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch):
    """However long writing takes; and it takes less, as these processes do not lose their power."""
    monkeypatch.setattr(module, "PATIENCE", 0)
    monkeypatch.setattr(module, "sync", lambda path: None)


class Stop(Exception):
    """What ends a training in these tests."""


def stopped_at(step, **more):
    def watched(now):
        if now == step:
            raise Stop

    with pytest.raises(Stop):
        run(watched=watched, **more)


@pytest.mark.parametrize(
    ("config", "minutes", "step"),
    [
        *((EVERYTHING, 1e9, step) for step in (0, 1, 6, 7, 12, 13, 14, 25, 26, 27, 38)),
        *((EVERYTHING, 0.0, step) for step in (7, 26)),
        *((PLAIN, 1e9, step) for step in (1, 13, 38)),
    ],
)
def test_a_stopped_training_ends_with_the_same_weights_and_curves(tmp_path, wanted, config, step, minutes):
    stopped_at(step, config=config, folder=tmp_path, minutes=minutes)
    begun = []
    assert digest(*run(config, folder=tmp_path, watched=begun.append)) == wanted[config]
    assert begun[0] == step if begun else config.patience


def test_every_option_matters_to_the_run_that_is_resumed():
    saes, logs = run()
    assert any(len(log.loss) < STEPS and log.evaluations[-1, 0] < STEPS for log in logs.values()), "stopped early"
    assert any(log.dead[:, 1].max() > 0 for log in logs.values()), "dead latents"


CHILD = """
import os, signal, sys, threading
import torch
torch.set_num_threads(1)
from benchmark.sae import checkpoint
from tests.sae.training_runs import digest, run
folder, steps, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
checkpoint.PATIENCE, begun = 0, []
def watched(step):
    if len(begun) == steps:
        threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
    begun.append(step)
print(digest(*run(folder=folder, watched=watched)), begun[:1], flush=True)
os._exit(0)
"""


def test_a_killed_process_is_gone_on_with(tmp_path, wanted):
    rng, folder = random.Random(0), tmp_path / "checkpoint"
    for kills in range(4):
        when = str(rng.randint(1, 10) if kills < 3 else 1000), str(rng.uniform(0, 0.1))  # steps, and seconds after them
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(folder), *when], capture_output=True, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        assert len(list(folder.glob("step-*"))) <= 2, "the last one, and for a moment the one before"
        if done.returncode == 0:
            break
    assert kills >= 2 and done.stdout.startswith(wanted[EVERYTHING])
    assert not done.stdout.strip().endswith("[0]"), "it went on instead of starting anew"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_effect_after_the_step_and_its_checkpoint(tmp_path, wanted, number):
    def caught(number, frame):
        raise Stop

    def watched(step):
        if step == 5:
            signal.raise_signal(number)

    before = signal.signal(number, caught)
    try:
        with pytest.raises(Stop):
            run(folder=tmp_path, minutes=1e9, watched=watched)
        assert signal.getsignal(number) is caught
    finally:
        signal.signal(number, before)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000006"]
    assert digest(*run(folder=tmp_path)) == wanted[EVERYTHING]


@pytest.mark.parametrize(
    "damage", ["truncated", "bit", "manifest", "file", "no json", "other form", "step", "files", "swapped files"]
)
def test_a_damaged_checkpoint_is_not_used_and_said_to_be(tmp_path, wanted, caplog, damage):
    stopped_at(20, folder=tmp_path)
    (home,) = tmp_path.iterdir()
    file, manifest = home / "00001.safetensors", home / "manifest.json"
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[:-10])
    elif damage == "bit":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "file":
        file.unlink()
    elif damage == "manifest":
        manifest.unlink()
    elif damage in ("no json", "other form"):
        manifest.write_text("{" if damage == "no json" else "[1]")
    else:
        said = json.loads(manifest.read_text())
        first, second, *_ = names = list(said["files"].values())
        others = {"files": names[:1], "swapped files": [second, first, *names[2:]]}.get(damage, names)
        said["files"] = dict(zip(said["files"], others, strict=False))
        said["step"] += damage == "step"
        manifest.write_text(json.dumps(said))
    begun = []
    with caplog.at_level(logging.WARNING):
        assert digest(*run(folder=tmp_path, watched=begun.append)) == wanted[EVERYTHING]
    assert begun[0] == 0 and "damaged checkpoint" in caplog.text and str(home) in caplog.text


@pytest.mark.parametrize("other", [{"config": PLAIN}, {"layers": (0,)}, {"seeds": (0, 2)}])
def test_a_checkpoint_of_something_else_is_not_used(tmp_path, caplog, other):
    stopped_at(20, folder=tmp_path)
    begun = []
    with caplog.at_level(logging.WARNING):
        found = digest(*run(**other, folder=tmp_path, watched=begun.append))
    assert begun[0] == 0 and "of other SAEs or settings" in caplog.text
    assert found == digest(*run(**other))


def test_a_checkpoint_of_an_interrupted_writing_is_not_there(tmp_path, wanted):
    stopped_at(9, folder=tmp_path)
    shutil.copytree(tmp_path / "step-000000000009", tmp_path / "partial")
    (tmp_path / "partial" / "00000.safetensors").write_bytes(b"half")
    begun = []
    assert digest(*run(folder=tmp_path, watched=begun.append)) == wanted[EVERYTHING]
    assert begun[0] == 9


def test_one_checkpoint_is_kept(tmp_path):
    seen = []
    run(folder=tmp_path, watched=lambda step: seen.append(sorted(os.listdir(tmp_path))))
    assert seen[0] == [] and seen[1:] == [[f"step-{step:012d}"] for step in range(1, len(seen))]


def test_a_full_disk_stops_no_training(tmp_path, wanted, monkeypatch, caplog):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_file, "write", full)
    with caplog.at_level(logging.WARNING):
        assert digest(*run(folder=tmp_path)) == wanted[EVERYTHING]
    assert "no checkpoint could be written" in caplog.text and "No space left" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_what_writing_costs_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 10**6)
    seen = []
    run(folder=tmp_path, watched=lambda step: seen.append(sorted(os.listdir(tmp_path))))
    assert seen[2:] == [["step-000000000001"]] * (len(seen) - 2), "the first one took long enough for all of them"
