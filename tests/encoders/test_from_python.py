import sys
from dataclasses import replace

import pytest
import torch

from benchmark.catalog import EncoderCard, find_card
from benchmark.encoders import load_encoder
from benchmark.errors import InputError, WorkError
from benchmark.jobs.keys import encoder_identity

TOWER = """
import torch
from {helper} import WIDTH

class Tower:
    def __init__(self, card):
        self.module = torch.nn.Embedding(256, WIDTH)
        torch.nn.init.constant_(self.module.weight, card.timestep)

    def preprocess(self, batch):
        ids = torch.tensor([list(text.encode()[:4].ljust(4)) for text in batch])
        return {{"input_ids": ids, "mask": torch.ones_like(ids, dtype=torch.bool)}}

    def states(self, inputs, layers):
        tokens = self.module(inputs["input_ids"])
        return {{layer: tokens + layer for layer in layers or [0, 1, 2]}}

def load(card):
    return Tower(card)
"""


@pytest.fixture
def module(tmp_path, request):
    """Return module(code): a module of a name of its own beside the card's file, and the card."""
    names = []

    def write(code, function="load", suffix="", folder=tmp_path, **fields):
        name = f"encoder_{abs(hash(request.node.nodeid))}{suffix}"
        names.extend([name, f"{name}_helper"])
        folder.mkdir(exist_ok=True)
        (folder / f"{name}_helper.py").write_text("WIDTH = 8\n")
        (folder / f"{name}.py").write_text(code.replace("{helper}", f"{name}_helper"))
        return EncoderCard(
            name="mine", library="python", source=f"python:{name}:{function}", modality="text", kind="text",
            token="last", base=str(folder), **fields,
        )  # fmt: skip

    yield write
    for name in names:
        sys.modules.pop(name, None)


CODE = TOWER.replace("{{", "{").replace("}}", "}")


def test_a_function_beside_the_cards_file_is_an_encoder(module, tmp_path):
    card = module(CODE, timestep=3)
    text = "\n".join(f"  {key}: {getattr(card, key)}" for key in ("library", "source", "modality", "kind", "token"))
    (tmp_path / "card.yaml").write_text(f"mine:\n{text}\n  timestep: 3\n")
    before = list(sys.path)
    encoder = load_encoder(tmp_path / "card.yaml")
    assert sys.path == before
    assert encoder.layers == [0, 1, 2] and encoder.widths == {0: 8, 1: 8, 2: 8}
    assert torch.equal(encoder.run(["a", "bcd"])[2].pooled, torch.full((2, 8), 5.0))
    assert find_card(EncoderCard, str(tmp_path / "card.yaml")).base == str(tmp_path)


def test_a_module_in_the_working_directory_and_one_in_a_package_are_found(module, tmp_path, monkeypatch):
    card = module(CODE, folder=tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    elsewhere = replace(card, base=str(tmp_path))
    assert load_encoder(elsewhere).layers == [0, 1, 2]
    package = tmp_path / "work" / f"{card.source.split(':')[1]}_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text("from .neighbour import load\n")
    (package / "neighbour.py").write_text((tmp_path / "work" / f"{card.source.split(':')[1]}.py").read_text())
    assert load_encoder(replace(elsewhere, source=f"python:{package.name}.inner:load")).layers == [0, 1, 2]


def test_the_card_may_restrict_the_layers(module):
    assert load_encoder(module(CODE, layers="0,2")).layers == [0, 2]


@pytest.mark.parametrize(
    "source", ["my_module:load", "python:module", "python:my-module:load", "python:m:a.b", "python:"]
)
def test_a_source_of_another_form_is_refused(module, source):
    with pytest.raises(InputError, match="python:MODULE:FUNCTION"):
        load_encoder(replace(module(CODE), source=source))


@pytest.mark.parametrize(
    "code, kind, message",
    [
        ("def other(card): ...", InputError, r"has no function 'load'"),
        ("load = 5", InputError, r"has no function 'load'"),
        ("import no_such_module_at_all", InputError, r"cannot be imported: ModuleNotFoundError: No module named"),
        ("def load(card:", InputError, r"cannot be imported: SyntaxError"),
        ("import sys\nsys.exit('usage')", InputError, r"cannot be imported: SystemExit: usage"),
        ("def load(card): raise SystemExit(2)", WorkError, r"failed with SystemExit: 2"),
        ("def load(card): return 5", InputError, r"returned a int without module .*preprocess, states"),
        ("def load(): ...", WorkError, r"failed with TypeError: load\(\) takes 0 positional arguments"),
        ("def load(card): return {}['weights']", WorkError, r"failed with KeyError: 'weights'"),
        (CODE.replace("+ layer", "+ torch.zeros(3)"), WorkError, r"that 'python:.*' returned cannot be used"),
    ],
)
def test_what_is_wrong_with_the_code_is_one_sentence_naming_its_file(module, code, kind, message):
    card = module(code)
    with pytest.raises(kind, match=message) as failure:
        load_encoder(card)
    text = str(failure.value)
    assert "\n" not in text and "'mine'" in text and card.source.split(":")[1] in text


def test_the_functions_own_error_stays_as_the_cause(module):
    with pytest.raises(WorkError) as failure:
        load_encoder(module("def load(card): return 1 / 0"))
    assert isinstance(failure.value.__cause__, ZeroDivisionError)


def test_a_module_that_is_nowhere_names_the_places_searched(module, tmp_path):
    with pytest.raises(InputError, match=f"no Python module 'nowhere_at_all'.*{tmp_path}.*nowhere_at_all.py beside"):
        load_encoder(replace(module(CODE), source="python:nowhere_at_all:load"))


def test_two_modules_of_one_name_are_not_mixed_up(module, tmp_path):
    load_encoder(module(CODE, folder=tmp_path / "one"))
    second = module(CODE, folder=tmp_path / "two")
    with pytest.raises(InputError, match="already in use .*one.*two"):
        load_encoder(second)


def test_a_module_changed_after_its_import_is_refused(module, tmp_path):
    card = module(CODE)
    load_encoder(card)
    load_encoder(card)
    path = tmp_path / f"{card.source.split(':')[1]}.py"
    path.write_text(path.read_text() + "\n# changed\n")
    with pytest.raises(InputError, match="changed after it was imported; start Python again"):
        load_encoder(card)


def test_the_key_follows_the_modules_file_the_function_and_the_card(module, tmp_path):
    card = module(CODE)
    before = encoder_identity(card)
    assert card.source.split(":")[1] not in sys.modules  # nothing was run
    assert encoder_identity(replace(card, licence="other")) == before
    others = [encoder_identity(replace(card, **change)) for change in ({"timestep": 1}, {"revision": "new weights"})]
    others.append(encoder_identity(replace(card, source=card.source.replace(":load", ":Tower"))))
    path = tmp_path / f"{card.source.split(':')[1]}.py"
    path.write_text(path.read_text().replace("+ layer", "+ 2 * layer"))
    others.append(encoder_identity(card))
    assert before not in others
