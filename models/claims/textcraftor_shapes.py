"""A ColourShapes world to tune an encoder in: a denoiser, a transformer as text encoder, rewards and a CLIP.

Convention: pictures (b, 3, H, W) are in -1..1 for the denoiser, which predicts noise under SD's schedule, and
in 0..1 for rewards. All rewards learn from shapes that are duller, brighter, smaller and larger than those of
the world, and score in standard deviations of it. Source: specification 5.5, trained version.

b batch  m words  d width of a word  e shared space of CLIP  H W pixels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..mmh_dit.model import MMHDiT
from ..playground.schedules import sd_alphas_cumprod
from ..textcraftor.chain import DDIM, Ask, Condition
from ..textcraftor.rewards import Column
from ..textcraftor.training.bases import Said
from . import shapes_text, toy
from .shapes import Scenes, draw, render

KINDS = ("saturation", "size")
DULL, LARGE = (0.25, 1.0), (0.15, 0.6)  # brightness and size of what rewards learn from
INKED = 5  # the most saturated pixels of a picture


class Encoder(nn.Module):
    """A transformer over words; called and answering as a CLIPTextModel is, with words for ids."""

    def __init__(self, width: int, layers: int):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(shapes_text.LONGEST, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, words: Tensor, mask: Tensor) -> SimpleNamespace:
        """Returns the states (b, m, d) of words (b, m, d), and their mean over the prompt (b, d)."""
        x = self.layers(words + self.position[: words.shape[1]], src_key_padding_mask=~mask)
        shares = mask[..., None].to(x.dtype)
        pooled = (x * shares).sum(1) / shares.sum(1).clamp_min(1)
        return SimpleNamespace(last_hidden_state=x, pooler_output=pooled)


class Eye(nn.Module):
    """Three convolutions, and a linear map of the mean and the spread of what they find."""

    def __init__(self, out: int, width: int = 32):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.SiLU(),
        )
        self.head = nn.Linear(18 * width, out)

    def forward(self, images: Tensor) -> Tensor:
        """Returns (b, out) of images (b, 3, H, W) in 0..1."""
        x = self.look(images * 4 - 2)
        mean = F.adaptive_avg_pool2d(x, 3).flatten(1)
        return self.head(torch.cat((mean, F.adaptive_max_pool2d(x, 3).flatten(1)), 1))


class Clip(nn.Module):
    """A contrastive model of its own: an eye, and another encoder of captions."""

    def __init__(self, words: int, width: int = 64):
        super().__init__()
        self.eye, self.encoder = Eye(width), Encoder(words, 2)
        self.projection = nn.Linear(words, width)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def images(self, images: Tensor) -> Tensor:
        """Returns images (b, 3, H, W) in 0..1 as (b, e) of length 1."""
        return F.normalize(self.eye(images), dim=-1)

    def texts(self, prompts: Sequence[str]) -> Tensor:
        """Returns captions as (b, e) of length 1."""
        words, mask = shapes_text.embed(prompts, self.projection.in_features)
        device = self.scale.device
        said = self.encoder(words=words.to(device), mask=mask.to(device))
        return F.normalize(self.projection(said.pooler_output), dim=-1)


@dataclass(frozen=True, eq=False)
class ShapesBase:
    """The frozen denoiser and its encoder, as the trainer of encoders needs them."""

    encoder: Encoder
    denoiser: MMHDiT
    size: toy.Toy

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        return sd_alphas_cumprod()

    def rule(self, steps: int) -> DDIM:
        return DDIM(self.alphas_cumprod, steps)

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, 3, self.size.height, self.size.width, generator=generator)

    def say(self, encoder: nn.Module, prompts: Sequence[str]) -> Said:
        words, mask = shapes_text.embed(prompts, self.size.word)
        device = next(encoder.parameters()).device
        out = encoder(words=words.to(device), mask=mask.to(device))
        return Said(Condition(out.last_hidden_state, mask.to(device)), out.pooler_output)

    def ask(self, denoiser: nn.Module) -> Ask:
        return lambda x, t, tokens, mask: denoiser(x, t.float() / 1000, tokens, mask)

    def decode(self, latents: Tensor) -> Tensor:
        return (latents / 2 + 0.5).clamp(0, 1)


def saturation(images: Tensor) -> Tensor:
    """Returns how saturated the ink of images (b, 3, H, W) in 0..1 is, (b,)."""
    return (images.amax(1) - images.amin(1)).flatten(1).topk(INKED, 1).values.mean(1)


def train_base(size: toy.Toy, layers: int, generator: torch.Generator) -> ShapesBase:
    """Returns a denoiser and its encoder, trained together to predict noise."""
    base = fresh_base(size, layers, generator)
    both = nn.ModuleList((base.encoder, base.denoiser))
    alphas = base.alphas_cumprod

    def loss(step: int) -> Tensor:
        scenes = draw(size.batch, generator)
        named = shapes_text.random_names(size.batch, generator)
        kept = torch.rand(size.batch, 1, generator=generator) >= size.drop
        condition = base.say(base.encoder, shapes_text.captions(scenes, named, generator)).condition
        t = torch.randint(len(alphas), (size.batch,), generator=generator)
        noise = base.noise(size.batch, generator)
        a = alphas[t].float()[:, None, None, None]
        x = a.sqrt() * render(scenes, width=size.width, height=size.height) + (1 - a).sqrt() * noise
        return F.mse_loss(base.ask(base.denoiser)(x, t, condition.tokens, condition.mask & kept), noise)

    toy.train(both, size, loss)
    both.requires_grad_(False)
    return base


def fresh_base(size: toy.Toy, layers: int, generator: torch.Generator) -> ShapesBase:
    """Returns a base with new weights."""
    return ShapesBase(seeded(lambda: Encoder(size.word, layers), generator), toy.make(size, generator), size)


def seeded(make, generator: torch.Generator) -> nn.Module:
    """Returns a new module whose weights follow from the generator."""
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def wide(scenes: Scenes, generator: torch.Generator) -> Scenes:
    """Returns scenes of any brightness and size."""
    brightness, size = torch.rand(2, len(scenes.size), generator=generator)
    return scenes._replace(
        brightness=DULL[0] + (DULL[1] - DULL[0]) * brightness, size=LARGE[0] + (LARGE[1] - LARGE[0]) * size
    )


def truth(images: Tensor, scenes: Scenes) -> Tensor:
    """Returns saturation and size (b, 2) of rendered images in 0..1."""
    return torch.stack((saturation(images), scenes.size), 1)


def train_taste(size: toy.Toy, generator: torch.Generator) -> Eye:
    """Returns a network that scores both kinds (b, 2), in units of their own, standardised."""
    net = seeded(lambda: Eye(len(KINDS)), generator)
    scenes = draw(4096, generator)
    true = truth(render(scenes, width=size.width, height=size.height) / 2 + 0.5, scenes)
    mean, std = true.mean(0), true.std(0)

    def loss(step: int) -> Tensor:
        scenes = wide(draw(size.batch, generator), generator)
        images = render(scenes, width=size.width, height=size.height) / 2 + 0.5
        wanted = (truth(images, scenes) - mean) / std
        return F.smooth_l1_loss(net(images + 0.03 * torch.randn(images.shape, generator=generator)), wanted)

    toy.train(net, size, loss)
    return net.requires_grad_(False)


def train_clip(size: toy.Toy, generator: torch.Generator) -> Clip:
    """Returns a contrastive model of pictures and captions that name everything."""
    clip = seeded(lambda: Clip(size.word), generator)

    def loss(step: int) -> Tensor:
        scenes = draw(size.batch, generator)
        named = shapes_text.random_names(size.batch, generator, whole=0.7)
        images = render(scenes, width=size.width, height=size.height) / 2 + 0.5
        images = images + 0.03 * torch.randn(images.shape, generator=generator)
        said = clip.texts(shapes_text.captions(scenes, named, generator))
        logits = clip.scale.exp() * clip.images(images) @ said.T
        right = torch.arange(len(logits))
        return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2

    toy.train(clip, size, loss)
    return clip.requires_grad_(False)


def tastes(net: Eye) -> Mapping[str, Column]:
    """Returns the rewards of a network by their names."""
    return {name: Column(net, i) for i, name in enumerate(KINDS)}


def shorter(size: toy.Toy, steps: int) -> toy.Toy:
    """Returns the same size with another number of training steps, at a rate for networks without blocks."""
    return replace(size, steps=steps, lr=2e-3)
