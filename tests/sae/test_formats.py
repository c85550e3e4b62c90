"""SAEs in the files of others compute here what they compute there; what cannot be computed exactly is refused.

The other side is written out from its definition; the packages themselves are compared where they are installed.
"""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.errors import InputError
from benchmark.sae import TopKSAE
from benchmark.sae.formats.about import About
from benchmark.sae.formats.authors import read_authors
from benchmark.sae.formats.published import find_saes, read_published
from benchmark.sae.formats.saelens import read_saelens, write_saelens
from benchmark.sae.formats.sparsify import read_sparsify

D, M, K = 7, 24, 4
X = torch.randn(64, D, generator=torch.Generator().manual_seed(5))


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dense(sae: TopKSAE) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an SAE's codes (N, m) and its reconstruction of X."""
    with torch.no_grad():
        values, indices = sae.encode(X)
        return torch.zeros(len(X), sae.n_latents).scatter(1, indices.long(), values), sae.decode(values, indices)


def topk(scores: torch.Tensor, k: int) -> torch.Tensor:
    values, indices = scores.topk(k, dim=1)
    return torch.zeros_like(scores).scatter(1, indices, values.relu())


def agree(sae: TopKSAE, codes: torch.Tensor, reconstruction: torch.Tensor) -> None:
    ours = dense(sae)
    assert torch.equal(ours[0] > 0, codes > 0)
    for found, wanted in zip(ours, (codes, reconstruction), strict=True):
        torch.testing.assert_close(found / wanted.abs().max(), wanted / wanted.abs().max(), atol=1e-6, rtol=0)


@pytest.fixture
def saelens(tmp_path):
    """Write a folder in the layout of SAELens: `saelens(field=value)`; `weights={...}` replaces tensors."""

    def write(weights=None, drop=(), **fields) -> Path:
        tensors = {
            "W_enc": drawn(D, M, seed=0), "b_enc": drawn(M, seed=1), "W_dec": drawn(M, D, seed=2),
            "b_dec": drawn(D, seed=3),
        }  # fmt: skip
        save_file(tensors | (weights or {}), tmp_path / "sae_weights.safetensors")
        config = {
            "architecture": "topk", "d_in": D, "d_sae": M, "k": K, "dtype": "float32", "device": "cuda",
            "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
            "rescale_acts_by_decoder_norm": False,
            "metadata": {
                "sae_lens_version": "6.1.0", "model_name": "gpt2", "hook_name": "blocks.5.hook_resid_post",
                "dataset_path": "some/text",
            },
        } | fields  # fmt: skip
        (tmp_path / "cfg.json").write_text(json.dumps({k: v for k, v in config.items() if k not in drop}))
        return tmp_path

    return write


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("rescaled", [True, False])
def test_an_sae_of_saelens_computes_what_its_formula_says(saelens, centred, rescaled):
    folder = saelens(apply_b_dec_to_input=centred, rescale_acts_by_decoder_norm=rescaled)
    w = load_file(folder / "sae_weights.safetensors")
    norms = w["W_dec"].norm(dim=1) if rescaled else torch.ones(M)
    codes = topk(((X - centred * w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * norms, K)
    sae, about = read_saelens(folder)
    agree(sae, codes, (codes / norms) @ w["W_dec"] + w["b_dec"])
    assert about == About(encoder="gpt2", layer=5, dataset="some/text")


def test_an_sae_of_saelens_before_version_6_is_read_by_its_old_fields(saelens):
    folder = saelens(
        drop=("k", "metadata", "normalize_activations"), architecture="standard", activation_fn_str="topk",
        activation_fn_kwargs={"k": K}, sae_lens_version="3.20.0", hook_point="blocks.2.hook_resid_pre",
        model_name="vit", normalise=1,
    )  # fmt: skip
    sae, about = read_saelens(folder)
    assert sae.k == K and (about.encoder, about.layer) == ("vit", 1)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"architecture": "jumprelu"}, "architecture 'jumprelu' .*: the number of active latents differs"),
        ({"architecture": "batchtopk"}, "architecture 'batchtopk' .*: it selects over a batch"),
        ({"architecture": "standard"}, "architecture 'standard' .*: it is a ReLU SAE"),
        ({"architecture": "topk_transcoder"}, "architecture 'topk_transcoder'"),
        ({"architecture": None}, "architecture 'None'"),
        ({"normalize_activations": "expected_average_only_in"}, "normalize_activations .* factor"),
        ({"normalize_activations": "layer_norm"}, "normalize_activations is 'layer_norm'"),
        ({"reshape_activations": "hook_z"}, "reshape_activations"),
        ({"finetuning_scaling_factor": True}, "finetuning_scaling_factor"),
        ({"apply_b_dec_to_input": "yes"}, "'apply_b_dec_to_input' must be true or false"),
        ({"k": 0}, "'k' must be a whole number"),
        ({"k": M + 1}, "does not fit a dictionary"),
        ({"d_sae": 10**12}, "do not fit"),
        ({"weights": {"threshold": torch.zeros(M)}}, "do not fit"),
        ({"weights": {"scaling_factor": torch.full((M,), 2.0)}}, "scaling_factor other than 1"),
    ],
)  # fmt: skip
def test_what_saelens_has_and_a_topk_sae_has_not_is_refused_by_name(saelens, fields, says):
    with pytest.raises(InputError, match=says):
        read_saelens(saelens(**fields))


def test_a_scaling_factor_of_ones_and_a_bias_of_zeros_change_nothing(saelens):
    sae, _ = read_saelens(saelens(weights={"scaling_factor": torch.ones(M), "b_enc": torch.zeros(M)}))
    assert sae.b_enc is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precisions_become_float32(saelens, dtype):
    w = {name: value.to(dtype) for name, value in load_file(saelens() / "sae_weights.safetensors").items()}
    sae, _ = read_saelens(saelens(weights=w))
    assert sae.W_dec.dtype == torch.float32 and torch.equal(sae.W_dec, w["W_dec"].float())


@pytest.mark.parametrize("bias", [True, False])
def test_what_is_written_for_saelens_comes_back(tmp_path, bias):
    sae = TopKSAE(D, M, K, seed=3, encoder_bias=bias)
    for parameter in sae.parameters():
        parameter.data.normal_()
    origin = About(encoder="small-vit", layer=3, dataset="scenes", seed=1, licence="MIT", quality={"fvu": 0.5})
    write_saelens(sae, tmp_path, origin)
    again, about = read_saelens(tmp_path)
    assert about == origin and again.k == K
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in sae.state_dict().items())
    config = json.loads((tmp_path / "cfg.json").read_text())
    assert config["metadata"]["hook_name"] == "blocks.3.hook_resid_post"


def sparsify(folder: Path, **fields) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            "encoder.weight": drawn(M, D, seed=0), "encoder.bias": drawn(M, seed=1), "W_dec": drawn(M, D, seed=2),
            "b_dec": drawn(D, seed=3),
        },
        folder / "sae.safetensors",
    )  # fmt: skip
    config = {
        "activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": M, "k": K,
        "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": D,
    } | fields  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("layers.9", About(layer=9)),
        ("h.4/seed2", About(layer=4, seed=2)),
        ("anything", About()),
    ],
)
def test_an_sae_of_sparsify_computes_what_its_formula_says(tmp_path, name, about):
    folder = sparsify(tmp_path / name)
    w = load_file(folder / "sae.safetensors")
    codes = topk((X - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"], K)
    sae, found = read_sparsify(folder)
    agree(sae, codes, codes @ w["W_dec"] + w["b_dec"])
    assert found == about


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"transcode": True}, "transcode is set"),
        ({"skip_connection": True}, "skip_connection is set"),
        ({"signed": True}, "signed is set"),
        ({"activation": "groupmax"}, "activation is 'groupmax'"),
        ({"num_latents": 0}, "do not fit"),
        ({"num_latents": 0, "expansion_factor": 10**12}, "do not fit"),
        ({"d_in": None}, "'d_in' must be a whole number"),
        ({"k": M + 1}, "does not fit a dictionary"),
    ],
)
def test_what_sparsify_has_and_a_topk_sae_has_not_is_refused_by_name(tmp_path, fields, says):
    with pytest.raises(InputError, match=says):
        read_sparsify(sparsify(tmp_path, **fields))


class AuthorsTopKSAE(torch.nn.Module):
    """The parameters and the forward pass of the authors' module, written from its definition; b_enc is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.W_enc, self.b_enc = torch.nn.Parameter(drawn(D, M, seed=0)), torch.nn.Parameter(torch.zeros(M))
        self.W_dec, self.b_dec = torch.nn.Parameter(drawn(M, D, seed=2)), torch.nn.Parameter(drawn(D, seed=3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codes = topk(((x - self.b_dec) @ self.W_enc).relu(), K)
        return codes, codes @ self.W_dec + self.b_dec


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_state_dict_of_the_authors_module_computes_the_same(tmp_path, ending):
    module, path = AuthorsTopKSAE(), tmp_path / f"sae.{ending}"
    (torch.save if ending == "pt" else save_file)(module.state_dict(), path)
    with torch.no_grad():
        agree(read_authors(path, K), *module(X))


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("was_here"),))


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (Malicious(), "without running code"),
        ({"W_dec": Malicious()}, "without running code"),
        ({"W_dec": 3}, "named float tensors and nothing else"),
        ([torch.zeros(2)], "no state dict"),
        ({"encoder.weight": torch.zeros(M, D)}, "no matrix W_dec"),
        ({"W_dec": torch.zeros(M, D)}, "do not fit"),
        ({"W_dec": torch.zeros(1, 1).expand(10**6, 10**6)}, "larger tensors than it holds"),
        (AuthorsTopKSAE().state_dict() | {"b_enc": torch.ones(M)}, "b_enc is not 0"),
        (AuthorsTopKSAE().state_dict() | {"W_enc": torch.zeros(M, D)}, "do not fit"),
        (AuthorsTopKSAE().state_dict() | {"b_dec": torch.zeros(D, dtype=torch.int64)}, "named float tensors"),
        (AuthorsTopKSAE().state_dict() | {"b_dec": torch.full((D,), torch.inf)}, "not finite"),
    ],
)
def test_a_file_that_is_no_such_state_dict_is_one_sentence_and_runs_nothing(tmp_path, monkeypatch, state, says):
    monkeypatch.chdir(tmp_path)
    torch.save(state, "sae.pt")
    with pytest.raises(InputError, match=says):
        read_authors("sae.pt", K)
    assert not Path("was_here").exists()


def test_files_of_the_old_torch_format_and_of_none_are_one_sentence(tmp_path):
    torch.save(AuthorsTopKSAE().state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "none.pt").write_bytes(b"no")
    for name in ("old.pt", "none.pt", "missing.pt"):
        with pytest.raises(InputError, match=f"{name} is no state dict"):
            read_authors(tmp_path / name, K)


def test_saes_are_found_by_the_names_of_their_files():
    names = [
        "README.md", "a/config.json", "a/model.safetensors", "b/c/cfg.json", "b/c/sae_weights.safetensors",
        "layers.0/cfg.json", "layers.0/sae.safetensors", "stray.pt", "d/model.safetensors",
    ]  # fmt: skip
    assert find_saes(names) == {"a": "own", "b/c": "saelens", "layers.0": "sparsify"}
    assert find_saes(["cfg.json", "sae.safetensors"]) == {".": "sparsify"}
    assert find_saes(["x/stray.pt", "notes.txt"]) == {"x/stray.pt": "state"}
    assert find_saes([]) == {}


def test_k_is_asked_for_where_a_file_does_not_say_it_and_must_be_right_elsewhere(tmp_path):
    torch.save(AuthorsTopKSAE().state_dict(), tmp_path / "sae.pt")
    with pytest.raises(InputError, match="give k"):
        read_published(tmp_path / "sae.pt", "state")
    assert read_published(tmp_path / "sae.pt", "state", K).sae.k == K
    with pytest.raises(InputError, match=f"its k is {K}, not {K + 1}"):
        read_published(sparsify(tmp_path / "layers.1"), "sparsify", K + 1)


@pytest.mark.skipif(importlib.util.find_spec("sae_lens") is None, reason="sae-lens is not installed")
def test_the_package_sae_lens_agrees_both_ways(saelens, tmp_path):
    from sae_lens import SAE

    for fields in ({}, {"rescale_acts_by_decoder_norm": True}, {"apply_b_dec_to_input": False}):
        folder = saelens(**fields, device="cpu")
        theirs = SAE.load_from_disk(folder)
        with torch.no_grad():
            codes = theirs.encode(X)
            agree(read_saelens(folder)[0], codes, theirs.decode(codes))
    ours = TopKSAE(D, M, K, seed=1)
    write_saelens(ours, tmp_path / "ours", About(encoder="small-vit", layer=2, dataset="scenes"))
    theirs = SAE.load_from_disk(tmp_path / "ours")
    with torch.no_grad():
        codes = theirs.encode(X)
        agree(ours, codes, theirs.decode(codes))
    assert theirs.cfg.metadata.encoder == "small-vit" and theirs.cfg.k == K


@pytest.mark.skipif(importlib.util.find_spec("sparsify") is None, reason="eai-sparsify is not installed")
def test_the_package_sparsify_agrees(tmp_path):
    from sparsify import SparseCoder

    theirs = SparseCoder.load_from_disk(sparsify(tmp_path / "layers.0"))
    with torch.no_grad():
        values, indices, _ = theirs.encode(X)
        codes = torch.zeros(len(X), M).scatter(1, indices, values)
        agree(read_sparsify(tmp_path / "layers.0")[0], codes, theirs.decode(values, indices))
