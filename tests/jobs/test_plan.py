"""A plan is refused before any work where it cannot be carried out."""

from dataclasses import fields, replace

import pytest
import torch

from benchmark.errors import InputError
from benchmark.jobs.configs import CompareConfig, TrainJobConfig
from benchmark.jobs.plan import ALL_TOKENS, make_plan
from benchmark.sae.settings import PRESETS, TrainConfig


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
        make_plan(CompareConfig(encoders=(str(path), "small-bert"), tokens="3"))
    assert make_plan(CompareConfig(encoders=(str(path), "small-bert"), tokens="global")).tokens == 0


def card_of(tmp_path, fields):
    path = tmp_path / "suite.yaml"
    path.write_text(f"s: {{dataset: scenes, encoders: [small-vit, small-bert], {fields}}}")
    return str(path)


def test_the_command_comes_before_the_card_and_the_card_before_the_preset(tmp_path):
    suite = card_of(
        tmp_path, "preset: robust, learning_rate: 0.5, training: {aux_k: 3, warmup: 0.1, matryoshka: [0.5]}"
    )
    of_card = make_plan(CompareConfig(suite=suite)).training
    assert of_card == replace(PRESETS["robust"], learning_rate=0.5, aux_k=3, warmup=0.1, matryoshka=(0.5,))
    more = CompareConfig(suite=suite, learning_rate=0.25, epochs=4, training=("aux_k=5", "unit_norm=false"))
    assert make_plan(more).training == replace(of_card, learning_rate=0.25, epochs=4, aux_k=5, unit_norm=False)
    paper = make_plan(CompareConfig(suite=suite, preset="paper")).training
    assert paper == TrainConfig(learning_rate=0.5, aux_k=3, warmup=0.1, matryoshka=(0.5,))


def test_a_suite_that_says_nothing_trains_as_the_paper(tmp_path):
    plan = make_plan(CompareConfig(suite=card_of(tmp_path, "k: 4")))
    assert plan.training == TrainConfig() and plan.tokens == 0
    assert make_plan(CompareConfig(suite="paper-code")).training == TrainConfig()


def test_options_that_only_make_sense_together_may_come_from_card_and_command(tmp_path):
    suite = card_of(tmp_path, "k: 4, training: {k_start: 8, k_anneal: 0.5}")
    assert make_plan(CompareConfig(suite=suite, training=("k_anneal=0.25",))).training.k_anneal == 0.25
    with pytest.raises(InputError, match="k_start = 8 must lie between k = 16"):
        make_plan(CompareConfig(suite=suite, k=16, n_latents=64))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            "training: {unit_nrm: true}",
            "training of the suite 's': unknown training option 'unit_nrm': did you mean unit",
        ),
        ("training: {epochs: 3}", "training of the suite 's': epochs does not belong into training"),
        ("training: {aux_k: many}", "training of the suite 's': aux_k must be a whole number, got 'many'"),
        ("training: {center: true}", "training of the suite 's': unknown training option 'center'"),
        ("training: [aux_k]", "field 'training' must be of type dict"),
        ("center: true", "unknown field 'center'"),
        ("preset: robst", "unknown preset 'robst': did you mean robust"),
        ("epochs: 1.5", "field 'epochs' must be of type int, got 1.5"),
        ("epochs: 0", "epochs must be at least 1, got 0"),
        ("tokens: 1.5", "field 'tokens' must be of type int or str, got 1.5"),
        ("tokens: every", "tokens must be global, all or a whole number of tokens of each sample, got 'every'"),
        ("tokens: -1", "tokens must be global, all or a whole number"),
    ],
)
def test_training_that_a_card_asks_for_wrongly_is_refused(tmp_path, fields, message):
    with pytest.raises(InputError, match=message) as error:
        make_plan(CompareConfig(suite=card_of(tmp_path, fields)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("given", "wanted"), [("global", 0), ("all", ALL_TOKENS), ("16", 16), (16, 16), (0, 0)])
def test_tokens_are_words_or_numbers(tmp_path, given, wanted):
    assert make_plan(CompareConfig(suite=card_of(tmp_path, f"tokens: {given}"))).tokens == wanted
    assert make_plan(CompareConfig(tokens=str(given))).tokens == wanted


def test_every_training_option_is_part_of_what_a_run_depends_on():
    recipe = make_plan(CompareConfig()).recipe()
    assert {field.name for field in fields(TrainConfig)} | {"k", "tokens", "layers", "train_on", "codes"} <= set(recipe)


def test_seeds_stand_for_initial_weights_and_order_unless_one_is_fixed():
    assert make_plan(TrainJobConfig()).seeds_of(3) == (3, 3)
    named = {str(make_plan(TrainJobConfig(**fixed)).seeds_of(3)): fixed for fixed in (
        {}, {"init_seed": 0}, {"order_seed": 0})}  # fmt: skip
    assert named == {"seed 3": {}, "seed 0 order 3": {"init_seed": 0}, "seed 3 order 0": {"order_seed": 0}}
    with pytest.raises(InputError, match="init_seed and order_seed together leave nothing random"):
        make_plan(TrainJobConfig(init_seed=0, order_seed=0))
    assert make_plan(TrainJobConfig(init_seed=4, order_seed=5, seeds=(0,))).seeds_of(0) == (4, 5)
    with pytest.raises(InputError, match="order_seed must lie between 0 and 2.32 - 1, got -1"):
        make_plan(TrainJobConfig(order_seed=-1))
