"""The frozen models whose text encoder is tuned: the little world's, or one of the Stable Diffusion family.

Dimension key: b batch  c h w latent  H W image  m text tokens  d width of the text encoder

Convention: images are (b, 3, H, W) in 0..1, clamped, so that what is saturated has no gradient. An encoder is
called as transformers' CLIPTextModel is. Source: specification 3.3, 5.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ...files import written
from ...metrics.scorers import Towers
from ...mmh_dit.model import MMHDiT
from ...tinyworld.autoencoder import TinyAutoencoder
from ...tinyworld.clip import TinyClip, Words
from ..chain import DDIM, Ask, Condition, Flow, Rule

Weights = dict[str, Tensor]
Facts = dict[str, str]  # of a file's metadata
SIDE = 16  # latent cells of the little world's square
SAME = 0.9  # mean cosine of the words of an encoder and of what it was tuned from, at least


class Said(NamedTuple):
    """What an encoder says of prompts: to the denoiser, and `pooled` (b, d) at their ends."""

    condition: Condition
    pooled: Tensor


class Base(Protocol):
    """A frozen model that makes pictures of prompts."""

    encoder: nn.Module
    denoiser: nn.Module

    def rule(self, steps: int) -> Rule:
        """Returns how it is sampled."""
        ...

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns what a chain begins with (b, c, h, w), drawn on the CPU."""
        ...

    def say(self, encoder: nn.Module, prompts: Sequence[str]) -> Said:
        """Returns what the encoder, or one of the same shape, says of prompts."""
        ...

    def ask(self, denoiser: nn.Module) -> Ask:
        """Returns how the denoiser, or one of the same shape, is asked."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Returns images of latents, with gradients."""
        ...

    def aligned(self, pooled: Tensor, images: Tensor) -> Tensor:
        """Returns the cosine (b,) of what an encoder said and images, for the constraint `self`."""
        ...

    def save(self, denoiser: nn.Module, weights: Weights, path: Path, facts: Facts) -> None:
        """Writes a tuned denoiser's weights."""
        ...

    def to(self, device: torch.device) -> None:
        """Moves all parts."""
        ...


def _aligned(clip: TinyClip | Towers, pooled: Tensor, images: Tensor) -> Tensor:
    texts = clip.model.text_projection(pooled)
    return nn.functional.cosine_similarity(clip.images(images), texts.float(), dim=-1)


@dataclass(frozen=True)
class TinyBase:
    """The little world's MMH-DiT with its CLIP and autoencoder, at 128 x 128 pixels."""

    clip: TinyClip
    denoiser: MMHDiT
    autoencoder: TinyAutoencoder
    side: int = SIDE

    @property
    def encoder(self) -> nn.Module:
        return self.clip.model.text_model

    @property
    def words(self) -> Words:
        return self.clip.words

    def rule(self, steps: int) -> Rule:
        return Flow(steps)

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, self.denoiser.config.in_ch, self.side, self.side, generator=generator)

    def say(self, encoder: nn.Module, prompts: Sequence[str]) -> Said:
        ids, mask = self.words.batch(prompts, length=self.denoiser.config.text_len)
        device = next(encoder.parameters()).device
        out = encoder(input_ids=ids.to(device))
        return Said(Condition(out.last_hidden_state, mask.to(device)), out.pooler_output)

    def ask(self, denoiser: nn.Module) -> Ask:
        return denoiser

    def decode(self, latents: Tensor) -> Tensor:
        return self.autoencoder.decode(latents).float()

    def aligned(self, pooled: Tensor, images: Tensor) -> Tensor:
        return _aligned(self.clip, pooled, images)

    def save(self, denoiser: nn.Module, weights: Weights, path: Path, facts: Facts) -> None:
        from ...mmh_dit import checkpoint

        checkpoint.save_state(weights, denoiser.config, path, facts)

    def to(self, device: torch.device) -> None:
        for part in (self.clip.model, self.denoiser, self.autoencoder):
            part.to(device).requires_grad_(False).eval()


def tiny_base(folder: Path | None = None) -> TinyBase:
    """Returns the bundled models, or those of another folder, in float32 without gradients.

    Raises:
        FileNotFoundError: a model is not there.
    """
    from ...hub import bundled_folder, bundled_weights
    from ...mmh_dit import checkpoint
    from ...mmh_dit.layers import sdpa
    from ...mmh_dit.training.attention import written_out
    from ...tinyworld.autoencoder import load_autoencoder
    from ...tinyworld.bundled import AUTOENCODER, CLIP, MODEL, WORDS
    from ...tinyworld.clip import load_clip, read_words

    clip = load_clip(bundled_weights(CLIP, folder), read_words((folder or bundled_folder()) / WORDS))
    denoiser = checkpoint.load(bundled_weights(MODEL, folder), dtype=torch.float32)
    denoiser.attention = sdpa if torch.cuda.is_available() else written_out
    autoencoder = load_autoencoder(bundled_weights(AUTOENCODER, folder))
    return TinyBase(clip, denoiser.requires_grad_(False), autoencoder)


@dataclass(frozen=True)
class DiffusersBase:
    """A pipeline of diffusers of the Stable Diffusion 1 and 2 family; `clip`, whose text tower its encoder
    was, is needed for the constraint `self` alone."""

    pipeline: Any
    side: int
    clip: Towers | None = None

    @property
    def encoder(self) -> nn.Module:
        return self.pipeline.text_encoder

    @property
    def denoiser(self) -> nn.Module:
        return self.pipeline.unet

    def rule(self, steps: int) -> Rule:
        scheduler = self.pipeline.scheduler
        return DDIM(scheduler.alphas_cumprod.cpu(), steps, scheduler.config.prediction_type)

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        channels = self.denoiser.config.in_channels
        return torch.randn(count, channels, self.side, self.side, generator=generator)

    def say(self, encoder: nn.Module, prompts: Sequence[str]) -> Said:
        tokenizer = self.pipeline.tokenizer
        ids = tokenizer(
            [*prompts, ""],
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        out = encoder(input_ids=ids.to(next(encoder.parameters()).device))
        tokens, empty = out.last_hidden_state.split((len(prompts), 1))
        return Said(Condition(tokens, None, empty.expand_as(tokens)), out.pooler_output[:-1])

    def ask(self, denoiser: nn.Module) -> Ask:
        return lambda x, t, tokens, mask: denoiser(x, t, encoder_hidden_states=tokens).sample

    def decode(self, latents: Tensor) -> Tensor:
        vae = self.pipeline.vae
        return (vae.decode(latents / vae.config.scaling_factor).sample.float() / 2 + 0.5).clamp(0, 1)

    def aligned(self, pooled: Tensor, images: Tensor) -> Tensor:
        if self.clip is None:
            raise ValueError("the constraint self needs a CLIP's projections: call with_clip first")
        return _aligned(self.clip, pooled, images)

    def with_clip(self, clip: Towers) -> DiffusersBase:
        """Returns the base for the constraint `self`; raises ValueError for a CLIP of another encoder."""
        ours = self.encoder.get_input_embeddings().weight
        theirs = clip.model.text_model.embeddings.token_embedding.weight.to(ours)
        if ours.shape != theirs.shape or nn.functional.cosine_similarity(ours, theirs).mean() < SAME:
            raise ValueError(
                "the constraint self needs a CLIP whose text tower the pipeline's encoder was (of Stable"
                f" Diffusion 1: openai/clip-vit-large-patch14), got one of {tuple(theirs.shape)} for"
                f" {tuple(ours.shape)}; put that one into clip/ of --models, or use --constraint frozen"
            )
        return replace(self, clip=clip)

    def save(self, denoiser: nn.Module, weights: Weights, path: Path, facts: Facts) -> None:
        from safetensors.torch import save_file

        with written(path) as half:
            save_file(weights, half, metadata={"format": "pt", **facts})

    def to(self, device: torch.device) -> None:
        self.pipeline.to(device)
        for part in (self.encoder, self.denoiser, self.pipeline.vae):
            part.requires_grad_(False).eval()


def diffusers_base(folder: Path) -> DiffusersBase:
    """Returns the pipeline of a folder that diffusers has saved; nothing is downloaded.

    Raises:
        ModuleNotFoundError: diffusers is missing (`presample[train]`).
        FileNotFoundError: there is no such folder.
        OSError: a part of it has no safetensors; pickled weights are never read.
        ValueError: it holds no pipeline of this family.
    """
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    if not (folder / "model_index.json").is_file():
        raise FileNotFoundError(f"{folder} must be a folder of a diffusers pipeline, with model_index.json")
    pipeline = StableDiffusionPipeline.from_pretrained(
        str(folder), safety_checker=None, local_files_only=True, use_safetensors=True
    ).to(torch.float32)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    if pipeline.unet.config.cross_attention_dim != pipeline.text_encoder.config.hidden_size:
        raise ValueError(f"{folder} must be of the Stable Diffusion 1 or 2 family: its encoder does not fit")
    return DiffusersBase(pipeline, pipeline.unet.config.sample_size)
