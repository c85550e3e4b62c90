"""The encoder that all libraries share: batches in, every layer's tokens and global token out."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from PIL import Image

from benchmark.catalog import EncoderCard
from benchmark.encoders.choice_of_layers import chosen_layers, no_layer
from benchmark.encoders.compiling import compile_blocks
from benchmark.encoders.first_run import first_batch, first_states
from benchmark.encoders.token_rules import token_index
from benchmark.errors import InputError, WorkError, unknown

REDUCED = {"bfloat16": torch.bfloat16, "float16": torch.float16}
PRECISIONS = ("float32", *REDUCED)


class LayerOutput(NamedTuple):
    """What one block gives for a batch of B samples."""

    tokens: torch.Tensor
    """(B, T, d) float32: the residual stream after the block, never normed by the model's final norm."""
    mask: torch.Tensor
    """(B, T) bool: True for real tokens, False for padding."""
    pooled: torch.Tensor
    """(B, d) float32: the sample's global token by the card's token rule."""


class Tower(Protocol):
    """One library's model behind the same two steps; `encoder.Encoder` does the rest."""

    module: torch.nn.Module

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Turn RGB images or strings into tensors whose first dimension is the sample, so that batches can be split.

        Text gives at least `mask` (B, T) bool, True for real tokens, and for the token rule eot `input_ids` (B, T).
        """

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return {layer: (B, T, d)} block outputs of the given layers (None: all), shallow to deep."""


class Encoder:
    """A frozen pretrained encoder.

    Layers and widths are measured in a first run when the encoder is made, never taken from the card; the card's
    `layers` can only choose among them.

    `precision` bfloat16 or float16 is automatic mixed precision (torch.autocast): the weights stay in float32, matrix
    products are computed in the reduced type, and the residual stream is added up in float32 wherever the library adds
    it in its input's type. Against casting the whole model this halves the error of the residual stream (12 blocks of
    random weights, bfloat16, relative to the spread over samples: ViT 0.5 % against 1.0 %, BERT 0.4 % against 1.6 %;
    open_clip's image tower follows the reduced type of its patches: 1 % both ways). All outputs are float32.

    `compile` compiles the repeated blocks with torch.compile for any number of samples and tokens; results are equal
    but for rounding.
    """

    def __init__(
        self,
        card: EncoderCard,
        tower: Tower,
        device: str = "cpu",
        *,
        precision: str = "float32",
        compile: bool = False,
    ) -> None:
        """Prepare a tower for use on a device.

        Raises InputError for an unknown precision, a tower that gives anything but the same (B, T, d) tensors for the
        same batch, and a layer in the card that the model lacks; WorkError when the blocks cannot be compiled here (no
        C++ compiler).
        """
        if precision not in PRECISIONS:
            raise unknown("precision", precision, PRECISIONS)
        self.card = card
        self.name = card.name
        self.modality = card.modality
        self.device = torch.device(device)
        self.precision = precision
        self._tower = tower
        # Fast tokenizers keep their padding and truncation settings in shared state and refuse simultaneous changes.
        self._tokenizing = threading.Lock()
        tower.module.to(device=self.device, dtype=torch.float32).eval().requires_grad_(False)
        first = first_batch(self.modality)
        with torch.no_grad():
            states = first_states(card, tower, len(first), lambda: self._to_device(self.preprocess(first)))
        self.layers: list[int] = chosen_layers(card, sorted(states))
        """Layers on offer, shallow to deep."""
        self.widths: dict[int, int] = {layer: states[layer].shape[-1] for layer in self.layers}
        self.state_bytes = sum(states[layer][0].numel() * 4 for layer in self.layers)
        """Bytes that all tokens of one sample, an image or a caption of 256 bytes, take at all layers on offer."""
        weights = sum(parameter.numel() for parameter in tower.module.parameters())
        self.flop = 2.0 * weights * max(state.shape[1] for state in states.values())
        """Floating-point operations for one such sample, roughly: two for each weight and token."""
        if compile:
            compile_blocks(tower.module)
            try:
                # In the mode of extraction; from sizes of 1, or of equal numbers of samples and tokens, the compiler
                # would make code for such sizes only.
                with torch.inference_mode():
                    self.run((first if self.modality == "image" else ["one two three four five"]) * 3)
            except Exception as error:  # inductor raises whatever its compilers do
                reason = (str(error).strip().splitlines() or [""])[0][:200]
                raise WorkError(
                    f"encoder '{self.name}' cannot be compiled here ({type(error).__name__}: {reason}); "
                    "run it without `compile`."
                ) from error

    def preprocess(self, batch: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Turn a raw batch into model inputs on the CPU; safe to call from several threads.

        Images of any mode become RGB (transparency over white). Raises InputError for a batch of the wrong type.
        """
        items = self._checked(batch)
        if self.modality == "image":
            return self._tower.preprocess([to_rgb(image) for image in items])
        with self._tokenizing:
            return self._tower.preprocess(items)

    def forward(self, inputs: dict[str, torch.Tensor], layers: Sequence[int] | None = None) -> dict[int, LayerOutput]:
        """Run the model once on what `preprocess` returned and read out `layers` (None: all), on the encoder's device.

        Raises InputError for a layer that the encoder does not have.
        """
        wanted = self.layers if layers is None else sorted(set(layers))
        if not wanted:
            raise InputError(f"encoder '{self.name}' was asked for no layer at all; name at least one.")
        for layer in wanted:
            if layer not in self.widths:
                raise no_layer(self.name, layer, self.layers)
        # no_grad, not inference_mode: autograd refuses inference tensors as inputs of the SAEs trained on them.
        with torch.no_grad():
            inputs = self._to_device(inputs)
            with self._arithmetic():
                states = self._tower.states(inputs, wanted)
            outputs = {}
            for layer in wanted:
                tokens = states[layer].float()
                mask = inputs.get("mask")
                if mask is None:
                    mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
                elif mask.shape != tokens.shape[:2]:
                    raise ValueError(
                        f"encoder '{self.name}', layer {layer}: the mask has shape {tuple(mask.shape)}, but the tokens "
                        f"have shape {tuple(tokens.shape)}."
                    )
                outputs[layer] = LayerOutput(tokens, mask, self._pool(tokens, mask, inputs.get("input_ids")))
        return outputs

    def other_tokens(self, inputs: dict[str, torch.Tensor], output: LayerOutput) -> torch.Tensor:
        """Return (B, T) bool: the real tokens of a layer without the one that is the global token itself.

        `inputs` are those that `forward` made `output` of. With the rule `mean` no token is the global one.
        """
        ids = inputs.get("input_ids")
        index = self._global_index(output.mask, None if ids is None else ids.to(output.mask.device))
        return output.mask if index is None else output.mask.scatter(1, index[:, None], False)

    def run(self, batch: Sequence[Any], layers: Sequence[int] | None = None) -> dict[int, LayerOutput]:
        """Encode a list of PIL images or of strings in one forward pass: {layer: LayerOutput}, shallow to deep."""
        return self.forward(self.preprocess(batch), layers)

    def residual_stream(self, batch: Sequence[Any]) -> dict[int, torch.Tensor]:
        """Return {layer: (B, T, d)}, every token of every layer (see `LayerOutput.tokens`)."""
        return {layer: output.tokens for layer, output in self.run(batch).items()}

    def global_tokens(self, batch: Sequence[Any]) -> dict[int, torch.Tensor]:
        """Return {layer: (B, d)}, the global token of every layer (see `LayerOutput.pooled`)."""
        return {layer: output.pooled for layer, output in self.run(batch).items()}

    def embed(self, batch: Sequence[Any]) -> torch.Tensor:
        """Return (B, e) float32: the vectors that a contrastive pair compares, behind the last block and not scaled.

        Raises InputError for an encoder that is no tower of such a pair.
        """
        embedding = getattr(self._tower, "embedding", None)
        if embedding is None:
            raise InputError(f"encoder '{self.name}' is no tower of an open_clip pair: it has no embedding of its own.")
        with torch.no_grad(), self._arithmetic():
            return embedding(self._to_device(self.preprocess(batch))).float()

    def _to_device(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key: value.to(self.device, non_blocking=True) for key, value in inputs.items()}

    def _arithmetic(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, REDUCED[self.precision])

    def _checked(self, batch: Sequence[Any]) -> list[Any]:
        wanted, label = (Image.Image, "PIL images") if self.modality == "image" else (str, "strings")
        if isinstance(batch, str) or not isinstance(batch, Sequence) or not batch:
            given = "an empty one" if isinstance(batch, Sequence) and not batch else f"a {type(batch).__name__}"
            raise InputError(f"encoder '{self.name}' takes a non-empty list of {label}, got {given}.")
        for position, item in enumerate(batch):
            if not isinstance(item, wanted):
                raise InputError(
                    f"encoder '{self.name}' takes {label}, but item {position} of the batch is a {type(item).__name__}."
                )
        return list(batch)

    def _pool(self, tokens: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor | None) -> torch.Tensor:
        if self.card.token == "mean":
            kept = mask.unsqueeze(-1)
            # Padding may hold anything, NaN too: it is replaced, not multiplied by 0.
            return torch.where(kept, tokens, 0).sum(1) / kept.sum(1)
        index = self._global_index(mask, ids)
        return tokens[torch.arange(len(tokens), device=tokens.device), index]

    def _global_index(self, mask: torch.Tensor, ids: torch.Tensor | None) -> torch.Tensor | None:
        if self.card.token == "mean":
            return None
        return token_index(self.card.token, mask, ids, reads_padding=getattr(self._tower, "reads_padding", False))


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image in RGB; transparent parts are composited on white, 16-bit greys scaled to 8 bits."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        # Pillow would clip every grey above 255 to white.
        return image.convert("I").point(lambda grey: grey * (1 / 256)).convert("L").convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
