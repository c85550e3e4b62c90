"""A plan is refused before any work where it cannot be carried out."""

import pytest
import torch

from benchmark.errors import InputError
from benchmark.jobs.configs import CompareConfig, TrainJobConfig
from benchmark.jobs.plan import make_plan


@pytest.mark.parametrize("device", ["cuda:99", "meta", "nonsense"])
@pytest.mark.parametrize("config", [CompareConfig, TrainJobConfig])
def test_a_device_that_cannot_compute_here_is_refused(device, config):
    with pytest.raises(InputError, match=f"device '{device}' is not available here"):
        make_plan(config(device=device))


def test_a_gpu_is_refused_where_torch_sees_none(monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="torch sees no GPU"):
        make_plan(CompareConfig(device="cuda"))


def test_the_device_that_auto_chooses_is_one_that_is_there():
    assert make_plan(CompareConfig(device="auto")).device in ("cpu", "cuda")
    assert make_plan(CompareConfig(device="cpu")).device == "cpu"


def test_vectors_made_elsewhere_cannot_train_on_tokens(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("brought:\n  library: activations\n  source: .\n  modality: image\n  kind: vision\n  token: cls\n")
    with pytest.raises(InputError, match="'brought' brings one vector a sample, so tokens=3"):
        make_plan(CompareConfig(encoders=(str(path), "small-bert"), tokens=3))
    assert make_plan(CompareConfig(encoders=(str(path), "small-bert"), tokens=0)).suite.tokens == 0
