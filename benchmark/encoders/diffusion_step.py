"""One step of a text-conditioned diffusion transformer (PixArt): what it reads, and at which timestep.

- `ImageStep`: the VAE's latents x_0 of an image (the mean of their distribution, not a sample), noised to
  x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4), with the empty caption;
- `CaptionStep`: the noise alone, with the caption.

The noise is drawn once from `SEED` and is the same for every sample: a sample's vectors depend on nothing beside it.
"""

from typing import Any

import torch

SEED = 0


class DiffusionStep(torch.nn.Module):
    """What both steps share: the transformer, the timestep and the noise.

    transformer: PixArtTransformer2DModel. factor: pixels of the image per latent, along one side.
    """

    noise: torch.Tensor

    def __init__(self, transformer: Any, factor: int, timestep: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.timestep = timestep
        latent_side = transformer.config.sample_size
        self.side = latent_side * factor
        self.patches = (latent_side // transformer.config.patch_size) ** 2
        shape = (1, transformer.config.in_channels, latent_side, latent_side)
        self.register_buffer("noise", torch.randn(shape, generator=torch.Generator().manual_seed(SEED)))

    def predict(self, latents: torch.Tensor, caption: torch.Tensor, caption_mask: torch.Tensor) -> Any:
        """Run the transformer on latents (B, C, h, w) with the text encoder's output (B, L, e) and its mask (B, L)."""
        size: dict[str, torch.Tensor | None] = {"resolution": None, "aspect_ratio": None}
        if self.transformer.use_additional_conditions:
            square = latents.new_tensor([[self.side, self.side]]).expand(len(latents), 2)
            size = {"resolution": square, "aspect_ratio": latents.new_ones(len(latents), 1)}
        return self.transformer(
            latents,
            encoder_hidden_states=caption,
            encoder_attention_mask=caption_mask,
            timestep=self._timesteps(latents),
            added_cond_kwargs=size,
        )

    def _timesteps(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.full((len(latents),), self.timestep, device=latents.device)


class ImageStep(DiffusionStep):
    """An image, noised to the timestep, with the empty caption (1, L, e) and its mask (1, L)."""

    empty: torch.Tensor
    empty_mask: torch.Tensor

    def __init__(
        self,
        transformer: Any,
        factor: int,
        timestep: int,
        *,
        vae: Any,
        schedule: Any,
        empty: torch.Tensor,
        empty_mask: torch.Tensor,
    ) -> None:
        super().__init__(transformer, factor, timestep)
        self.vae = vae
        self.schedule = schedule
        self.register_buffer("empty", empty)
        self.register_buffer("empty_mask", empty_mask)

    def forward(self, pixel_values: torch.Tensor) -> Any:
        """Predict the noise in images (B, 3, H, W), in [-1, 1]."""
        batch = len(pixel_values)
        found = self.vae.encode(pixel_values.to(self.noise.dtype)).latent_dist
        latents = found.mode() * self.vae.config.scaling_factor  # the mode of a Gaussian is its mean
        noised = self.schedule.add_noise(latents, self.noise.expand_as(latents), self._timesteps(latents))
        return self.predict(noised, self.empty.expand(batch, -1, -1), self.empty_mask.expand(batch, -1))


class CaptionStep(DiffusionStep):
    """Noise alone, with a caption."""

    def __init__(self, transformer: Any, factor: int, timestep: int, *, text_encoder: Any) -> None:
        super().__init__(transformer, factor, timestep)
        self.text_encoder = text_encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """Predict the noise under captions, token ids (B, L)."""
        caption = self.text_encoder(input_ids, attention_mask=attention_mask).last_hidden_state
        return self.predict(self.noise.expand(len(input_ids), -1, -1, -1), caption, attention_mask)
