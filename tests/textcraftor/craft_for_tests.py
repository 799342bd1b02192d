"""Bases with random weights, the little world's and Stable Diffusion's, and a reward of their pictures."""

from __future__ import annotations

import json

import torch

from presample.models.hub import bundled_folder
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.model import MMHDiT, init_weights
from presample.models.textcraftor.training import train
from presample.models.textcraftor.training.bases import TinyBase
from presample.models.textcraftor.training.options import CraftOptions
from presample.models.textcraftor.training.studio import Studio
from presample.models.tinyworld.autoencoder import TinyAutoencoder
from presample.models.tinyworld.clip import make_clip, read_words

PROMPTS = ["lake", "night, full moon", "a red house by the sea", "forest, 1girl", "snow"]


class Red:
    """Rewards red pictures, whatever the prompt."""

    def score(self, images, prompts):
        return images[:, 0].mean((1, 2)) - images[:, 2].mean((1, 2))


def tiny_base(*, seed: int = 0) -> TinyBase:
    """The little world's models, small, where nothing is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip, autoencoder = make_clip(read_words(bundled_folder() / "tipo-tiny")), TinyAutoencoder()
    config = MMHDiTConfig(hidden=32, heads=(2, 4), text_dim=128, text_len=12, mlp_hidden=32, gate_init=0.5)
    model = MMHDiT(config)
    generator = torch.Generator().manual_seed(seed)
    init_weights(model, generator)
    for name, weight in model.named_parameters():
        if name.startswith("final.") or ".modulation." in name:
            weight.data.add_(0.3 * torch.randn(weight.shape, generator=generator))
    autoencoder.taesd_decoder[-1].bias.data.fill_(0.5)  # grey, of which nothing is clamped
    autoencoder.taesd_decoder[-1].weight.data.mul_(8)
    for part in (clip.model, autoencoder, model):
        part.eval().requires_grad_(False)
    return TinyBase(clip, model, autoencoder, side=4)


def studio(base=None, clip=None) -> Studio:
    base = base or tiny_base()
    return Studio(base, {"red": Red()}, clip or base.clip)


def options(folder, **more) -> CraftOptions:
    """Six steps on five prompts."""
    prompts = folder / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS), encoding="utf-8")
    return CraftOptions(
        **{
            "out": str(folder / "out"),
            "steps": 4,
            "save_every": 2,
            "warmup": 1,
            "lr": 1e-3,
            "batch": 2,
            "sampling_steps": 3,
            "grad_steps": 2,
            "precision": "no",
            "reward": ("red=10",),
            "samples": 0,
            "measured": 3,
            "prompts": str(prompts),
            **more,
        }
    )


def pipeline(folder):
    """Saves a Stable Diffusion pipeline of few weights, and returns its folder."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=32,
                intermediate_size=37,
                num_attention_heads=4,
                num_hidden_layers=3,
                vocab_size=300,
                bos_token_id=298,
                eos_token_id=299,
                pad_token_id=299,
            )
        )
        unet = UNet2DConditionModel(
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            sample_size=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
        )
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    StableDiffusionPipeline(
        vae, encoder, tokenizer(folder), unet, scheduler, None, None, requires_safety_checker=False
    ).save_pretrained(folder / "pipeline")
    return folder / "pipeline"


def tokenizer(folder):
    """CLIP's, with letters alone."""
    from transformers import CLIPTokenizer

    letters = [chr(c) for c in range(97, 123)]
    words = [*letters, *(f"{c}</w>" for c in letters)]
    vocab = {word: i for i, word in enumerate(words)} | {"<|startoftext|>": 298, "<|endoftext|>": 299}
    vocab |= {f"unused{i}": i for i in range(len(words), 298)}
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=77
    )


class Towers:
    """A contrastive model of other prompts: a fixed look at colours, and random words."""

    def images(self, images):
        means = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
        return torch.nn.functional.normalize(means - 0.5, dim=-1)

    def texts(self, prompts):
        draws = [torch.randn(12, generator=torch.Generator().manual_seed(sum(map(ord, p)))) for p in prompts]
        return torch.nn.functional.normalize(torch.stack(draws), dim=-1)


def trained(folder, studio, **more):
    """Returns what was tuned, and its options."""
    asked = options(folder, **more)
    return train.train(asked, studio), asked


def changed(before, after):
    """Returns the names of the weights that differ."""
    names = dict(before.named_parameters())
    return {name for name, t in after.named_parameters() if not torch.equal(t, names[name])}
