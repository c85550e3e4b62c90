"""Every training option is documented, checked in one sentence, and can be given as text."""

import inspect
from dataclasses import fields, replace

import pytest

from benchmark import parameters
from benchmark.errors import InputError
from benchmark.project import ROOT
from benchmark.sae.settings import PRESETS, TrainConfig, make_config, parse_options, refuse_own_fields


def test_every_option_has_one_sentence_and_the_defaults_are_the_papers():
    sentences = parameters.docs(TrainConfig)
    assert set(sentences) == {field.name for field in fields(TrainConfig)}
    assert all(text.endswith(".") and "\n" not in text for text in sentences.values())
    paper = PRESETS["paper"]
    assert paper == TrainConfig() and (paper.learning_rate, paper.epochs, paper.b_dec) == (5e-5, 1, "zero")
    assert not any((paper.normalize, paper.unit_norm, paper.warmup, paper.decay, paper.k_start, paper.aux_k))
    assert paper.selection == "topk" and paper.matryoshka == () and paper.patience == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0.0"),
        ({"learning_rate": float("inf")}, "learning_rate must be above 0 and finite"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0 and finite"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, got 'fast'"),
        ({"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        ({"epochs": True}, "epochs must be a whole number, got True"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"unit_norm": 1}, "unit_norm must be true or false, got 1"),
        ({"b_dec": "maen"}, "unknown b_dec 'maen': did you mean mean"),
        ({"b_dec": None}, "b_dec must be a word, got None"),
        ({"selection": "topkk"}, "unknown selection 'topkk': did you mean topk"),
        ({"warmup": 1.1}, "warmup is a share of the steps, from 0 to 1, got 1.1"),
        ({"decay": float("nan")}, "decay is a share of the steps"),
        ({"warmup": 0.6, "decay": 0.6}, "warmup and decay add up to 1.2"),
        ({"k_start": 64}, "k_start and k_anneal belong together"),
        ({"k_anneal": 0.5}, "k_start and k_anneal belong together"),
        ({"matryoshka": (0.5, 0.25)}, "matryoshka must be rising shares"),
        ({"matryoshka": (0.0, 0.5)}, "matryoshka must be rising shares"),
        ({"matryoshka": ("a",)}, "matryoshka must be a number, got 'a'"),
        ({"matryoshka": 0.5}, "matryoshka must be a list of numbers, got 0.5"),
        ({"aux_k": -1}, "aux_k must be at least 0"),
        ({"aux_coefficient": -0.1}, "aux_coefficient must be at least 0"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"unit_nrm": True}, "unknown training option 'unit_nrm': did you mean unit_norm"),
    ],
)
def test_an_option_that_cannot_be_trained_with_is_refused_in_one_sentence(options, message):
    with pytest.raises(InputError, match=message) as error:
        make_config("paper", options)
    assert "\n" not in str(error.value)


def test_options_take_the_place_of_the_presets_and_lists_may_be_lists():
    found = make_config("robust", {"aux_k": 3, "matryoshka": [0.25, 1]})
    assert found == replace(PRESETS["robust"], aux_k=3, matryoshka=(0.25, 1))
    with pytest.raises(InputError, match="unknown preset 'robst': did you mean robust"):
        make_config("robst", {})


def test_texts_become_values_of_their_types():
    texts = ("unit_norm=true", " aux_k = 64", "warmup=0.1", "b_dec=median", "matryoshka=0.25/0.5/1")
    wanted = {"unit_norm": True, "aux_k": 64, "warmup": 0.1, "b_dec": "median", "matryoshka": (0.25, 0.5, 1.0)}
    assert parse_options(texts) == wanted and parse_options(()) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unit_norm", "training must be options like unit_norm=true, separated by commas, got 'unit_norm'"),
        ("unit_norm=", "training must be options like"),
        ("unit_norm=yes", "unit_norm must be true or false, got 'yes'"),
        ("aux_k=1.5", "aux_k must be a whole number, got '1.5'"),
        ("matryoshka=0.5/x", "matryoshka must be a number, got 'x'"),
        ("axu_k=3", "unknown training option 'axu_k': did you mean aux_k"),
        ("aux_k=3,aux_k=4", "training names aux_k twice"),
    ],
)
def test_texts_that_are_no_options_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_options(text.split(","))


def test_what_has_a_parameter_of_its_own_is_no_further_option():
    with pytest.raises(InputError, match="epochs does not belong into training: it is a parameter of its own"):
        refuse_own_fields({"epochs": 3})


def test_k_start_must_fit_k_and_the_dictionary():
    config = TrainConfig(k_start=16, k_anneal=0.5)
    config.check_sizes(16, 16)
    for k, n_latents in ((17, 32), (8, 15)):
        with pytest.raises(InputError, match="k_start = 16 must lie between"):
            config.check_sizes(k, n_latents)
    with pytest.raises(InputError, match="k = 33 is larger than the dictionary of 32 latents"):
        TrainConfig().check_sizes(33, 32)


def test_every_option_and_its_presets_are_in_the_documentation():
    rows = [line for line in (ROOT / "docs" / "cards.md").read_text().splitlines() if line.startswith("| `")]
    for field in fields(TrainConfig):
        (row,) = (line for line in rows if f"`{field.name}`" in line)
        if not row.startswith(f"| `{field.name}` |") or field.name == "matryoshka":
            continue
        for preset, cell in zip(("paper", "robust"), row.split("|")[2:4], strict=True):
            value = getattr(PRESETS[preset], field.name)
            assert (float(cell) if type(value) in (int, float) else cell.strip()) == (
                str(value).lower() if isinstance(value, bool) else value
            )


def test_settings_cost_no_heavy_library():
    import benchmark.sae.settings as settings

    assert "import torch" not in inspect.getsource(settings) and "import numpy" not in inspect.getsource(settings)
