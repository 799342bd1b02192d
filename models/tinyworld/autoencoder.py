"""The little world's autoencoder: 16 latent channels at an eighth of the size, in the layout of TAESD.

Convention: images are (b, 3, H, W) in 0..1, H and W multiples of 8; latents are (b, 16, h, w), h = H/8, at
unit scale. A file also says how FLUX's latents are scaled, so ComfyUI's VAE Loader reads it as it reads
TAESD's own. Source: madebyollin/taesd (names and sizes of the layers).

b batch  c channels  H W image  h w latent
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import read_safetensors
from ..latents import CHANNELS, SCALE, SHIFT, STRIDE

WIDTH = 64  # channels of the layers
LIMIT = 3.0  # the decoder sees latents bent into -3..3
AT_ONCE = 8  # pictures that go through together; what more of them pass on fits in no processor's cache


class Block(nn.Module):
    """Three convolutions and a way round them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) + x).relu()


class Bend(nn.Module):
    """Bends latents softly into -3..3."""

    def forward(self, x: Tensor) -> Tensor:
        return (x / LIMIT).tanh() * LIMIT


class TinyAutoencoder(nn.Module):
    """Encoder and decoder; fresh ones have random weights."""

    def __init__(self):
        super().__init__()
        self.taesd_encoder = nn.Sequential(
            _conv(3),
            Block(),
            *(part for _ in range(3) for part in _halving()),
            _conv(out=CHANNELS),
        )
        self.taesd_decoder = nn.Sequential(
            Bend(),
            _conv(CHANNELS),
            nn.ReLU(),
            *(part for _ in range(3) for part in _doubling()),
            Block(),
            _conv(out=3),
        )
        self.register_buffer("vae_scale", torch.tensor(SCALE))
        self.register_buffer("vae_shift", torch.tensor(SHIFT))

    def forward(self, images: Tensor, noise: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns, for training, the latents of images, what is decoded when a `share` (b, 1, 1, 1) of them
        is noise, and what is decoded from their means over two by two."""
        latents = self.encode(images)
        halved = nn.functional.avg_pool2d(latents, 2)
        return latents, self.taesd_decoder(latents + share * (noise - latents)), self.taesd_decoder(halved)

    def encode(self, images: Tensor) -> Tensor:
        """Returns the latents (b, 16, h, w) of images (b, 3, H, W) in 0..1.

        Raises:
            ValueError: a side is no multiple of 8.
        """
        if images.shape[-1] % STRIDE or images.shape[-2] % STRIDE:
            height, width = images.shape[-2:]
            raise ValueError(f"sides must be multiples of {STRIDE} pixels, got {width}x{height}: crop or pad")
        return self.taesd_encoder(images)

    def decode(self, latents: Tensor) -> Tensor:
        """Returns the images (b, 3, H, W) in 0..1 of latents (b, 16, h, w)."""
        return self.taesd_decoder(latents).clamp(0, 1)


def load_autoencoder(path: Path, *, device: str = "cpu") -> TinyAutoencoder:
    """Returns the autoencoder of a safetensors file, in float32 and channels-last.

    Raises:
        ValueError: the file's tensors are not those of a TAESD with 16 latent channels.
    """
    with torch.device("meta"):
        model = TinyAutoencoder()
    tensors = {name: tensor.float() for name, tensor in read_safetensors(path).items()}
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
        raise ValueError(f"{path.name} must be a TAESD file with {CHANNELS} latent channels, and is not")
    model.load_state_dict(tensors, assign=True)
    return model.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def _halving() -> tuple[nn.Module, ...]:
    return _conv(stride=2, bias=False), Block(), Block(), Block()


def _doubling() -> tuple[nn.Module, ...]:
    return Block(), Block(), Block(), nn.Upsample(scale_factor=2), _conv(bias=False)


def _conv(size: int = WIDTH, *, out: int = WIDTH, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(size, out, 3, stride=stride, padding=1, bias=bias)
