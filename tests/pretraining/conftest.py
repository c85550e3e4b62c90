"""Fixtures of the pretraining tests: a small set of pairs, and one tiny checkpoint of each recipe."""

import pytest
import torch

from benchmark.encoders.torchvision_ops import declare_missing_ops

torch.set_num_threads(1)
declare_missing_ops()

SIZES = {"width": 16, "depth": 2, "head_width": 8, "batch": 32}


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Cache of the generated samples, shared by the tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def data(cache):
    """70 pretraining pairs."""
    from benchmark.pretraining.data import load_pretraining

    return load_pretraining(70, cache, progress=False)


@pytest.fixture(scope="session")
def recipes():
    """The recipes at a tiny size, by the checkpoint's name."""
    from benchmark.pretraining.contrastive import Contrastive
    from benchmark.pretraining.masked_language import MaskedLanguage
    from benchmark.pretraining.selfsupervised import SelfSupervised
    from benchmark.pretraining.supervised import Supervised

    return {
        "small-clip": Contrastive(**SIZES),
        "small-vit": Supervised(**SIZES),
        "small-ssl": SelfSupervised(**SIZES),
        "small-bert": MaskedLanguage(**SIZES),
    }


@pytest.fixture(scope="session")
def trained(recipes, data, tmp_path_factory):
    """Return trained(name): (model, folder) after two epochs at a tiny size, made on first use."""
    made = {}

    def get(name):
        if name not in made:
            torch.manual_seed(0)
            model = recipes[name].train(data, epochs=2, progress=False)
            folder = tmp_path_factory.mktemp(name)
            model.save(folder)
            made[name] = (model, folder)
        return made[name]

    return get


@pytest.fixture
def tower(trained):
    """Return tower(name): the encoder that load_encoder gives for a tower of the tiny checkpoints."""
    from benchmark.encoders import load_encoder
    from benchmark.pretraining.build import MODELS, Report

    def get(name):
        checkpoint = next(key for key, model in MODELS.items() if name in [tower.name for tower in model.towers])
        report = Report(checkpoint, trained(checkpoint)[1], 70, 2, 0, 0.0, {})
        return load_encoder(next(card for card in report.cards if card.name == name))

    return get
