"""The little world with random weights: a folder like the bundled one, for tests that look at no picture."""

import shutil

import torch
from safetensors.torch import save_file

from presample.models.hub import bundled_folder
from presample.models.mmh_dit import checkpoint
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.model import MMHDiT, init_weights
from presample.models.tinyworld.autoencoder import TinyAutoencoder
from presample.models.tinyworld.clip import WIDTH, make_clip, read_words

CONFIG = MMHDiTConfig(hidden=48, heads=(2, 4), text_dim=WIDTH, text_len=16, mlp_hidden=64, gate_init=0.3)
TUNED = ("vivid", "moonlit")


def drawn(model, seed=0):
    """Returns an MMH-DiT with random weights that answers something, frozen."""
    generator = torch.Generator().manual_seed(seed)
    init_weights(model, generator)
    with torch.no_grad():
        for weight in model.final.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return model.requires_grad_(False).eval()


def write_world(folder):
    """Writes the bundled models and two tuned encoders, all but the words with random weights."""
    shutil.copytree(bundled_folder() / "tipo-tiny", folder / "tipo-tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip, autoencoder = make_clip(read_words(folder / "tipo-tiny")), TinyAutoencoder()
    for name in ("tiny-clip", "tiny-autoencoder", "mmh-dit-tiny", *(f"tiny-clip-{name}" for name in TUNED)):
        (folder / name).mkdir()
    weights = dict(clip.model.named_parameters())
    save_file(weights, folder / "tiny-clip" / "model.safetensors")
    generator = torch.Generator().manual_seed(1)
    for name in TUNED:
        tuned = {
            key: (tensor + 0.2 * torch.randn(tensor.shape, generator=generator)).half()
            for key, tensor in weights.items()
            if key.startswith("text_model.")
        }
        save_file(tuned, folder / f"tiny-clip-{name}" / "model.safetensors")
    save_file(autoencoder.state_dict(), folder / "tiny-autoencoder" / "model.safetensors")
    checkpoint.save(drawn(MMHDiT(CONFIG)), folder / "mmh-dit-tiny" / "model.safetensors")
