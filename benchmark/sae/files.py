"""An SAE on disk: `model.safetensors` and `config.json` in one folder."""

import json
from pathlib import Path

from benchmark.sae.formats.about import About, about
from benchmark.sae.formats.parts import assemble, read_config, read_tensors, size
from benchmark.sae.topk import TopKSAE

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write_sae(sae: TopKSAE, folder: str | Path, origin: About | None = None) -> None:
    """Write an SAE's float32 weights and sizes and, if given, what it was trained on."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().float().cpu().contiguous() for name, tensor in sae.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    config = {"d": sae.d, "n_latents": sae.n_latents, "k": sae.k} | ({"about": origin.to_dict()} if origin else {})
    (folder / CONFIG).write_text(json.dumps(config) + "\n")


def read_sae(folder: str | Path, device: str = "cpu") -> TopKSAE:
    """Read an SAE that `write_sae` wrote.

    The sizes of the config are compared with the header of the weights before anything is allocated. Raises InputError
    (a ValueError) for a damaged, foreign or inconsistent folder.
    """
    d, m, k = sizes(folder)
    wanted = {"W_enc": (m, d), "W_dec": (m, d), "b_dec": (d,), "b_enc": (m,)}
    found = read_tensors(Path(folder, WEIGHTS), wanted, optional=("b_enc",))
    bias = found.get("b_enc")
    return assemble(folder, k, w_enc=found["W_enc"], w_dec=found["W_dec"], b_dec=found["b_dec"], b_enc=bias).to(device)


def sizes(folder: str | Path) -> tuple[int, int, int]:
    """Return d, n_latents and k as the config states them; raises InputError for what is no SAE's config."""
    path = Path(folder, CONFIG)
    config = read_config(path)
    d, m, k = (size(config, name, path) for name in ("d", "n_latents", "k"))
    return d, m, k


def read_origin(folder: str | Path) -> About:
    """Return what the files say that an SAE was trained on."""
    return about(read_config(Path(folder, CONFIG)).get("about"))
