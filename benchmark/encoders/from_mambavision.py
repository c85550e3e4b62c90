"""MambaVision (Hatamizadeh and Kautz, arXiv 2407.08083) through NVIDIA's package `mambavision`, on any device.

The package pins old versions of timm and transformers and the CUDA-only mamba-ssm, yet its model code is plain PyTorch:
it runs beside today's libraries once it finds a selective scan. It is never vendored (its licence is non-commercial),
and nothing that a checkpoint's repository brings along is ever executed. See docs/mambavision.md.
"""

import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, create_transform

from benchmark.catalog import EncoderCard
from benchmark.encoders.selective_scan import selective_scan_fn
from benchmark.encoders.token_rules import check_class_token
from benchmark.errors import InputError, WorkError

INSTALL = "pip install --no-deps mambavision==1.2.0 einops==0.8.2"
ARCHITECTURE = ("depths", "dim", "in_dim", "mlp_ratio", "num_heads", "window_size")
"""What config.json must say; it is also what the package's own functions, `mamba_vision_B` and so on, differ in."""
LAYER_SCALE = re.compile(r"(?P<block>levels\.(?P<stage>\d+)\.blocks\.\d+\.)[A-Za-z]+(?P<which>_?[12])?")
"""A block's own parameters are its layer scales, under whatever name: `gamma_1`, `gamma_2`; convolutions: `gamma`."""
SCAN = "mamba_ssm.ops.selective_scan_interface"


class MambaVisionTower:
    """A MambaVision model; a layer is one of its four stages, its tokens are the places of the stage's feature map.

    A stage's output is its map *before* the convolution that halves it for the next stage, as in the list of features
    that NVIDIA's hub models return ((B, 80, 56, 56) for stage 1 of MambaVision-T), and before the model's final norm.
    The zeros that fill up windows at the border are cut off again by the stage itself and never become tokens.
    """

    def __init__(self, module: Any, transform: Callable[[Any], torch.Tensor]) -> None:
        self.module = module
        self.transform = transform
        # The package's stages halve their own output; taken apart, they give the map that comes before.
        between = [level.downsample for level in module.levels[:-1]]
        module.downsamples = torch.nn.ModuleList([*between, torch.nn.Identity()])
        for level in module.levels:
            level.downsample = None

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Resize, crop and normalise as the checkpoint's config.json says."""
        return {"pixel_values": torch.stack([self.transform(image) for image in batch])}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return {stage: (B, H * W, C)}, row by row of the map; stages after the last one asked for are not run."""
        wanted = range(len(self.module.levels)) if layers is None else layers
        states = {}
        x = self.module.patch_embed(inputs["pixel_values"])
        for stage, (level, downsample) in enumerate(zip(self.module.levels, self.module.downsamples, strict=True)):
            x = level(x)
            if stage in wanted:
                states[stage] = x.flatten(2).transpose(1, 2)
            if stage == max(wanted):
                break
            x = downsample(x)
        return states


def load_tower(card: EncoderCard, folder: Path | None, *, trust_remote_code: bool = False) -> MambaVisionTower:
    """Load config.json and *.safetensors from a folder or from the hub repository that the card names.

    `trust_remote_code` changes nothing: the model's code is the installed package's. Raises InputError for a text card
    and for the token rule cls, and WorkError when the package is missing or the checkpoint does not fit the model (a
    head is not needed).
    """
    if card.modality != "image":
        raise InputError(f"encoder '{card.name}': MambaVision has image encoders only; set modality: image.")
    check_class_token(card, has_cls=False)
    package = _package(card)
    if folder is None:
        from huggingface_hub import snapshot_download

        # The repositories also hold pickled checkpoints and code; neither is fetched.
        patterns = ["*.json", "*.safetensors"]
        source = card.source.removeprefix("hf-hub:")
        folder = Path(snapshot_download(source, revision=card.revision or None, allow_patterns=patterns))
    where = f"encoder '{card.name}': the checkpoint in '{folder}'"
    config, weights = _read(folder, where)
    scaled = {match["stage"] for match in map(LAYER_SCALE.fullmatch, weights) if match}
    module = package.MambaVision(
        **{name: config[name] for name in ARCHITECTURE},
        num_classes=0,
        # Any number makes the parameters, which are then loaded.
        layer_scale=1.0 if scaled & {"2", "3"} else None,
        layer_scale_conv=1.0 if scaled & {"0", "1"} else None,
    )
    _load(module, weights, where)
    return MambaVisionTower(module, _transform(config))


def _read(folder: Path, where: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the configuration, and the weights without their head under the package's names."""
    files = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file() or not files:
        raise WorkError(
            f"{where} needs config.json and *.safetensors, the format of nvidia/MambaVision-B-1K on the hub."
        )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    missing = [name for name in ARCHITECTURE if name not in config]
    if missing:
        raise WorkError(f"{where} is not a MambaVision model's: config.json lacks {', '.join(missing)}.")
    found = {key.removeprefix("model."): tensor for file in files for key, tensor in load_file(file).items()}
    return config, {_own_name(key): tensor for key, tensor in found.items() if not key.startswith("head.")}


def _own_name(key: str) -> str:
    """Return the package's name for a key of a hub file, which calls the layer scales something shorter than gamma.

    (Probably because transformers used to rename every parameter called gamma as it loaded.)
    """
    match = LAYER_SCALE.fullmatch(key)
    if match is None:
        return key
    return match["block"] + "gamma" + ("_" + match["which"][-1] if match["which"] else "")


def _load(module: Any, weights: dict[str, torch.Tensor], where: str) -> None:
    own = module.state_dict()
    wrong = [key for key in weights if key in own and weights[key].shape != own[key].shape]
    if wrong:
        raise WorkError(
            f"{where} does not fit its config.json: '{wrong[0]}' is {tuple(weights[wrong[0]].shape)}, "
            f"the model needs {tuple(own[wrong[0]].shape)}."
        )
    missing, unexpected = module.load_state_dict(weights, strict=False)
    for problem, keys in (("lacks", missing), ("holds unknown", unexpected)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise WorkError(f"{where} does not fit the package's MambaVision: it {problem} '{keys[0]}'{more}.")


def _transform(config: dict[str, Any]) -> Callable[[Any], torch.Tensor]:
    """Return the evaluation transform; hub configurations hold mean, std, crop_mode and crop_pct.

    They do not hold the input's side. In every released model the third stage, which sees one place per 16 pixels, is
    one window at the resolution of training: 14 (224 pixels), 16 (256) or 32 (512).
    """
    side = 16 * config["window_size"][2]
    return create_transform(
        input_size=tuple(config.get("input_size", (3, side, side))),
        is_training=False,
        interpolation="bicubic",
        mean=config.get("mean", IMAGENET_DEFAULT_MEAN),
        std=config.get("std", IMAGENET_DEFAULT_STD),
        crop_mode=config.get("crop_mode", "center"),
        crop_pct=config.get("crop_pct", 1.0),
    )


def _package(card: EncoderCard) -> ModuleType:
    """Import the package's model code with a scan that works on every device.

    Where mamba-ssm is installed, its fused kernel keeps its work on CUDA; it has none for the CPU.
    """
    try:
        fused = import_module(SCAN).selective_scan_fn
    except (ImportError, OSError):  # not installed, or built for another torch
        fused = None
    try:
        with _scan_on_offer(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # it imports timm's layers by their former names
            package = import_module("mambavision.models.mamba_vision")
    except ImportError as error:
        raise WorkError(
            f"encoder '{card.name}' needs the packages mambavision and einops ({error}): {INSTALL}"
        ) from None

    @torch.compiler.disable  # unrolled, its loop over time would keep the compiler busy for minutes
    def scan(u: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        return (fused if fused and u.is_cuda else selective_scan_fn)(u, *arguments, **options)

    package.selective_scan_fn = scan  # type: ignore[attr-defined]
    return package


@contextmanager
def _scan_on_offer() -> Iterator[None]:
    """Let an import of mamba-ssm's scan find ours, for as long as the context lasts, unless the real one is loaded.

    mamba-ssm is a CUDA extension that must be compiled for one exact torch, and one function of it is all that the
    package uses. The names are withdrawn afterwards: transformers and others look for `mamba_ssm` to choose their code.
    """
    if SCAN in sys.modules:
        yield
        return
    stand_ins = {name: ModuleType(name) for name in ("mamba_ssm", "mamba_ssm.ops", SCAN)}
    stand_ins[SCAN].selective_scan_fn = selective_scan_fn  # type: ignore[attr-defined]
    before = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.modules.update(before)
