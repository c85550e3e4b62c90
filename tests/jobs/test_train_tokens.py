"""Training on all tokens, as a user asks for it."""

import numpy as np
import pandas as pd
import pytest
import torch

import registry

SMALL = ["--max-samples", "200", "--epochs", "2", "--k", "4", "--batch-size", "64", "--seeds"]


def saes_of(encoder, seed):
    """The table of the newest run of an encoder and seed, by layer."""
    run = registry.runs(kind="train", encoder=encoder, seed=seed).iloc[0]
    return run, pd.read_parquet(registry.verified(run.run_id) / "saes.parquet").set_index("layer")


@pytest.mark.parametrize("encoder", ["tiny-vit", "tiny-text"])
def test_a_layers_sae_is_the_same_whatever_other_layers_and_seeds_train(command, here, encoder):
    weights = []
    for layers, seeds in (("last", "7"), ("all", "6,7")):
        arguments = [*SMALL, seeds, "--tokens", "all", "--layers", layers]
        code, _, error = command("train", "--encoders", "cards.yaml", *arguments)
        assert code == 0, error
        _, found = saes_of(encoder, "7")
        weights.append(registry.load_sae(found.model_uri[found.index.max()]))
    one, other = (sae.state_dict() for sae in weights)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_quality_on_tokens_is_told_apart_from_that_on_recorded_vectors(command, here):
    keys = set()
    for tokens in ("global", "2", "all"):
        code, out, error = command("train", "--encoders", "one.yaml", *SMALL, "5", "--tokens", tokens)
        assert code == 0, error
        assert "reused" not in out
        run, found = saes_of("tiny-vit", "5")
        keys.add(run.key)
        if tokens == "global":
            assert not [name for name in found if name.endswith("_tokens")]
        else:
            assert np.isfinite(found.fvu_tokens).all() and (found.fvu_tokens != found.fvu).all()
    assert len(keys) == 3
    assert "reused" in command("train", "--encoders", "one.yaml", *SMALL, "5", "--tokens", "all")[1]
    assert not list(here.glob(".cache/activations/*/tokens-all*/*.tokens.npy"))
