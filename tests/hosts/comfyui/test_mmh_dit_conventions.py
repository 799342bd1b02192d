"""MMH-DiT under ComfyUI itself: its CONST sampling and Euler, its operations, its attention."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from presample.models.mmh_dit import flow
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.model import MMHDiT, init_weights

HERE = Path(__file__).parent
M, S, SIGMA = 0.3, 0.4, 0.1
STEPS = {"even": flow.times(28), "shifted": flow.times(13, 3.0), "img2img": flow.times(9, denoise=0.6)}
CONFIG = MMHDiTConfig(hidden=96, heads=(2, 4, 24), text_dim=20, gate_init=0.3)


def gaussian(x, t):
    t = t.view(-1, 1, 1, 1)
    slope = (t * S * S - (1 - t)) / (t * t * S * S + (1 - t) ** 2 + SIGMA * SIGMA)
    return M + slope * (x - t * M)


@pytest.fixture(scope="module")
def model():
    model = MMHDiT(CONFIG)
    generator = torch.Generator().manual_seed(0)
    init_weights(model, generator)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def given(model):
    generator = torch.Generator().manual_seed(1)
    found = {name: torch.randn(2, 16, 6, 7, generator=generator) for name in ("noise", "latent", "x")}
    found |= {"t": torch.tensor([0.2, 0.9]), "text": torch.randn(2, 5, 20, generator=generator)}
    found |= {"mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.uint8)}
    found |= {f"sigmas.{name}": flow.to_comfyui_sigma(ts).float() for name, ts in STEPS.items()}
    found |= {"gaussian": torch.tensor([M, S, SIGMA])}
    found |= {"config": torch.tensor(list(json.dumps(CONFIG.to_dict()).encode()), dtype=torch.uint8)}
    return found | {f"model.{name}": weight for name, weight in model.state_dict().items()}


@pytest.fixture(scope="module")
def theirs(given, tmp_path_factory):
    """What ComfyUI's Python found."""
    folder = tmp_path_factory.mktemp("mmh")
    save_file(given, folder / "in.safetensors")
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    script, root = HERE / "mmh_dit_for_tests.py", HERE.parents[2]
    command = [
        python,
        str(script),
        str(root),
        str(folder / "in.safetensors"),
        str(folder / "out.safetensors"),
    ]
    done = subprocess.run(
        command, cwd=os.environ["COMFYUI_PATH"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(folder / "out.safetensors")


@pytest.mark.parametrize("name", STEPS)
def test_comfyuis_euler_over_the_gaussian_field_is_ours(given, theirs, name):
    ts = STEPS[name]
    x = flow.start(given["noise"], given["latent"], t=float(ts[0]))
    *_, ours = flow.euler(gaussian, x, ts)
    torch.testing.assert_close(theirs[f"sampled.{name}"], ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["cast", "plain", "attention", "bfloat16", "fp8"])
def test_comfyuis_operations_and_attention_give_our_answer(model, given, theirs, name):
    stored = {"bfloat16": torch.bfloat16, "fp8": torch.float8_e4m3fn}.get(name, torch.float32)
    ours = MMHDiT(CONFIG)
    ours.load_state_dict({key: weight.to(stored).float() for key, weight in model.state_dict().items()})
    wanted = ours(given["x"], given["t"], given["text"], given["mask"].bool())
    torch.testing.assert_close(theirs[f"velocity.{name}"], wanted, atol=1e-5, rtol=1e-4)
