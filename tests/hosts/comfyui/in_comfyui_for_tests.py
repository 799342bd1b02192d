"""What the checks inside ComfyUI share: the pack as ComfyUI loads it, small model files, and sampling.

Imported only by programs that run in ComfyUI's own Python, from a checkout of it.
"""

# ruff: noqa: E402, F401, I001 (ComfyUI reads the command line while it is imported)
import asyncio
import importlib
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path

HOST = os.environ["COMFYUI_PATH"]
sys.path.insert(0, HOST)
os.chdir(HOST)
sys.argv = ["main.py", "--cpu"]

import comfy.options

comfy.options.enable_args_parsing()
import utils.extra_config  # first, as main.py does
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.utils
import torch

ROOT = Path(__file__).parents[3]
PACK = "presample_in_comfyui"
SCALE = 0.3611  # FLUX's scale: latents are compared as the model sees them


def load_pack():
    """Returns a function that gives a module of the pack, which ComfyUI has asked for its nodes."""
    spec = importlib.util.spec_from_file_location(
        PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    pack = sys.modules[PACK] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())
    return lambda name: importlib.import_module(f"{PACK}.{name}")


part = load_pack()
checkpoint, flow = part("models.mmh_dit.checkpoint"), part("models.mmh_dit.flow")
config, network = part("models.mmh_dit.config"), part("models.mmh_dit.model")
native, nodes = part("nodes.native_mmh_dit"), part("nodes.mmh_dit")

SMALL = config.MMHDiTConfig(
    hidden=96,
    heads=(2, 4, 12, 8),
    text_dim=64,
    mlp_hidden=128,
    cond_dim=48,
    icfm_sigma=0.01,  # as the bundled model says; it changes nothing in sampling
    gate_init=0.3,
)


def small_model(shape=SMALL, *, seed=0):
    """Returns a model in plain torch in which nothing is zero."""
    model, generator = network.MMHDiT(shape), torch.Generator().manual_seed(seed)
    network.init_weights(model, generator)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("final.") or ".modulation." in name or "norm" in name:
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return model.requires_grad_(False).eval()


def cond(seed, tokens, *, real=None, width=SMALL.text_dim):
    """Returns CONDITIONING of random tokens, of which `real` are no padding."""
    text = torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(seed))
    facts = {"pooled_output": None}
    if real is not None:
        facts["attention_mask"] = (torch.arange(tokens) < real).long()[None]
    return [[text, facts]]


def text_of(conditioning):
    """Returns the same as our own sampler reads it."""
    text, facts = conditioning[0]
    mask = facts.get("attention_mask")
    return flow.Text(text, None if mask is None else mask.bool())


def noise_for(model, latent, seed=7):
    latent = comfy.sample.fix_empty_latent_channels(model, latent)
    return latent, comfy.sample.prepare_noise(latent, seed)


def ksample(model, positive, negative=None, *, latent=None, steps=20, cfg=1.0, sampler="euler", **more):
    """Returns what a KSampler gives."""
    latent, noise = noise_for(model, torch.zeros(1, 16, 8, 12) if latent is None else latent)
    scheduler = more.pop("scheduler", "simple")
    return comfy.sample.sample(
        model,
        noise,
        steps,
        cfg,
        sampler,
        scheduler,
        positive,
        negative or positive,
        latent,
        seed=7,
        disable_pbar=True,
        **more,
    )


def ours(plain, model, positive, negative=None, *, latent=None, **options):
    """Returns what our own sampler gives of the same noise, as ComfyUI scales latents."""
    form = model.model.latent_format
    begin, noise = noise_for(model, torch.zeros(1, 16, 8, 12) if latent is None else latent)
    made = flow.sample(
        plain,
        noise,
        text_of(positive),
        negative=flow.EMPTY if negative is None else text_of(negative),
        options=flow.SampleOptions(**({"steps": 20, "cfg": 1.0} | options)),
        latent=None if latent is None else form.process_in(begin),
    )
    return form.process_out(made)


def apart(a, b):
    """Returns the greatest difference of two latents, in the model's scale."""
    return ((a - b).abs().max() * SCALE).item()


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def call(module, name, **inputs):
    """Returns what a stock node gives first; nodes of both kinds, whatever their functions are called."""
    node = getattr(importlib.import_module(module), name)
    if hasattr(node, "define_schema"):
        made = node.execute(**inputs)
        return made.args[0] if hasattr(made, "args") else made[0]
    return getattr(node(), node.FUNCTION)(**inputs)[0]


def error_of(function, *arguments, **more):
    """Returns what an error says."""
    try:
        function(*arguments, **more)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was raised"


def report(checks):
    """Prints what every check returned, or its error, as one line of JSON."""
    found = {}
    with torch.inference_mode():
        for name, function in checks.items():
            try:
                found[name] = function()
            except Exception:
                found[name] = {"error": traceback.format_exc()}
    sys.stdout.write("\n" + json.dumps(found) + "\n")
