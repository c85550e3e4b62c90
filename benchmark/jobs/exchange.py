"""The commands that exchange SAEs with others: `export`, `push` and `pull`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.catalog import EncoderCard, cards, local_path
from benchmark.errors import InputError, WorkError
from benchmark.jobs import tracking
from benchmark.jobs.configs import ExportConfig, PullConfig, PushConfig

if TYPE_CHECKING:
    from benchmark.sae.formats.about import About

EXAMPLE = "models:/NAME/VERSION or models:/NAME@seed-0"


def export(config: ExportConfig) -> int:
    """Run the `export` command; returns its exit code."""
    import registry

    _needed(config.sae, f"--sae {EXAMPLE}")
    _needed(config.output, "--output FOLDER")
    tracking.open_store()
    with _asked(config.sae):
        entries = registry.write_saes(config.sae, Path(config.output), config.format, encoders=_encoders())
    for entry in entries:
        print(f"{Path(config.output, entry.place)}: {entry.n_latents} latents of width {entry.d}, k = {entry.k}")
    return 0


def push(config: PushConfig) -> int:
    """Run the `push` command; returns its exit code."""
    import registry

    _needed(config.sae, f"--sae {EXAMPLE}")
    _needed(config.repository, "--repository OWNER/NAME (or a folder)")
    tracking.open_store()
    with _asked(config.sae):
        where = registry.push_sae(
            config.sae, config.repository,
            layout=config.format, private=config.private, revision=config.revision, licence=config.licence,
            encoders=_encoders(),
        )  # fmt: skip
    print(f"pushed {len(config.sae)} SAE{'s' * (len(config.sae) > 1)}: {where}")
    return 0


def pull(config: PullConfig) -> int:
    """Run the `pull` command; returns its exit code."""
    import registry

    _needed(config.repository, "--repository OWNER/NAME (or a folder, or a file)")
    # Read before anything is opened: what cannot be used leaves no run behind.
    pulled = registry.pull_sae(config.repository, config.revision, config.path, config.k)
    about = _known(config, pulled.about)
    tracking.open_store()
    source = "@".join(filter(None, (pulled.repository, pulled.commit)))
    said = {"source": source, "path": pulled.place, "layout": pulled.layout}
    tags = {"dataset": about.dataset, "encoder": about.encoder, **_seed(about)}
    with tracking.job_run("pull", f"pull {pulled.repository}", tags=tags, params={**said, "k": pulled.sae.k}):
        assert about.layer is not None  # _known saw to it
        uri = registry.log_sae(
            pulled.sae, dataset=about.dataset, encoder=about.encoder, layer=about.layer, seed=about.seed,
            # Not `seed-N`: that is the alias of an SAE trained here.
            alias="-".join(["pulled", *(["seed", str(about.seed)] if about.seed is not None else [])]),
            # Its publisher's figures are said, not logged as measured here.
            metadata={**said, "licence": about.licence, "quality": dict(about.quality)},
        )  # fmt: skip
    sae = pulled.sae
    print(f"{uri}: {sae.n_latents} latents of width {sae.d}, k = {sae.k} ({pulled.layout}, {source}, {pulled.place})")
    return 0


def _known(config: PullConfig, found: "About") -> "About":
    """Return what is known of a pulled SAE; raises InputError where its registered name cannot be made."""
    about = replace(
        found,
        encoder=config.encoder or found.encoder,
        dataset=config.dataset or found.dataset,
        layer=found.layer if config.layer is None else config.layer,
        seed=found.seed if config.seed is None else config.seed,
    )
    missing = [name for name in ("encoder", "layer", "dataset") if getattr(about, name) in ("", None)]
    if missing:
        options = " ".join(f"--{name} {name.upper()}" for name in missing)
        raise InputError(f"{config.repository} does not say the {' and '.join(missing)} of its SAE; add {options}.")
    return about


def _seed(about: "About") -> dict[str, str]:
    return {} if about.seed is None else {"seed": str(about.seed)}


def _needed(value: object, option: str) -> None:
    if not value:
        raise InputError(f"say {option}.")


def _encoders() -> "dict[str, About]":
    """Return where the weights of the encoders with cards are, and their licences."""
    from benchmark.sae.formats.about import About

    found = {}
    for name, card in cards(EncoderCard).items():
        ships = local_path(card.source, card.base) is not None
        source = "ships with the project" if ships else f"{card.source} {card.pretrained}".strip()
        at = f", commit {card.revision}" * bool(card.revision)
        found[name] = About(weights=f"{card.library}, {source}{at}, token {card.token}", licence=card.licence)
    return found


@contextmanager
def _asked(uris: tuple[str, ...]) -> Iterator[None]:
    """Make a model that does not exist, or is no SAE, the user's mistake."""
    try:
        yield
    except (InputError, WorkError):
        raise
    except ValueError as error:
        from mlflow import MlflowClient

        names = [model.name for model in MlflowClient().search_registered_models()]
        asked = [uri.removeprefix("models:/").partition("@")[0].partition("/")[0] for uri in uris]
        close = sorted({match for name in asked if name not in names for match in get_close_matches(name, names, 2)})
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise InputError(f"{' '.join(str(error).split())}{hint}") from None
