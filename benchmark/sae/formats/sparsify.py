"""EleutherAI's sparsify: `cfg.json` and `sae.safetensors` in a folder called after the hook point (`layers.5`).

encoder.weight (m, d), encoder.bias (m,), W_dec (m, d), b_dec (d,); follows `SparseCoder` of eai-sparsify 1.3.3.
"""

from pathlib import Path

from benchmark.errors import InputError
from benchmark.sae.formats.about import About, layer_of
from benchmark.sae.formats.parts import assemble, read_config, read_tensors, size
from benchmark.sae.topk import TopKSAE

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"
REFUSED = {
    "transcode": "a transcoder predicts another place of the model than it reads",
    "skip_connection": "its reconstruction adds a linear map of the input",
    "signed": "its latents may be negative",
}


def read_sparsify(folder: str | Path) -> tuple[TopKSAE, About]:
    """Read a sparse autoencoder of sparsify; its folder's name tells the layer.

    Raises InputError for transcoders, skip connections and activations other than TopK, and for damaged files.
    """
    d, m, k = sizes(folder)
    wanted = {"encoder.weight": (m, d), "encoder.bias": (m,), "W_dec": (m, d), "b_dec": (d,)}
    found = read_tensors(Path(folder, WEIGHTS), wanted)
    sae = assemble(
        folder, k, w_enc=found["encoder.weight"], w_dec=found["W_dec"], b_dec=found["b_dec"],
        b_enc=found["encoder.bias"],
    )  # fmt: skip
    here = Path(folder).absolute()
    # With several seeds, a hook point's folder holds one folder each.
    seed = here.name.removeprefix("seed") if here.name.startswith("seed") else ""
    layer = layer_of(here.parent.name if seed.isdecimal() else here.name)
    return sae, About(layer=layer, seed=int(seed) if seed.isdecimal() else None)


def sizes(folder: str | Path) -> tuple[int, int, int]:
    """Return d, m and k as the config states them; raises InputError for what is no TopK SAE."""
    path = Path(folder, CONFIG)
    config = read_config(path)
    for name, reason in REFUSED.items():
        if config.get(name):
            raise InputError(f"{path}: {name} is set, which is no TopK SAE: {reason}.")
    if (activation := config.get("activation", "topk")) != "topk":
        raise InputError(f"{path}: activation is '{str(activation)[:50]}'; only topk is a TopK SAE.")
    d, k = size(config, "d_in", path), size(config, "k", path)
    m = size(config, "num_latents", path) if config.get("num_latents") else d * size(config, "expansion_factor", path)
    return d, m, k
