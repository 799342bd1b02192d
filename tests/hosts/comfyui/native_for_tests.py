"""MMH-DiT beside ComfyUI's stock loaders, samplers and patches; prints what came out as one line of JSON.

argv: a folder for files. Run by test_mmh_native.py in ComfyUI's Python.
"""

# ruff: noqa: E402 (see in_comfyui_for_tests)
import inspect
import json
import sys
from pathlib import Path

FOLDER = Path(sys.argv.pop())  # ComfyUI would take it for an argument of its own

from in_comfyui_for_tests import (
    apart,
    call,
    checkpoint,
    comfy,
    cond,
    error_of,
    flow,
    ksample,
    native,
    nodes,
    ours,
    part,
    relative,
    report,
    small_model,
    torch,
)

FILE = FOLDER / "small.safetensors"
PLAIN = small_model()
checkpoint.save(PLAIN, FILE)
MODEL = comfy.sd.load_diffusion_model(str(FILE))
POSITIVE, NEGATIVE = cond(1, 20, real=12), cond(2, 20, real=5)
BASE = ksample(MODEL, POSITIVE)
ADVANCED, MERGING = "comfy_extras.nodes_model_advanced", "comfy_extras.nodes_model_merging"

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def written(name, tensors, metadata=None):
    path = FOLDER / f"{name}.safetensors"
    comfy.utils.save_torch_file({k: v.contiguous() for k, v in tensors.items()}, str(path), metadata=metadata)
    return str(path)


def told(tensors, shape=PLAIN.config):
    """The tensors with the config that a file of ours has."""
    return {**tensors, checkpoint.CONFIG_KEY: checkpoint.config_tensor(shape)}


# The same numbers as in plain torch


@check
def euler():
    return apart(BASE, ours(PLAIN, MODEL, POSITIVE))


@check
def guidance():
    made = ksample(MODEL, POSITIVE, NEGATIVE, cfg=4.0)
    return apart(made, ours(PLAIN, MODEL, POSITIVE, NEGATIVE, cfg=4.0))


@check
def steps_that_do_not_divide_a_thousand():
    return apart(ksample(MODEL, POSITIVE, steps=28), ours(PLAIN, MODEL, POSITIVE, steps=28))


@check
def picture_to_picture():
    latent = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(3))
    made = ksample(MODEL, POSITIVE, latent=latent, steps=10, denoise=0.5)
    return apart(made, ours(PLAIN, MODEL, POSITIVE, latent=latent, steps=10, denoise=0.5))


@check
def odd_size():
    latent = torch.zeros(1, 16, 7, 9)
    return apart(ksample(MODEL, POSITIVE, latent=latent), ours(PLAIN, MODEL, POSITIVE, latent=latent))


@check
def batch_of_three():
    latent = torch.zeros(3, 16, 8, 8)
    return apart(
        ksample(MODEL, POSITIVE, NEGATIVE, latent=latent, cfg=2.0),
        torch.cat([_one(i) for i in range(3)]),
    )


def _one(index):
    noise = comfy.sample.prepare_noise(torch.zeros(3, 16, 8, 8), 7)[index : index + 1]
    options = flow.SampleOptions(steps=20, cfg=2.0)
    texts = [flow.Text(each[0][0], each[0][1]["attention_mask"].bool()) for each in (POSITIVE, NEGATIVE)]
    made = flow.sample(PLAIN, noise, texts[0], negative=texts[1], options=options)
    return MODEL.model.latent_format.process_out(made)


@check
def an_empty_latent_of_four_channels():
    return apart(ksample(MODEL, POSITIVE, latent=torch.zeros(1, 4, 8, 12)), BASE)


@check
def attention_backends():
    import comfy.ldm.modules.attention as host

    found = {}
    for name in ("attention_pytorch", "attention_split", "attention_sub_quad", "attention_basic"):
        before, native.optimized_attention = native.optimized_attention, getattr(host, name)
        ragged = [[torch.cat([POSITIVE[0][0], NEGATIVE[0][0]]), {"attention_mask": _two_masks()}]]
        latent = torch.zeros(2, 16, 8, 8)
        found[name] = apart(ksample(MODEL, ragged, latent=latent), ours(PLAIN, MODEL, ragged, latent=latent))
        native.optimized_attention = before
    return found


def _two_masks():
    return torch.cat([each[0][1]["attention_mask"] for each in (POSITIVE, NEGATIVE)])


# Text


@check
def padding_does_not_matter():
    short = [[POSITIVE[0][0][:, :12], {"pooled_output": None}]]
    noisy = [[POSITIVE[0][0].clone(), dict(POSITIVE[0][1])]]
    noisy[0][0][:, 12:] = float("nan")
    return max(apart(ksample(MODEL, short), BASE), apart(ksample(MODEL, noisy), BASE))


@check
def no_text_is_bos_alone():
    made = ksample(MODEL, nodes.no_text(64))
    noise = comfy.sample.prepare_noise(torch.zeros(1, 16, 8, 12), 7)
    plain = flow.sample(PLAIN, noise, options=flow.SampleOptions(steps=20, cfg=1.0))
    return apart(made, MODEL.model.latent_format.process_out(plain))


@check
def conditioning_nodes():
    a, b = cond(3, 9), cond(4, 7)
    joined = call("nodes", "ConditioningConcat", conditioning_to=a, conditioning_from=b)
    padded = call("nodes", "ConditioningConcat", conditioning_to=cond(3, 9, real=5), conditioning_from=b)
    real = [[torch.cat([a[0][0][:, :5], b[0][0]], 1), {"pooled_output": None}]]
    area = call("nodes", "ConditioningSetArea", conditioning=a, width=64, height=32, x=0, y=0, strength=1.0)
    late = call("nodes", "ConditioningSetTimestepRange", conditioning=a, start=0.5, end=1.0)
    early = call("nodes", "ConditioningSetTimestepRange", conditioning=b, start=0.0, end=0.5)
    both = call("nodes", "ConditioningCombine", conditioning_1=late, conditioning_2=early)
    zero = call("nodes", "ConditioningZeroOut", conditioning=a)
    mean = call(
        "nodes", "ConditioningAverage", conditioning_to=a, conditioning_from=b, conditioning_to_strength=0.5
    )
    whole = [[torch.cat([a[0][0], b[0][0]], 1), {"pooled_output": None}]]
    made = {
        name: ksample(MODEL, each, steps=4)
        for name, each in {"area": area, "range": both, "zero": zero, "mean": mean}.items()
    }
    plain = ksample(MODEL, a, steps=4)
    return {
        "concat": apart(ksample(MODEL, joined), ours(PLAIN, MODEL, whole)),
        "concat, padded": apart(ksample(MODEL, padded), ours(PLAIN, MODEL, real)),
        "finite": all(bool(torch.isfinite(each).all()) for each in made.values()),
        "changed": all(apart(each, plain) > 1e-3 for each in made.values()),
    }


# Files


@check
def head_counts():
    return [
        list(MODEL.model.diffusion_model.config.heads),
        [b.attn.heads for b in MODEL.model.diffusion_model.blocks],
    ]


@check
def prefixed_file():
    state = {f"model.diffusion_model.{name}": each for name, each in told(PLAIN.state_dict()).items()}
    return apart(ksample(comfy.sd.load_diffusion_model(written("prefixed", state)), POSITIVE), BASE)


@check
def file_with_metadata_alone():
    """Since some version ComfyUI hands the metadata on; before, an error says what to do."""
    facts = {checkpoint.CONFIG_KEY: json.dumps(PLAIN.config.to_dict())}
    path = written("metadata", PLAIN.state_dict(), facts)
    if "metadata" in inspect.signature(comfy.sd.load_diffusion_model_state_dict).parameters:
        return apart(ksample(comfy.sd.load_diffusion_model(path), POSITIVE), BASE)
    return error_of(comfy.sd.load_diffusion_model, path)


@check
def saved_and_loaded_again():
    path = FOLDER / "saved.safetensors"
    comfy.sd.save_checkpoint(str(path), MODEL, metadata={"prompt": "{}"})
    again = comfy.sd.load_diffusion_model(str(path))
    whole = comfy.sd.load_checkpoint_guess_config(str(path), output_vae=False, output_clip=False)[0]
    mine = checkpoint.load(path)
    return {
        "load diffusion model": apart(ksample(again, POSITIVE), BASE),
        "load checkpoint": apart(ksample(whole, POSITIVE), BASE),
        "ours": apart(ours(mine, MODEL, POSITIVE), BASE),
        "heads": list(mine.config.heads),
    }


@check
def fp8():
    found = {}
    for name, options in {
        "e4m3fn": {"dtype": torch.float8_e4m3fn},
        "e4m3fn_fast": {"dtype": torch.float8_e4m3fn, "fp8_optimizations": True},
        "e5m2": {"dtype": torch.float8_e5m2},
        "bf16": {"dtype": torch.bfloat16},
    }.items():
        model = comfy.sd.load_diffusion_model(str(FILE), model_options=options)
        stored = model.model.diffusion_model.blocks[0].attn.qkv.weight.dtype
        found[name] = [relative(ksample(model, POSITIVE), BASE), str(stored)]
    path = written("fp8", told({k: v.to(torch.float8_e4m3fn) for k, v in PLAIN.state_dict().items()}))
    found["file"] = [relative(ksample(comfy.sd.load_diffusion_model(path), POSITIVE), BASE), ""]
    return found


def _scaled(key):
    """Matrices of blocks as fp8 with a scale of their own, as `key` calls it; and which they are."""
    state, scaled = {}, []
    for name, weight in PLAIN.state_dict().items():
        if name.startswith("blocks.") and weight.ndim == 2:
            scale = weight.abs().max() / 448
            state[name] = (weight / scale).to(torch.float8_e4m3fn)
            state[name.removesuffix("weight") + key] = scale
            scaled.append(name.removesuffix(".weight"))
        else:
            state[name] = weight.bfloat16()
    return state, scaled


@check
def scaled_fp8_of_old():
    state, _ = _scaled("scale_weight")
    path = written("scaled_old", told(state) | {"scaled_fp8": torch.tensor([], dtype=torch.float8_e4m3fn)})
    return relative(ksample(comfy.sd.load_diffusion_model(path), POSITIVE), BASE)


@check
def scaled_fp8_of_today():
    if "metadata" not in inspect.signature(comfy.sd.load_diffusion_model_state_dict).parameters:
        return None
    state, scaled = _scaled("weight_scale")
    layers = {"format_version": "1.0", "layers": {name: {"format": "float8_e4m3fn"} for name in scaled}}
    path = written("scaled", told(state), {"_quantization_metadata": json.dumps(layers)})
    model = comfy.sd.load_diffusion_model(path)
    saved = FOLDER / "scaled_saved.safetensors"
    comfy.sd.save_checkpoint(str(saved), model)
    again = comfy.sd.load_diffusion_model(str(saved))
    return [relative(ksample(each, POSITIVE), BASE) for each in (model, again)]


@check
def merge_and_clone():
    other = FOLDER / "other.safetensors"
    second = small_model(seed=5)
    checkpoint.save(second, other)
    merged = call(
        MERGING,
        "ModelMergeSimple",
        model1=MODEL,
        model2=comfy.sd.load_diffusion_model(str(other)),
        ratio=0.25,
    )
    mixed = small_model()
    with torch.no_grad():
        for mine, theirs in zip(mixed.parameters(), second.parameters(), strict=True):
            mine.mul_(0.25).add_(theirs, alpha=0.75)
    made = apart(ksample(merged, POSITIVE), ours(mixed, MODEL, POSITIVE))
    return {"merged": made, "base untouched": apart(ksample(MODEL, POSITIVE), BASE)}


@check
def lora():
    """Every name that ComfyUI knows for a matrix, against the same change made by hand."""
    generator, tensors, changed = torch.Generator().manual_seed(4), {}, small_model()
    layers = {
        "lora_unet_blocks_0_attn_qkv": ("blocks.0.attn.qkv", "lora_down", "lora_up"),
        "diffusion_model.blocks.1.mlp.w1": ("blocks.1.mlp.w1", "lora_A", "lora_B"),
        "diffusion_model.text_in.w2": ("text_in.w2", "lora_down", "lora_up"),
    }
    with torch.no_grad():
        for name, (layer, down, up) in layers.items():
            weight = changed.get_submodule(layer).weight
            a = 0.2 * torch.randn(4, weight.shape[1], generator=generator)
            b = 0.2 * torch.randn(weight.shape[0], 4, generator=generator)
            tensors |= {f"{name}.{down}.weight": a, f"{name}.{up}.weight": b}
            weight.add_(0.7 * b @ a)
    model, _ = comfy.sd.load_lora_for_models(MODEL, None, tensors, 0.7, 0.0)
    small = comfy.sd.load_diffusion_model(str(FILE), model_options={"dtype": torch.float8_e4m3fn})
    on_fp8, _ = comfy.sd.load_lora_for_models(small, None, tensors, 0.7, 0.0)
    made, wanted = ksample(model, POSITIVE), ours(changed, MODEL, POSITIVE)
    return {
        "difference": apart(made, wanted),
        "effect": apart(made, BASE),
        "on fp8": relative(ksample(on_fp8, POSITIVE), wanted),
        "base untouched": apart(ksample(MODEL, POSITIVE), BASE),
    }


# Samplers, patches, previews


@check
def samplers():
    names = (
        "dpmpp_2m",
        "uni_pc",
        "heun",
        "euler_ancestral",
        "lcm",
        "er_sde",
        "dpmpp_2m_sde",
        "res_multistep",
    )
    made = {name: ksample(MODEL, POSITIVE, NEGATIVE, cfg=2.0, steps=6, sampler=name) for name in names}
    return {name: [bool(torch.isfinite(each).all()), relative(each, BASE)] for name, each in made.items()}


@check
def inpaint():
    latent = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, 1, 8, 12)
    mask[..., :6] = 1
    made = ksample(MODEL, POSITIVE, latent=latent, steps=10, noise_mask=mask)
    soft = call("comfy_extras.nodes_differential_diffusion", "DifferentialDiffusion", model=MODEL)
    other = ksample(soft, POSITIVE, latent=latent, steps=10, noise_mask=mask * 0.5)
    return {
        "kept": apart(made[..., 6:], latent[..., 6:]),
        "new": apart(made[..., :6], latent[..., :6]),
        "soft": bool(torch.isfinite(other).all()),
    }


@check
def shifts_of_all_nodes():
    patched = [
        call(ADVANCED, "ModelSamplingSD3", model=MODEL, shift=3.0),
        call(ADVANCED, "ModelSamplingAuraFlow", model=MODEL, shift=3.0),
        call(
            ADVANCED,
            "ModelSamplingFlux",
            model=MODEL,
            max_shift=1.0986122886681098,
            base_shift=1.0986122886681098,
            width=1024,
            height=1024,
        ),
    ]
    made = [ksample(each, POSITIVE, steps=8) for each in patched]
    exact = comfy.sample.sample_custom(
        MODEL,
        comfy.sample.prepare_noise(torch.zeros(1, 16, 8, 12), 7),
        1.0,
        comfy.samplers.sampler_object("euler"),
        nodes.ICFMSigmas.execute(steps=8, shift=3.0).args[0],
        POSITIVE,
        POSITIVE,
        torch.zeros(1, 16, 8, 12),
        seed=7,
        disable_pbar=True,
    )
    return {
        "among nodes": max(apart(each, made[0]) for each in made),
        "I-CFM Sigmas": apart(exact, made[0]),
        "none": apart(BASE, made[0]),
    }


@check
def shifts_of_the_model_in_our_sampler():
    """Our sampler and KSampler on MODELs with a shift; on one of 2, our shift 1.5 and 3 on one without."""
    latent = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(3))
    shifted, _ = part("nodes.playground").ResolutionShift.execute(MODEL, width=2048, height=2048).args
    models = {
        "none": MODEL,
        "ModelSamplingSD3": call(ADVANCED, "ModelSamplingSD3", model=MODEL, shift=3.0),
        "ModelSamplingAuraFlow": call(ADVANCED, "ModelSamplingAuraFlow", model=MODEL, shift=1.73),
        "ModelSamplingFlux": call(
            ADVANCED, "ModelSamplingFlux", model=MODEL, max_shift=1.15, base_shift=0.5, width=512, height=512
        ),
        "Resolution Shift": shifted,
    }

    def sampled(model, **options):
        facts = {"seed": 7, "steps": 10, "cfg": 1.0, **options}
        return nodes.MMHDiTSampler.execute(model, POSITIVE, {"samples": latent}, **facts).args[0]["samples"]

    found = {}
    for name, model in models.items():
        for denoise in (1.0, 0.5):
            wanted = ksample(model, POSITIVE, latent=latent, steps=10, denoise=denoise)
            found[f"{name} {denoise}"] = apart(sampled(model, denoise=denoise), wanted)
    found["on top"] = apart(sampled(shifted, shift=1.5), sampled(MODEL, shift=3.0))
    return found, apart(sampled(shifted), sampled(MODEL))


@check
def patches():
    extras = "comfy_extras.nodes_"
    found = {
        "RescaleCFG": call(ADVANCED, "RescaleCFG", model=MODEL, multiplier=0.7),
        "SkipLayerGuidanceDiT": call(
            f"{extras}slg",
            "SkipLayerGuidanceDiT",
            model=MODEL,
            scale=3.0,
            start_percent=0.01,
            end_percent=0.9,
            double_layers="",
            single_layers="1, 2",
        ),
        "APG": call(f"{extras}apg", "APG", model=MODEL, eta=1.0, norm_threshold=5.0, momentum=0.5),
        "CFGZeroStar": call(f"{extras}cfg", "CFGZeroStar", model=MODEL),
        "EasyCache": call(
            f"{extras}easycache",
            "EasyCacheNode",
            model=MODEL,
            reuse_threshold=0.9,
            start_percent=0.0,
            end_percent=1.0,
            verbose=False,
        ),
    }
    if hasattr(MODEL, "set_model_rope_options"):
        stretch = {
            "scale_x": 0.5,
            "shift_x": 0.0,
            "scale_y": 0.5,
            "shift_y": 3.0,
            "scale_t": 1.0,
            "shift_t": 0.0,
        }
        found["ScaleROPE"] = call(f"{extras}rope", "ScaleROPE", model=MODEL, **stretch)
    plain = ksample(MODEL, POSITIVE, NEGATIVE, cfg=4.0)
    made = {name: ksample(each, POSITIVE, NEGATIVE, cfg=4.0) for name, each in found.items()}
    return {name: [bool(torch.isfinite(each).all()), apart(each, plain)] for name, each in made.items()}


@check
def hooks_of_attention_and_blocks():
    seen = {"attention": 0, "block": 0, "index": set(), "slice": None, "total": None}

    def attention(function, *args, **kwargs):
        options = kwargs["transformer_options"]
        seen["attention"] += 1
        seen["index"].add(options["block_index"])
        seen["slice"], seen["total"] = options["img_slice"], options["total_blocks"]
        return function(*args, **kwargs)

    def block(args, extra):
        seen["block"] += 1
        return extra["original_block"](args)

    model = MODEL.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = attention
    model.set_model_patch_replace(block, "dit", "single_block", 1)
    seen["difference"] = apart(ksample(model, POSITIVE, steps=5), ksample(MODEL, POSITIVE, steps=5))
    return seen | {"index": sorted(seen["index"])}


@check
def preview():
    import latent_preview
    from comfy.cli_args import LatentPreviewMethod, args

    args.preview_method = LatentPreviewMethod.Latent2RGB
    previewer = latent_preview.get_previewer(torch.device("cpu"), MODEL.model.latent_format)
    return list(previewer.decode_latent_to_preview(BASE).size)


@check
def unloading():
    import comfy.model_management as mm

    mm.unload_all_models()
    mm.soft_empty_cache()
    return apart(ksample(MODEL, POSITIVE), BASE)


# Our own nodes


def _sampled(name, **options):
    """The sampler node, and ComfyUI's sampler of that name with I-CFM Sigmas."""
    latent = {"samples": torch.zeros(1, 16, 8, 12)}
    made = nodes.MMHDiTSampler.execute(MODEL, POSITIVE, latent, NEGATIVE, seed=7, sampler=name, **options)
    facts = {key: value for key, value in options.items() if key in nodes.OF_SIGMAS}
    stock = comfy.sample.sample_custom(
        MODEL,
        comfy.sample.prepare_noise(torch.zeros(1, 16, 8, 12), 7),
        options["cfg"],
        comfy.samplers.sampler_object(name),
        nodes.ICFMSigmas.execute(**facts).args[0],
        POSITIVE,
        NEGATIVE,
        torch.zeros(1, 16, 8, 12),
        seed=7,
        disable_pbar=True,
    )
    return apart(made.args[0]["samples"], stock)


@check
def sampler_node():
    found = {name: _sampled(name, steps=28, cfg=4.0, shift=1.5) for name in ("euler", "heun")}
    noise = {"samples": torch.zeros(1, 16, 8, 12)}
    free = nodes.MMHDiTSampler.execute(MODEL, POSITIVE, noise, seed=7, steps=20, cfg=4.0).args[0]["samples"]
    found["no negative"] = apart(free, ours(PLAIN, MODEL, POSITIVE, cfg=4.0))
    wide = nodes.MMHDiTSampler.execute(
        MODEL, POSITIVE, noise, seed=7, steps=20, cfg=1.0, icfm_sigma=0.5
    ).args[0]["samples"]
    found["sigma"] = apart(wide, ours(PLAIN, MODEL, POSITIVE, icfm_sigma=0.5))
    latent = {"samples": torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(3))}
    made = nodes.MMHDiTSampler.execute(MODEL, POSITIVE, latent, seed=7, steps=10, cfg=1.0, denoise=0.4)
    wanted = ours(PLAIN, MODEL, POSITIVE, latent=latent["samples"], steps=10, denoise=0.4)
    found["picture"] = apart(made.args[0]["samples"], wanted)
    plain = nodes.MMHDiTSampler.execute(MODEL, POSITIVE, noise, seed=7, steps=20, cfg=1.0).args[0]["samples"]
    found["ksampler"] = apart(plain, BASE)
    return found


@check
def sampler_node_stops():
    import comfy.model_management as mm

    mm.interrupt_current_processing(True)
    try:
        nodes.MMHDiTSampler.execute(MODEL, POSITIVE, {"samples": torch.zeros(1, 16, 8, 12)}, steps=4)
    except mm.InterruptProcessingException:
        return "stopped"
    finally:
        mm.interrupt_current_processing(False)
    return "went on"


@check
def heads_node():
    return nodes.MMHHeadAllocation.execute(MODEL).args[0]


# What is wrong is named


def _with(name, **changed):
    """What loading says of a file in which tensors are others, or left out where there is None."""
    state = PLAIN.state_dict() | {key.replace("__", "."): tensor for key, tensor in changed.items()}
    state = {key: tensor for key, tensor in state.items() if tensor is not None}
    return error_of(comfy.sd.load_diffusion_model, written(name, told(state)))


@check
def errors():
    import dataclasses

    narrow = dataclasses.replace(PLAIN.config, in_ch=4)
    thin = small_model(narrow)
    return {
        "missing": _with("missing", blocks__1__attn__out__weight=None),
        "nan": _with("nan", blocks__2__mlp__w3__weight=torch.full((128, 96), float("nan"))),
        "shape": _with("shape", final__scale__weight=torch.zeros(3, 3)),
        "no heads": error_of(comfy.sd.load_diffusion_model, written("bare", PLAIN.state_dict())),
        "channels": error_of(comfy.sd.load_diffusion_model, written("thin", told(thin.state_dict(), narrow))),
        "latent": error_of(ksample, MODEL, POSITIVE, latent=torch.randn(1, 4, 8, 8)),
        "text": error_of(ksample, MODEL, cond(1, 4, width=77)),
        "other model": error_of(nodes.config_of, _other()),
    }


def _other():
    from types import SimpleNamespace

    return SimpleNamespace(
        model=SimpleNamespace(model_config=SimpleNamespace(unet_config={"in_channels": 4}))
    )


# Registration


@check
def registered_once():
    import comfy.model_detection
    import comfy.supported_models

    first = comfy.model_detection.detect_unet_config
    native.register()
    native.register()
    known = [
        m for m in comfy.supported_models.models if m.unet_config.get("image_model") == native.IMAGE_MODEL
    ]
    return [len(known), comfy.model_detection.detect_unet_config is first, first({}, "") is None]


if __name__ == "__main__":
    report(CHECKS)
