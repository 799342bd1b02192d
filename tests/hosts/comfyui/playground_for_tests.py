"""Playground v2.5 in ComfyUI, with a small SDXL UNet of random weights; prints what came out as JSON.

argv: a folder for files. Run by test_playground_host.py in ComfyUI's Python. Differences are relative.
"""

# ruff: noqa: E402, I001 (see in_comfyui_for_tests)
import math
import sys

sys.argv.pop()  # no files; ComfyUI would take the folder for an argument of its own

from in_comfyui_for_tests import call, comfy, error_of, part, report, torch
import comfy.k_diffusion.sampling as k_diffusion
import comfy.latent_formats
import comfy.model_base
import comfy.model_patcher
import comfy.model_sampling as kinds
import comfy.supported_models

nodes, buckets = part("nodes.playground"), part("nodes.playground_buckets")
edm, samplers = part("models.playground.edm"), part("models.playground.samplers")
latents, schedules = part("models.playground.latents"), part("models.playground.schedules")
shift = part("models.playground.shift")
KEYS = {"edm_mean": torch.zeros(4), "edm_std": torch.ones(4)}
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [0, 1],
    "transformer_depth_output": [0, 0, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": 2048,
    "adm_in_channels": 2816,
    "num_classes": "sequential",
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "use_temporal_attention": False,
    "legacy": False,
    "num_heads": -1,
    "num_head_channels": 16,
    "dtype": torch.float32,
}
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def unet(keys):
    """Returns a MODEL with the same weights each time, as ComfyUI takes a file with those keys."""
    config = comfy.supported_models.SDXL(dict(UNET))
    config.sampling_settings = {}
    model = comfy.model_base.SDXL(config, model_type=config.model_type(keys), device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


KNOWN, STRIPPED = unet(KEYS), unet({})
NOISE = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(1))
COND = [
    [
        torch.randn(1, 7, 2048, generator=torch.Generator().manual_seed(2)),
        {"pooled_output": torch.zeros(1, 1280)},
    ]
]


def out(node, **given):
    return node.execute(**given).args


def sampled(model, sampler="dpmpp_2m", steps=8):
    empty = torch.zeros_like(NOISE)
    return comfy.sample.sample(
        model, NOISE, steps, 1.0, sampler, "karras", COND, COND, empty, seed=1, disable_pbar=True
    )


def worst(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


@check
def a_stripped_checkpoint_samples_as_the_known_one():
    (made,), wanted = out(nodes.PlaygroundSampling, model=STRIPPED), sampled(KNOWN)
    return [worst(sampled(made), wanted), worst(sampled(STRIPPED), wanted)]


@check
def the_node_changes_nothing_of_a_known_one_or_of_one_that_has_it():
    (once,) = out(nodes.PlaygroundSampling, model=KNOWN)
    (twice,) = out(nodes.PlaygroundSampling, model=once)
    return [worst(sampled(once), sampled(KNOWN)), worst(sampled(twice), sampled(KNOWN))]


@check
def the_stock_model_behind_the_node_is_as_before():
    before = sampled(STRIPPED)
    (made,) = out(nodes.PlaygroundSampling, model=STRIPPED)
    sampled(made)
    return worst(sampled(STRIPPED), before)


@check
def our_sampler_gives_what_ksampler_gives():
    (made,) = out(nodes.PlaygroundSampling, model=STRIPPED)
    facts = {"width": 96, "height": 64, "noise": NOISE, "device": "cpu", **COND[0][1]}
    adm = made.model.encode_adm(**facts)

    def network(x, c_noise):
        return made.model.diffusion_model(x, c_noise, context=COND[0][0], y=adm)

    sigmas = schedules.karras(8)
    begin = NOISE * math.sqrt(1 + 80.0**2) / 80
    found = []
    with torch.no_grad():
        for name in ("dpmpp_2m", "euler", "heun"):
            ask = edm.denoiser(network, edm.PLAYGROUND)
            ours = latents.from_network(samplers.sample(ask, begin, sigmas, sampler=name))
            found.append(worst(ours, sampled(made, name)))
    return found


@check
def formulas_are_comfyuis():
    sampling = nodes.EDMSampling()
    sampling.set_parameters(0.002, 80.0, 0.5)
    x, answer = NOISE.double(), torch.randn(NOISE.shape, generator=torch.Generator().manual_seed(3)).double()
    worst_of = []
    for value in (0.002, 0.5, 80.0):
        sigma = torch.tensor([value]).double()
        ours = edm.denoise(lambda *_: answer, x, sigma, edm.PLAYGROUND)
        worst_of.append(worst(ours, sampling.calculate_denoised(sigma, answer, x)))
        scaled = edm.PLAYGROUND.scalings(sigma)
        worst_of.append(worst(scaled.c_in * x, sampling.calculate_input(sigma, x)))
        worst_of.append(worst(scaled.c_noise, sampling.timestep(sigma)))
    theirs = k_diffusion.get_sigmas_karras(30, 0.002, 80.0)
    worst_of.append(worst(schedules.karras(30).float(), theirs))
    sigmas = schedules.sigmas_of(schedules.sd_alphas_cumprod())
    finite = schedules.zero_terminal_snr(schedules.sd_alphas_cumprod(), last=schedules.LAST_ALPHA)
    worst_of.append(worst(schedules.sigmas_of(finite), kinds.rescale_zero_terminal_snr_sigmas(sigmas)))
    form = comfy.latent_formats.SDXL_Playground_2_5()
    worst_of.append(worst(latents.to_network(NOISE), form.process_in(NOISE)))
    worst_of.append(worst(latents.from_network(NOISE), form.process_out(NOISE)))
    return worst_of


@check
def rules_are_k_diffusions():
    sigmas, x = schedules.karras(12), 80 * NOISE.double()

    def denoise(x, sigma):
        return torch.tanh(x / (1 + sigma.view(-1, 1, 1, 1))) - 0.1

    found = []
    for name, theirs in (("euler", "sample_euler"), ("heun", "sample_heun"), ("dpmpp_2m", "sample_dpmpp_2m")):
        *_, ours = samplers.RULES[name](denoise, x, sigmas)
        found.append(worst(ours, getattr(k_diffusion, theirs)(denoise, x, sigmas, disable=True)))
    return found


class Flow(kinds.ModelSamplingDiscreteFlow, kinds.CONST):
    pass


class Flux(kinds.ModelSamplingFlux, kinds.CONST):
    pass


class Timesteps(kinds.ModelSamplingDiscrete, kinds.EPS):
    pass


def with_sampling(sampling, **facts):
    sampling.set_parameters(**facts)
    made = KNOWN.clone()
    made.add_object_patch("model_sampling", sampling)
    return made


@check
def resolution_shift_moves_the_sigmas_of_comfyuis_models():
    found = []
    large = {"width": 2048, "height": 1024, "base": 1024}
    for model in (with_sampling(Flow(), shift=3.0, multiplier=1.0), with_sampling(Flux(), shift=1.15)):
        before = model.get_model_object("model_sampling").sigmas.double()
        made, by = out(nodes.ResolutionShift, model=model, **large)
        found.append(worst(made.get_model_object("model_sampling").sigmas, shift.shift_flow(before, by)))
        again, _ = out(nodes.ResolutionShift, model=made, **large)
        found.append(worst(again.get_model_object("model_sampling").sigmas, shift.shift_flow(before, by)))
    made, by = out(nodes.ResolutionShift, model=KNOWN, **large)
    sampling = made.get_model_object("model_sampling")
    found.append(abs(float(sampling.sigma_max) / (80 * by) - 1))
    (sigmas,) = out(nodes.EDMSigmas, steps=9, shift=by)
    found.append(worst(sigmas, by * schedules.karras(9).float()))
    return found


@check
def a_latent_of_the_models_own_cells_shifts_as_its_size_in_pixels():
    """For the latent formats whose cells are not of 8 pixels: by a latent, and by width and height."""
    found = {}
    for name, format in vars(comfy.latent_formats).items():
        cell = getattr(format, "spacial_downscale_ratio", 8)
        if cell == 8 or not isinstance(format, type):
            continue
        model = with_sampling(Flux(), shift=1.15)
        model.add_object_patch("latent_format", format())
        latent = {"samples": torch.zeros(1, format.latent_channels, 64, 96)}
        _, by = out(nodes.ResolutionShift, model=model, latent=latent)
        _, wanted = out(nodes.ResolutionShift, model=model, width=96 * cell, height=64 * cell)
        found[name] = [by, wanted]
    return found


@check
def what_cannot_be_done_is_said():
    stock = KNOWN.clone()
    stock.add_object_patch("model_sampling", Timesteps())
    other = KNOWN.clone()
    other.model = comfy.model_base.BaseModel.__new__(comfy.model_base.BaseModel)
    return [
        error_of(nodes.ResolutionShift.execute, model=stock, width=2048, height=2048),
        error_of(nodes.PlaygroundSampling.execute, model=other),
    ]


@check
def a_buckets_latent_is_comfyuis_empty_one():
    latent, width, height = out(buckets.AspectBucketLatent, ratio="16:9", batch_size=2)
    stock = call("nodes", "EmptyLatentImage", width=width, height=height, batch_size=2)
    snapped = out(buckets.SnapToBucket, width=1254, height=836)
    return [width, height, torch.equal(latent["samples"], stock["samples"]), *snapped]


if __name__ == "__main__":
    with torch.inference_mode():
        report(CHECKS)
