"""Playground v2.5's latents: those of SDXL's autoencoder, each channel moved and scaled to a spread of 0.5.

Source: the model's edm_mean and edm_std; spec 4.3.

b batch  h w latent
"""

from torch import Tensor

MEAN = (-1.6574, 1.886, -1.383, 2.5155)
STD = (8.4927, 5.9022, 6.5498, 5.2299)
SIGMA_DATA = 0.5


def to_network(latent: Tensor) -> Tensor:
    """Returns a latent (b, 4, h, w) of the autoencoder, unscaled, as the network knows it."""
    mean, std = _of_channels(latent)
    return (latent - mean) * SIGMA_DATA / std


def from_network(latent: Tensor) -> Tensor:
    """Returns a latent (b, 4, h, w) of the network as the autoencoder knows it; undoes `to_network`."""
    mean, std = _of_channels(latent)
    return latent * std / SIGMA_DATA + mean


def _of_channels(latent: Tensor) -> tuple[Tensor, Tensor]:
    if latent.shape[-3] != len(MEAN):
        raise ValueError(f"a latent of Playground v2.5 must have 4 channels, got {latent.shape[-3]}")
    mean, std = latent.new_tensor(MEAN), latent.new_tensor(STD)
    return mean.view(-1, 1, 1), std.view(-1, 1, 1)
