"""Tokenizers must have their vocabulary, and a caption a length."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.encoders import load_encoder
from benchmark.encoders.vocabulary import caption_limit
from benchmark.errors import InputError


@pytest.mark.parametrize(
    "kind, token, padding",
    [("bert", "cls", 0), ("gpt2", "last", 0), ("clip", "eot", 0), ("siglip2", "last", 64), ("deberta", "cls", 0),
     ("open_clip", "eot", 0)],
)  # fmt: skip
def test_a_checkpoint_without_its_tokenizers_files_is_refused(card, tmp_path, kind, token, padding):
    source = card(kind, "text", token, padding)
    folder = Path(shutil.copytree(source.source, tmp_path / "copy"))
    for path in [*folder.glob("tokenizer*"), *folder.glob("special_tokens*"), *folder.glob("vocab*")]:
        path.unlink()
    with pytest.raises(InputError, match=f"{source.name}.*{folder}.* has no vocabulary.*tokenizer.json") as failure:
        load_encoder(replace(source, source=str(folder)))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "tokenizer, model, limit",
    [
        (24, 24, 24),
        (77, 512, 77),
        (10**30, 24, 24),
        (-1, 24, 24),
        (None, 24, 24),
        (10**30, -1, 512),  # XLNet
        (-1, None, 512),
        (2048, None, 512),  # BLOOM: no positions
    ],
)
def test_a_limit_that_means_none_is_none(tokenizer, model, limit):
    config = SimpleNamespace() if model is None else SimpleNamespace(max_position_embeddings=model)
    assert caption_limit(SimpleNamespace(model_max_length=tokenizer), config) == limit


@pytest.mark.parametrize("stated", ["-1", "1000000000000000019884624838656"])
def test_a_tokenizer_without_a_limit_is_cut_at_the_models(card, tmp_path, stated):
    source = card("bert", "text", "cls")
    folder = Path(shutil.copytree(source.source, tmp_path / "bert"))
    settings = (folder / "tokenizer_config.json").read_text()
    assert '"model_max_length": 24' in settings
    (folder / "tokenizer_config.json").write_text(settings.replace('h": 24', f'h": {stated}'))
    assert load_encoder(replace(source, source=str(folder))).run(["a red ball " * 20])[0].tokens.shape[1] == 24
