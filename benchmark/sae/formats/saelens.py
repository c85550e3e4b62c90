"""SAELens: `cfg.json` and `sae_weights.safetensors`, with W_enc (d, m), W_dec (m, d), b_enc (m,), b_dec (d,).

Follows the loader and `TopKSAE` of sae-lens 6.54.12, and what that reads of files from before version 6.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmark.errors import InputError
from benchmark.sae.formats.about import About, about, layer_of
from benchmark.sae.formats.parts import assemble, check_shapes, read_config, shapes, size
from benchmark.sae.topk import TopKSAE

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
VERSION = "6.54.12"
"""Version of sae-lens whose layout is written."""
SMALLEST_NORM = 1e-8
"""sae-lens clamps the lengths of decoder rows at this where it folds them."""
OTHERS = {
    "jumprelu": "the number of active latents differs between samples (BatchTopK and Matryoshka SAEs are saved so)",
    "batchtopk": "it selects over a batch, so a sample's codes depend on the others",
    "matryoshka_batchtopk": "it selects over a batch, so a sample's codes depend on the others",
    "standard": "it is a ReLU SAE, with all positive latents active",
}


def read_saelens(folder: str | Path) -> tuple[TopKSAE, About]:
    """Read a TopK SAE of SAELens, and what it was trained on.

    An SAE without `apply_b_dec_to_input`, or with `rescale_acts_by_decoder_norm`, is rewritten into the same function.
    Raises InputError for any other architecture, for normalised or reshaped activations, and for damaged files.
    """
    path = Path(folder, CONFIG)
    config = settings(folder)
    d, m, k = (size(config, name, path) for name in ("d_in", "d_sae", "k"))
    found = _tensors(Path(folder, WEIGHTS), d, m)
    w_enc, w_dec, b_enc, b_dec = found["W_enc"].T, found["W_dec"], found["b_enc"], found["b_dec"]
    if _switch(config, "rescale_acts_by_decoder_norm", False, path):
        norms = w_dec.norm(dim=1).clamp(min=SMALLEST_NORM)
        w_enc, w_dec, b_enc = w_enc * norms[:, None], w_dec / norms[:, None], b_enc * norms
    if not _switch(config, "apply_b_dec_to_input", True, path):
        b_enc = b_enc + w_enc @ b_dec  # W x + b = W (x - b_dec) + (b + W b_dec)
    sae = assemble(folder, k, w_enc=w_enc, w_dec=w_dec, b_dec=b_dec, b_enc=b_enc)
    return sae, _origin(config["metadata"])


def write_saelens(sae: TopKSAE, folder: str | Path, origin: About) -> None:
    """Write an SAE so that `sae_lens.SAE.load_from_disk` reads it; what it was trained on becomes its metadata."""
    import torch
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bias = torch.zeros(sae.n_latents) if sae.b_enc is None else sae.b_enc
    state = {"W_enc": sae.W_enc.T, "W_dec": sae.W_dec, "b_enc": bias, "b_dec": sae.b_dec}
    save_file({name: value.detach().float().cpu().contiguous() for name, value in state.items()}, folder / WEIGHTS)
    place = "" if origin.layer is None else f"blocks.{origin.layer}.hook_resid_post"
    config = {
        "architecture": "topk",
        "d_in": sae.d,
        "d_sae": sae.n_latents,
        "k": sae.k,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": {
            "sae_lens_version": VERSION,
            "sae_lens_training_version": None,  # it was not trained by sae-lens
            "model_name": origin.encoder,
            "hook_name": place,
            "dataset_path": origin.dataset,
            **origin.to_dict(),
        },
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")


def settings(folder: str | Path) -> dict[str, Any]:
    """Return the config as version 6 writes it; raises InputError for what is no TopK SAE that can be read."""
    path = Path(folder, CONFIG)
    config = _of_today(read_config(path))
    _refuse(config, path)
    return config


def _tensors(path: Path, d: int, m: int) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    found = shapes(path)
    extra = {"scaling_factor": (m,)} if "scaling_factor" in found else {}  # files from before 2025 have one, of ones
    check_shapes(path, found, {"W_enc": (d, m), "W_dec": (m, d), "b_enc": (m,), "b_dec": (d,), **extra}, ())
    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    if extra and not bool((tensors.pop("scaling_factor") == 1).all()):
        raise InputError(f"{path}: a scaling_factor other than 1 is not read; fold it into W_dec first.")
    return tensors


def _of_today(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration as version 6 writes it; before, all fields lay side by side and TopK was an activation."""
    metadata = config.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    version = str(config.get("sae_lens_version") or metadata.get("sae_lens_version") or "0")
    if version.split(".")[0].isdecimal() and int(version.split(".")[0]) >= 6:
        return {**config, "metadata": metadata}
    activation = config.get("activation_fn_str", config.get("activation_fn", "relu"))
    arguments = config.get("activation_fn_kwargs")
    arguments = arguments if isinstance(arguments, Mapping) else {}
    topk = {"architecture": "topk", "k": arguments["k"]} if activation == "topk" and "k" in arguments else {}
    normalised = config.get("normalize_activations") or "none"
    return {
        "architecture": "standard",
        **config,
        **topk,
        "normalize_activations": "expected_average_only_in" if normalised is True else normalised,
        "reshape_activations": config.get("reshape_activations", "hook_z" if "hook_z" in _place(config) else "none"),
        "metadata": {**config, **metadata},
    }


def _refuse(config: Mapping[str, Any], path: Path) -> None:
    """Raise InputError for what a `TopKSAE` does not compute."""
    kind = str(config.get("architecture"))[:50]
    if kind != "topk":
        reason = OTHERS.get(kind, "only architecture 'topk' is a TopK SAE")
        raise InputError(f"{path}: architecture '{kind}' cannot be read as a TopK SAE: {reason}.")
    normalised = str(config.get("normalize_activations", "none"))[:50]
    if normalised == "expected_average_only_in":
        raise InputError(
            f"{path}: normalize_activations is '{normalised}', whose factor the file does not hold; fold it in "
            "sae-lens first (sae.fold_activation_norm_scaling_factor)."
        )
    if normalised != "none":
        raise InputError(
            f"{path}: normalize_activations is '{normalised}'; a TopK SAE here reads activations as they are."
        )
    if config.get("reshape_activations", "none") != "none":
        raise InputError(f"{path}: reshape_activations is set; only SAEs that read plain vectors are read.")
    if config.get("finetuning_scaling_factor"):
        raise InputError(f"{path}: finetuning_scaling_factor is set; fold it into W_dec first.")


def _switch(config: Mapping[str, Any], name: str, default: bool, path: Path) -> bool:
    value = config.get(name, default)
    if type(value) is not bool:
        raise InputError(f"{path}: field '{name}' must be true or false, got {str(value)[:50]!r}.")
    return value


def _origin(metadata: Mapping[str, Any]) -> About:
    layer = layer_of(_place(metadata))
    named = {
        "encoder": metadata.get("model_name"),
        "dataset": metadata.get("dataset_path"),
        "layer": layer if layer is not None else metadata.get("hook_layer"),
    }
    own = {part.name: metadata[part.name] for part in fields(About) if part.name in metadata}
    return about({**named, **own})


def _place(config: Mapping[str, Any]) -> str:
    return str(config.get("hook_name", config.get("hook_point", "")))
