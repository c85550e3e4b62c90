"""The model card (README.md) of SAEs in a repository."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import yaml

from benchmark.sae.formats.about import About

LICENCES = {
    "apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "creativeml-openrail-m", "openrail++", "llama2",
}  # fmt: skip
"""Licences that the hub has names for, as far as encoders' cards name them; anything else is `other` there."""
MEANINGS = {
    "dead": "share of latents that never fire",
    "explained_variance": "share of the variance that is reconstructed",
    "fvu": "share of the variance that is not",
    "l0": "active latents a sample",
    "rare": "share of latents that seldom fire",
}


class Entry(NamedTuple):
    """An SAE in a repository."""

    place: str
    """Its folder within the repository, "." for the repository itself."""
    about: About
    d: int
    n_latents: int
    k: int


def model_card(entries: Sequence[Entry], layout: str) -> str:
    """Return the text of a README.md: what the SAEs read, their figures, the licence, how they are loaded.

    Names come from cards and from files of others, so they are escaped.
    """
    licence = ", ".join(sorted({" ".join(entry.about.licence.split()) for entry in entries} - {""}))
    head = {
        "license": licence.lower() if licence.lower() in LICENCES else "other",
        **({"license_name": licence} if licence and licence.lower() not in LICENCES else {}),
        "tags": ["sparse-autoencoder", "sae", "topk"] + ["saelens"] * (layout == "saelens"),
        **({"library_name": "saelens"} if layout == "saelens" else {}),
    }
    figures = sorted({name for entry in entries for name in entry.about.quality})
    names = ["folder", "encoder", "layer", "dataset", "seed", "width", "latents", "k", *figures]
    rows = [_row(names), _row(["---"] * len(names)), *(_row(_cells(entry, figures)) for entry in entries)]
    title = "TopK sparse autoencoder" + "s" * (len(entries) > 1)
    return "\n".join([
        "---", yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(), "---", "", f"# {title}", "",
        "x_hat = b_dec + sum over the k most active latents of ReLU(W_enc (x - b_dec) + b_enc)_i W_dec_i, on the",
        "residual stream of an encoder (the form of arXiv 2507.18512).", "",
        *rows, "",
        "`layer` is the index of the block whose output is read.", *_weights(entries), "",
        _figures(figures), "",
        f"Licence: {_escaped(licence or 'not stated')} (of the encoder's weights, unless the publisher chose one).", "",
        *_usage(entries[0], layout),
    ]) + "\n"  # fmt: skip


def _weights(entries: Sequence[Entry]) -> list[str]:
    known = {entry.about.encoder: entry.about.weights for entry in entries if entry.about.weights}
    return [f"- {_escaped(encoder)}: {_escaped(weights)}" for encoder, weights in known.items()]


def _figures(names: Sequence[str]) -> str:
    explained = [f"`{name}`: {MEANINGS[name]}" for name in names if name in MEANINGS]
    if not names:
        return "No quality figures were recorded."
    return (
        f"Figures are those of the training run{' (' * bool(explained)}{'; '.join(explained)}{')' * bool(explained)}."
    )


def _usage(first: Entry, layout: str) -> list[str]:
    folder = "PATH" if first.place == "." else f"PATH/{first.place}"
    if layout == "saelens":
        return [
            "```python", "from sae_lens import SAE", "", f'sae = SAE.load_from_disk("{folder}")', "```", "",
            "Layout: SAELens (`cfg.json`, `sae_weights.safetensors`).",
        ]  # fmt: skip
    return [
        "`config.json` holds the sizes; `model.safetensors` holds W_enc (m, d), W_dec (m, d), b_dec (d,) and, where",
        "there is one, b_enc (m,).", "",
        "```python", "from benchmark.sae import read_sae", "", f'sae = read_sae("{folder}")', "```",
    ]  # fmt: skip


def _cells(entry: Entry, figures: Sequence[str]) -> list[str]:
    about: About = entry.about
    quality: Mapping[str, float] = about.quality
    known = [about.encoder or "?", "?" if about.layer is None else about.layer, about.dataset or "?"]
    known += ["?" if about.seed is None else about.seed, entry.d, entry.n_latents, entry.k]
    return [entry.place, *map(str, known), *(f"{quality[name]:.4g}" if name in quality else "" for name in figures)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell if cell == "---" else _escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Return a text that Markdown and HTML show as it is."""
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;"))
