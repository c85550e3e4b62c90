"""An SAE on disk: `model.safetensors` and `config.json` in one folder."""

import json
from pathlib import Path

from benchmark.sae.topk import TopKSAE

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write_sae(sae: TopKSAE, folder: str | Path) -> None:
    """Write an SAE's float32 weights and sizes."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().float().cpu().contiguous() for name, tensor in sae.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps({"d": sae.d, "n_latents": sae.n_latents, "k": sae.k}) + "\n")


def read_sae(folder: str | Path, device: str = "cpu") -> TopKSAE:
    """Read an SAE that `write_sae` wrote.

    The sizes of the config are compared with the header of the weights before anything is allocated. Raises ValueError
    for a damaged, foreign or inconsistent folder.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text())
        d, m, k = (int(config[name]) for name in ("d", "n_latents", "k"))
        with safe_open(folder / WEIGHTS, "pt", device=device) as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if shapes != {"W_enc": (m, d), "W_dec": (m, d), "b_dec": (d,)}:
                raise ValueError(f"{folder}: weights {shapes} do not fit d = {d} and n_latents = {m}.")
            state = {name: file.get_tensor(name) for name in shapes}
    except (OSError, KeyError, TypeError, json.JSONDecodeError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no readable SAE: {type(error).__name__}: {error}.") from None
    sae = TopKSAE(d, m, k).to(device)
    sae.load_state_dict(state)
    return sae
