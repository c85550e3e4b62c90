"""Cards: the YAML entries that describe encoders, datasets and suites, checked and turned into dataclasses.

Each file in `cards/encoders`, `cards/datasets` and `cards/suites` maps names to entries. A path to a YAML file of
the same form is accepted wherever a name is; relative paths inside a card are relative to the card's file.
"""

import re
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

from benchmark.errors import InputError, unknown

CARDS = Path(__file__).parent / "cards"


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """One encoder tower: where its weights are and how its global token is found."""

    name: str
    library: str
    """open_clip | timm | transformers | mambavision | diffusers | python | activations."""
    source: str
    """Hub name, or a folder with a checkpoint (relative to the card's file).

    python: `python:module:function`, a function that takes the card and returns a `Tower`. activations: a folder or
    file of vectors made elsewhere.
    """
    modality: str
    """image | text: what the tower reads."""
    kind: str
    """vision | text | vlm: what it was trained on (the paper's class of encoder)."""
    token: str
    """Rule for the global token: cls | eot | last | mean."""
    pretrained: str = ""
    """Name of the weights of an open_clip architecture (for instance `openai`)."""
    revision: str = ""
    """Commit of the hub repository."""
    family: str = ""
    """Encoders of one family share a training recipe (clip, dinov2, bert, ...)."""
    size: str = ""
    """Size label within the family (b, l, ...)."""
    padding: int = 0
    """Pad captions to exactly this many tokens (0: to the longest caption of the batch)."""
    layers: str = "all"
    """all | last | block indices separated by commas: the layers that the encoder offers."""
    timestep: int = 0
    """Timestep of a diffusion model: how much noise its input holds."""
    trust_remote_code: bool = False
    """The checkpoint's repository brings code that must run; works only when the user confirms it for the run too."""
    licence: str = ""
    """Licence of the weights."""
    shape: str = ""
    """Layers and widths to expect, `12x768` or `128,256,512,1024`; for plans made before the weights are here only."""
    gflop: float = 0.0
    """Billions of multiply-adds of one forward pass of one sample; for plans only."""
    download_mb: int = 0
    """Size of the download in MB (10^6 bytes); for plans and listings only."""
    training: dict[str, Any] = field(default_factory=dict)
    """How it was trained and how good it is; shown, never used."""
    base: str = ""
    """Folder of the card's file, for relative sources (filled in on reading)."""


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """One dataset of image-caption pairs."""

    name: str
    kind: str
    """scenes | blooms (procedural) | parquet | imagefolder | hub | coco | webdataset."""
    source: str = ""
    """Path (relative to the card's file) of the Parquet file or folder of them, of the image folder, of the folder with
    COCO's images, or of the tar shards (also a pattern or URL of them); hub: the repository, or a local copy of it."""
    size: int = 0
    """Number of procedural samples; otherwise the number to expect, for plans made before the data is here."""
    seed: int = 0
    """Seed of the procedural samples, of `captions: seed` and of `augment`."""
    shift: int = 1
    """Procedural: every second value of each captioned factor is so many times as frequent."""
    ids: str = ""
    """Procedural: what the samples' ids start with (default: the name); cards of the same samples share it."""
    revision: str = ""
    """Commit of the hub repository (webdataset: write it into `source`, hf://datasets/OWNER/NAME@COMMIT/...)."""
    config: str = ""
    """Configuration (subset) of the hub dataset."""
    split: str = "train"
    """Split of the hub dataset or of COCO."""
    streaming: bool = False
    """Fetch only the first `max_samples` samples of the hub dataset or of the shards, instead of all files."""
    max_samples: int = 0
    """Use at most this many samples (0: all; a stream needs a number)."""
    shuffle_seed: int = -1
    """Shuffle before `max_samples` are taken (-1: do not)."""
    annotations: str = ""
    """COCO: the captions' file (default: annotations/captions_*.json of `split`, or the only one)."""
    captions: str = "first"
    """first | all | seed: of an image's captions the first, each one as a sample of its own, or one drawn by `seed`."""
    augment: tuple[str, ...] = ()
    """crop, flip, colour: changes made once to every image, drawn from `seed` and the id of its row, in this order."""
    download_mb: int = 0
    """Size of the download in MB (10^6 bytes); for plans and listings only."""
    image: str = ""
    """Image column (default: the first column that holds images)."""
    caption: str = ""
    """Caption column (default: text, caption, captions, sentence, description or txt; webdataset: a member's ending or
    a field of the JSON member)."""
    id: str = ""
    """Column of stable sample ids (default: `id` if there is one, else the row number; webdataset: a field of the JSON
    member; streamed hub data: only if named here)."""
    group: str = ""
    """Column that groups samples of one image (default: `group` or `image_id`). Unless it is named here, samples with
    identical image bytes share a group too."""
    licence: str = ""
    """Licence of the data."""
    base: str = ""
    """Folder of the card's file, for relative sources (filled in on reading)."""


@dataclass(frozen=True, kw_only=True)
class SuiteCard:
    """A named comparison: encoders, a dataset, and how the SAEs are trained and recorded."""

    name: str
    dataset: str
    encoders: tuple[str, ...]
    layers: str = "last"
    """last | all | block indices separated by commas."""
    seeds: tuple[int, ...] = (0, 1)
    max_samples: int = 0
    """0: all samples."""
    k: int = 32
    expansion: int = 8
    n_latents: int = 0
    """Dictionary size; 0: expansion times the layer's width."""
    train_on: str = "train"
    """train | all: the samples that train the SAEs."""
    tokens: int | str = "global"
    """global | all | a number: what trains the SAEs beside each sample's global vector: nothing, all of its real
    tokens, or at most so many of them, drawn at random."""
    report_on: tuple[str, ...] = ("heldout",)
    """heldout | train | all: the sample sets that are compared; the first one gives the headline."""
    preset: str = "paper"
    """paper | robust: how the SAEs are trained where nothing else is said (benchmark/sae/settings.py)."""
    learning_rate: float | None = None
    """None: the preset's; likewise below."""
    batch_size: int | None = None
    """Vectors a training step: global ones, and tokens where they train too."""
    epochs: int | None = None
    training: dict[str, Any] = field(default_factory=dict)
    """Further training options that differ from the preset's, by name (fields of TrainConfig)."""
    codes: str = "topk"
    """topk | relu: what the trained SAEs record, the k most active latents of a sample, or all of them (as the authors'
    code)."""
    untrained: bool = True
    """Compare SAEs as they were before training too: the floor."""
    permutations: int = 19
    folds: int = 5
    min_count: int = 0
    """Features active on fewer of the compared samples are emptied before they are compared (0: none)."""
    paper_code: bool = False
    """Compute wMPPC as the authors' code does too."""

    base: str = ""
    """Folder of the card's file (filled in on reading); paths in the card are already relative to it."""


Card = TypeVar("Card", EncoderCard, DatasetCard, SuiteCard)
FOLDERS: dict[type, tuple[str, str]] = {
    EncoderCard: ("encoders", "encoder"),
    DatasetCard: ("datasets", "dataset"),
    SuiteCard: ("suites", "suite"),
}
CHOICES: dict[type, dict[str, tuple[str, ...]]] = {
    EncoderCard: {
        "library": ("open_clip", "timm", "transformers", "mambavision", "diffusers", "python", "activations"),
        "modality": ("image", "text"),
        "kind": ("vision", "vlm", "text"),
        "token": ("cls", "eot", "last", "mean"),
    },
    DatasetCard: {
        "kind": ("scenes", "blooms", "parquet", "imagefolder", "hub", "coco", "webdataset"),
        "captions": ("first", "all", "seed"),
    },
    SuiteCard: {"train_on": ("train", "all"), "codes": ("topk", "relu")},
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What a card may be called: names become parts of file, model and metric names."""


def cards(kind: type[Card]) -> dict[str, Card]:
    """Return all cards of one kind that ship with the project, by name, in the order of the files."""
    folder, _ = FOLDERS[kind]
    found: dict[str, Card] = {}
    for path in sorted((CARDS / folder).glob("*.yaml")):
        for name, card in read_cards(kind, path).items():
            if name in found:
                raise InputError(f"{path}: the {folder[:-1]} '{name}' is defined twice; rename one of them.")
            found[name] = card
    return found


def find_card(kind: type[Card], name: str) -> Card:
    """Return the card called `name`, or the single card of the YAML file at path `name`.

    Raises InputError for an unknown name (with close matches) or a malformed card.
    """
    known = cards(kind)
    if name in known:
        return known[name]
    label = FOLDERS[kind][1]
    if name.endswith((".yaml", ".yml")):
        entries = read_cards(kind, Path(name))
        if len(entries) != 1:
            raise InputError(f"{name} holds {len(entries)} {label} cards; a path must name a file with exactly one.")
        return next(iter(entries.values()))
    raise unknown(label, name, known)


def read_cards(kind: type[Card], path: Path) -> dict[str, Card]:
    """Read and check a YAML file that maps names to entries of one kind."""
    import yaml

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the card file {path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise InputError(f"{path} must map names to entries (name: {{field: value, ...}}).")
    return {str(name): _build(kind, str(name), entry, path) for name, entry in entries.items()}


def _build(kind: type[Card], name: str, entry: dict[str, Any], path: Path) -> Card:
    where = f"{path}, {FOLDERS[kind][1]} '{name}'"
    if not NAME.fullmatch(name):
        raise InputError(
            f"{where}: a name may hold letters, digits, '.', '_' and '-' only, and must start with a letter or digit."
        )
    known = {f.name: f for f in fields(kind) if f.name not in ("name", "base")}
    for key in entry:
        if key not in known:
            raise InputError(f"{where}: {unknown('field', str(key), known)}")
    values: dict[str, Any] = {"name": name}
    for key, value in entry.items():
        wanted: Any = known[key].type
        values[key] = tuple(value) if isinstance(value, list) else value
        if not _is_a(values[key], wanted):
            raise InputError(f"{where}: field '{key}' must be {_type_name(wanted)}, got {value!r}.")
        choices = CHOICES[kind].get(key)
        if choices and value not in choices:
            raise InputError(f"{where}: {unknown(key, str(value), choices)}")
        if value == "" and known[key].default is MISSING:
            raise InputError(f"{where}: field '{key}' is empty.")
    missing = [
        f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING and f.name not in entry
    ]
    if missing:
        raise InputError(f"{where}: missing field{'s' * (len(missing) > 1)} {', '.join(missing)}.")
    values["base"] = str(path.parent)
    if kind is SuiteCard:
        values["dataset"] = _beside(path, values["dataset"])
        values["encoders"] = tuple(_beside(path, item) for item in values["encoders"])
    return kind(**values)


def _beside(path: Path, name: str) -> str:
    """Return `name` as a path relative to the card's file when that file or folder exists, else unchanged."""
    found = path.parent / Path(name).expanduser()
    return str(found) if ("/" in name or found.suffix) and found.exists() else name


def _is_a(value: Any, wanted: Any) -> bool:
    """Whether a value read from YAML has the type of a field; true and false are no numbers."""
    if get_origin(wanted) is tuple:
        return isinstance(value, tuple) and all(_is_a(item, get_args(wanted)[0]) for item in value)
    if get_origin(wanted) is UnionType:
        return any(_is_a(value, kind) for kind in get_args(wanted))
    if wanted is float:
        return type(value) in (int, float)
    return type(value) is (get_origin(wanted) or wanted)


def _type_name(wanted: Any) -> str:
    if get_origin(wanted) is tuple:
        return f"a list of {get_args(wanted)[0].__name__}"
    kinds = [kind for kind in get_args(wanted) if kind is not NoneType] if get_origin(wanted) is UnionType else []
    return f"of type {' or '.join(kind.__name__ for kind in kinds or [get_origin(wanted) or wanted])}"


def local_path(source: str, base: str) -> Path | None:
    """Return the file or folder that `source` names, relative to `base`, or None when it is a hub name."""
    path = Path(base, Path(source).expanduser())
    return path.resolve() if path.exists() else None
