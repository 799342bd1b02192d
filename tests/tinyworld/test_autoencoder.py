"""The autoencoder as a network; what it has learned is tested where it is trained."""

import pytest
import torch
from safetensors.torch import save_file

from presample.models.latents import CHANNELS
from presample.models.tinyworld.autoencoder import TinyAutoencoder, load_autoencoder


@pytest.fixture(scope="module")
def autoencoder():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TinyAutoencoder().eval().requires_grad_(False)


def test_latents_are_an_eighth_of_the_picture_at_any_aspect(autoencoder):
    images = torch.rand(2, 3, 64, 104, generator=torch.Generator().manual_seed(0))
    latents = autoencoder.encode(images)
    assert latents.shape == (2, CHANNELS, 8, 13)
    decoded = autoencoder.decode(latents)
    assert decoded.shape == images.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1


def test_a_side_that_is_no_multiple_of_eight_is_refused(autoencoder):
    with pytest.raises(ValueError, match="multiples of 8 pixels, got 100x64"):
        autoencoder.encode(torch.zeros(1, 3, 64, 100))


def test_names_and_numbers_of_layers_are_taesds(autoencoder):
    """Layer 14 ends TAESD's encoder and layer 19 its decoder; a real ComfyUI is asked in tests/hosts."""
    state = autoencoder.state_dict()
    assert state["taesd_encoder.14.weight"].shape == (16, 64, 3, 3)
    assert state["taesd_decoder.19.weight"].shape == (3, 64, 3, 3)
    assert state["taesd_decoder.1.weight"].shape == (64, 16, 3, 3)
    assert "taesd_encoder.2.bias" not in state
    assert sum(tensor.numel() for tensor in state.values()) == 2_458_899 + 2


def test_a_file_comes_back_and_another_is_refused(autoencoder, tmp_path):
    path = tmp_path / "vae.safetensors"
    state = {name: tensor.half() for name, tensor in autoencoder.state_dict().items()}
    save_file(state, path)
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    again = load_autoencoder(path)
    torch.testing.assert_close(again.encode(images), autoencoder.encode(images), atol=1e-2, rtol=1e-2)
    state["taesd_encoder.14.weight"] = torch.zeros(4, 64, 3, 3)
    save_file(state, path)
    with pytest.raises(ValueError, match=r"vae\.safetensors must be a TAESD file"):
        load_autoencoder(path)
