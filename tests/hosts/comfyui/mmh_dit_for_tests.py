"""Runs inside ComfyUI's Python: its sampler over our conventions, its operations under our model.

python mmh_dit_for_tests.py REPOSITORY IN.safetensors OUT.safetensors      (in a checkout of ComfyUI)
"""

import json
import sys
from types import ModuleType

import torch
from safetensors.torch import load_file, save_file

REPOSITORY, IN, OUT = sys.argv[1:]
sys.argv = sys.argv[:1]
sys.path.insert(0, ".")

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True

import comfy.k_diffusion.sampling  # noqa: E402
import comfy.model_sampling  # noqa: E402
import comfy.ops  # noqa: E402
from comfy.ldm.modules.attention import optimized_attention  # noqa: E402

package = ModuleType("presample")
package.__path__ = [REPOSITORY]
sys.modules["presample"] = package

from presample.models.mmh_dit import flow, rope  # noqa: E402
from presample.models.mmh_dit.config import MMHDiTConfig  # noqa: E402
from presample.models.mmh_dit.model import Hooks, MMHDiT  # noqa: E402


class Sampling(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
    pass


def sampled(given: dict, name: str) -> torch.Tensor:
    """ComfyUI's Euler over the network that the Gaussian velocity is."""
    m, s, width = given["gaussian"].tolist()
    sampling = Sampling()
    sampling.set_parameters(shift=1.0, multiplier=1.0)

    def network(x, timestep):
        t = flow.from_comfyui_sigma(timestep).view(-1, 1, 1, 1)
        slope = (t * s * s - (1 - t)) / (t * t * s * s + (1 - t) ** 2 + width * width)
        return flow.to_comfyui_output(m + slope * (x - t * m))

    def denoiser(x, sigma):
        return sampling.calculate_denoised(sigma, network(x, sampling.timestep(sigma)), x)

    sigmas = given[f"sigmas.{name}"]
    x = sampling.noise_scaling(sigmas[:1], given["noise"], given["latent"])
    x = comfy.k_diffusion.sampling.sample_euler(denoiser, x, sigmas, disable=True)
    return sampling.inverse_noise_scaling(sigmas[-1:], x)


def velocity(given: dict, operations, weights: torch.dtype, *, theirs: bool = False) -> torch.Tensor:
    """The model with ComfyUI's operations, its weights stored in a type of the host's choice."""
    config = MMHDiTConfig.from_dict(json.loads(bytes(given["config"].tolist())))
    model = MMHDiT(config, operations=operations, dtype=weights)
    state = {
        name.removeprefix("model."): tensor for name, tensor in given.items() if name.startswith("model.")
    }
    model.load_state_dict(state)

    def attention(q, k, v, *, mask):
        return optimized_attention(q, k, v, q.shape[1], mask=mask, skip_reshape=True, transformer_options={})

    hooks = Hooks(attention=attention if theirs else None, stretch=rope.PLAIN)
    return model(given["x"], given["t"], given["text"], given["mask"].bool(), hooks=hooks)


with torch.no_grad():
    given = load_file(IN)
    cast, plain = comfy.ops.manual_cast, comfy.ops.disable_weight_init
    found = {f"sampled.{name}": sampled(given, name) for name in ("even", "shifted", "img2img")}
    found["velocity.cast"] = velocity(given, cast, torch.float32)
    found["velocity.plain"] = velocity(given, plain, torch.float32)
    found["velocity.attention"] = velocity(given, cast, torch.float32, theirs=True)
    found["velocity.bfloat16"] = velocity(given, cast, torch.bfloat16)
    found["velocity.fp8"] = velocity(given, cast, torch.float8_e4m3fn)
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, OUT)
