"""Mixes of text encoders in ComfyUI, with small CLIPs of random weights; prints what came out as JSON.

argv: a folder for files. Run by test_mixing.py in ComfyUI's Python. Differences are the greatest of all.
"""

# ruff: noqa: E402, I001 (see in_comfyui_for_tests)
import logging
import statistics
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv.pop())  # ComfyUI would take it for an argument of its own

try:  # before ComfyUI is imported, as main.py does; without a GPU it holds no memory, but has addresses
    import comfy_aimdo.control

    comfy_aimdo.control.init("cuda")
    AIMDO = comfy_aimdo.control.lib is not None
except ImportError:
    AIMDO = False

from in_comfyui_for_tests import call, comfy, error_of, part, report, torch
import comfy.hooks
import comfy.model_management
import comfy.model_sampling
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models_base
import comfy.text_encoders.pixart_t5
from safetensors.torch import save_file

encoders, nodes = part("nodes.encoders"), part("nodes.textcraftor")
sweeps, files = part("nodes.textcraftor_sweep"), part("models.textcraftor.files")
PROMPT = "a lake, (full moon:1.4), [fog], (stars:0.6)"
LONG = ", ".join(["a lake at night"] * 40)
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
WIDER = {**SMALL, "hidden_size": 48, "intermediate_size": 96, "projection_dim": 48}
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("logit_scale"):
                continue
            drawn = 0.3 * torch.randn(weight.shape, generator=generator)
            if "norm" in name and name.endswith("weight"):
                drawn += 1
            weight.copy_(drawn)


def make(tokenizer, model, seed):
    """Returns a CLIP with random weights."""
    target = comfy.supported_models_base.ClipTarget(tokenizer, model)
    options = {"clip_l_model_config": dict(SMALL), "clip_g_model_config": dict(WIDER), "dtype": torch.float32}
    options["t5xxl_model_config"] = {"d_ff": 32, "d_kv": 8, "d_model": 16, "num_heads": 2, "num_layers": 1}
    clip = comfy.sd.CLIP(target, parameters=1, model_options=options)
    randomize(clip.cond_stage_model, seed)
    return clip


def sd1(seed):
    return make(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel, seed)


def sdxl(seed):
    return make(comfy.sdxl_clip.SDXLTokenizer, comfy.sdxl_clip.SDXLClipModel, seed)


KINDS = {"sd1": sd1, "sdxl": sdxl}
WEIGHTS = (0.5, 0.3, 0.2)


def encode(clip, prompt=PROMPT):
    """CLIP Text Encode."""
    return call("nodes", "CLIPTextEncode", clip=clip, text=prompt)


def stacked(clips, weights, weighting="raw"):
    """The CLIP of a chain of Encoder Mix nodes."""
    stack = ()
    for clip, weight in zip(clips, weights, strict=True):
        made, stack = nodes.EncoderMix.execute(clip, weight, stack, weighting).args
    return made


def by_hand(lists, weights):
    """The weighted sum, written out."""
    made = []
    for entries in zip(*lists, strict=True):
        facts = dict(entries[0][1])
        cond = sum(w * each[0] for w, each in zip(weights, entries, strict=True))
        if facts.get("pooled_output") is not None:
            pooled = (each[1]["pooled_output"] for each in entries)
            facts["pooled_output"] = sum(w * each for w, each in zip(weights, pooled, strict=True))
        made.append([cond, facts])
    return made


def apart(a, b):
    """Returns the greatest difference of two CONDITIONINGs, infinite where they are of different form."""
    if len(a) != len(b) or any(x.shape != y.shape for (x, _), (y, _) in zip(a, b, strict=True)):
        return float("inf")
    found = [(x - y).abs().max().item() for (x, _), (y, _) in zip(a, b, strict=True)]
    for (_, one), (_, other) in zip(a, b, strict=True):
        if one.keys() != other.keys():
            return float("inf")
        found += [
            (value - other[name]).abs().max().item() for name, value in one.items() if torch.is_tensor(value)
        ]
        told = ("clip_start_percent", "clip_end_percent")
        found += [abs(one[name] - other[name]) for name in told if name in one]
    return max(found)


def lora(names, seed=7, rank=2):
    """A LoRA on text encoders, under the names that trainers give."""
    generator, made = torch.Generator().manual_seed(seed), {}
    for name, (wide, narrow) in names.items():
        made[f"{name}.lora_up.weight"] = torch.randn(wide, rank, generator=generator)
        made[f"{name}.lora_down.weight"] = torch.randn(rank, narrow, generator=generator)
        made[f"{name}.alpha"] = torch.tensor(float(rank))
    return made


LORAS = {
    "sd1": lora({"lora_te_text_model_encoder_layers_0_mlp_fc1": (64, 32)}),
    "sdxl": lora(
        {
            "lora_te1_text_model_encoder_layers_0_mlp_fc1": (64, 32),
            "lora_te2_text_model_encoder_layers_0_mlp_fc1": (96, 48),
        }
    ),
}


def with_lora(clip, kind):
    return comfy.sd.load_lora_for_models(None, clip, LORAS[kind], 0, 0.8)[1]


def with_hooks(clip, kind, *, schedule):
    """Set CLIP Hooks with a LoRA that has two keyframes."""
    hooks = comfy.hooks.create_hook_lora(LORAS[kind], 1.0, 1.0)
    frames = comfy.hooks.HookKeyframeGroup()
    frames.add(comfy.hooks.HookKeyframe(strength=0.2, start_percent=0.0))
    frames.add(comfy.hooks.HookKeyframe(strength=0.9, start_percent=0.5))
    hooks.set_keyframes_on_hooks(frames)
    return call(
        "comfy_extras.nodes_hooks",
        "SetClipHooks",
        clip=clip,
        hooks=hooks,
        schedule_clip=schedule,
        apply_to_conds=False,
    )


def skipped(clip):
    return call("nodes", "CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-2)


CHANGES = {
    "plain": lambda clip, kind: clip,
    "clip skip": lambda clip, kind: skipped(clip),
    "lora": with_lora,
    "hooks": lambda clip, kind: with_hooks(clip, kind, schedule=False),
    "schedule": lambda clip, kind: with_hooks(clip, kind, schedule=True),
    "all": lambda clip, kind: with_hooks(skipped(with_lora(clip, kind)), kind, schedule=True),
}


@check
def against_a_sum_by_hand():
    """For each kind and what is set on the mix: difference to the sum, effect, and parts of the schedule."""
    found = {}
    for kind, make_one in KINDS.items():
        clips = [make_one(seed) for seed in range(3)]
        plain = stacked(clips, WEIGHTS)
        for name, change in CHANGES.items():
            for prompt in (PROMPT, LONG):
                mixed = encode(change(plain, kind), prompt)
                wanted = by_hand([encode(change(clip, kind), prompt) for clip in clips], WEIGHTS)
                again = encode(change(plain, kind), prompt)
                effect = (mixed[-1][0] - encode(plain, prompt)[0][0]).abs().max().item()
                found[f"{kind} {name} {len(prompt)}"] = [
                    max(apart(mixed, wanted), apart(mixed, again)),
                    effect,
                    len(mixed),
                ]
    return found


@check
def what_was_set_before_the_mix_stays_with_its_encoder():
    clips = [sd1(0), with_lora(skipped(sd1(1)), "sd1")]
    mixed = stacked(clips, (0.5, 0.5))
    first = apart(encode(mixed), by_hand([encode(clip) for clip in clips], (0.5, 0.5)))
    hooked = with_hooks(mixed, "sd1", schedule=True)
    wanted = by_hand([encode(with_hooks(clip, "sd1", schedule=True)) for clip in clips], (0.5, 0.5))
    return max(first, apart(encode(hooked), wanted), apart(encode(hooked.clone()), wanted))


@check
def ends_are_the_encoder_itself():
    """At w 0 and 1, and with one encoder alone: whether the states are bit for bit those of one encoder."""
    found = []
    for make_one in KINDS.values():
        a, b = make_one(0), make_one(1)
        for w, clip in ((0.0, a), (1.0, b)):
            made = nodes.EncoderInterpolate.execute(a, b, PROMPT, LONG, w=w, start=0.0).args
            found += [apart(made[0], encode(clip)) == 0, apart(made[1], encode(clip, LONG)) == 0]
        found.append(apart(encode(stacked([a, b], (0, 3), "normalize")), encode(b)) == 0)
        merged = [nodes.EncoderMerge.execute(a, b, w).args[0] for w in (0.0, 1.0)]
        found += [apart(encode(clip), encode(one)) == 0 for clip, one in zip(merged, (a, b), strict=True)]
    return found


@check
def stock_nodes_agree():
    """CLIPMergeSimple and ConditioningAverage, where they do what ours do."""
    found = {}
    for kind, make_one in KINDS.items():
        a, b = make_one(0), make_one(1)
        simple = call("comfy_extras.nodes_model_merging", "CLIPMergeSimple", clip1=a, clip2=b, ratio=0.3)
        merged = nodes.EncoderMerge.execute(a, b, 0.7).args[0]
        average = call(
            "nodes",
            "ConditioningAverage",
            conditioning_to=encode(b),
            conditioning_from=encode(a),
            conditioning_to_strength=0.7,
        )
        between = nodes.EncoderInterpolate.execute(a, b, PROMPT, "", w=0.7, start=0.0).args[0]
        mixed = encode(stacked([a, b], (0.3, 0.7), "normalize"))
        found[kind] = {
            "merge": apart(encode(merged), encode(simple)),
            "average": apart(between, average),
            "mix": apart(mixed, average),
            "merge is no mix": apart(encode(merged), mixed),
        }
    return found


@check
def steps_of_an_interpolation():
    a, b = sd1(0), sd1(1)
    positive, negative = nodes.EncoderInterpolate.execute(
        a, b, PROMPT, LONG, w=0.5, start=0.4, end=0.8, negative="own", negative_w=0.25
    ).args
    half, quarter = (
        by_hand([encode(a, text), encode(b, text)], (1 - w, w)) for text, w in ((PROMPT, 0.5), (LONG, 0.25))
    )

    def off(made, wanted):
        return max((x - y).abs().max().item() for (x, _), (y, _) in zip(made, wanted, strict=True))

    ranges = [[facts["clip_start_percent"], facts["clip_end_percent"]] for _, facts in positive]
    return [
        off(positive, [*encode(a), *half, *encode(a)]),
        off(negative, [*encode(a, LONG), *quarter, *encode(a, LONG)]),
        ranges,
    ]


@check
def first_steps_of_the_tuned_encoder():
    """Which step of Stable Diffusion's is the first that the tuned encoder has, and which it is to be."""
    discrete, mix = comfy.model_sampling.ModelSamplingDiscrete, part("models.textcraftor.mix")
    model = type("ModelSampling", (discrete, comfy.model_sampling.EPS), {})()
    start = part("nodes.conditioning").during({}, 0.4, 1.0)["clip_start_percent"]
    found = {}
    for schedule in ("normal", "simple", "sgm_uniform", "ddim_uniform", "karras"):
        for steps in (20, 25, 30, 50):
            sigmas = comfy.samplers.calculate_sigmas(model, schedule, steps)[:-1]
            led = int((sigmas > model.percent_to_sigma(start)).sum())
            found[f"{schedule} {steps}"] = (led, mix.first_step(steps, 0.4))
    return found


@check
def a_sweep():
    a, b = sd1(0), sd1(1)
    positive, negative, w, labels = sweeps.MixSweep.execute(a, b, PROMPT, LONG, count=3, start=0.0).args
    singles = [nodes.EncoderInterpolate.execute(a, b, PROMPT, LONG, w=each, start=0.0).args for each in w]
    off = [apart(x, y) for x, (y, _) in zip(positive, singles, strict=True)]
    off += [apart(x, y) for x, (_, y) in zip(negative, singles, strict=True)]
    return [max(off), w, labels]


def state_of(clip, prefix):
    state = clip.cond_stage_model.state_dict()
    return {
        name.removeprefix(prefix): tensor.clone() for name, tensor in state.items() if name.startswith(prefix)
    }


@check
def tuned_files():
    """A file put into a CLIP that is loaded and patched: differences to a CLIP that has those weights."""
    found = {}
    for kind, make_one in KINDS.items():
        base, other = make_one(0), make_one(1)
        prefixes = files.towers(base.cond_stage_model.state_dict())
        tensors = {
            f"module.{i}.{n}": t for i, p in enumerate(prefixes) for n, t in state_of(other, p).items()
        }
        save_file(tensors, FOLDER / f"{kind}.safetensors")
        before, changes = encode(base), changes_of(other)
        lora_on = with_lora(base, kind)
        encode(lora_on)  # now it is loaded, with patches in its weights
        tuned, said = encoders.load_tuned(lora_on, FOLDER / f"{kind}.safetensors")
        plain, _ = encoders.load_tuned(base, FOLDER / f"{kind}.safetensors")
        found[kind] = {
            "tuned": apart(encode(plain), encode(other)),
            "with its LoRA": apart(encode(tuned), encode(with_lora(other, kind))),
            "base stays": apart(encode(base), before),
            "base LoRA stays": apart(encode(lora_on), encode(with_lora(make_one(0), kind))),
            "skip": apart(encode(skipped(plain)), encode(skipped(other))),
            "hooks": apart(
                encode(with_hooks(plain, kind, schedule=True)), encode(with_hooks(other, kind, schedule=True))
            ),
            "patched": apart(encode(encoders._patched(lora_on, changes)), encode(with_lora(other, kind))),
            "said": said,
            "own weights": all(
                x.data_ptr() != y.data_ptr()
                for x, y in zip(
                    plain.cond_stage_model.parameters(), base.cond_stage_model.parameters(), strict=True
                )
            ),
        }
    return found


def changes_of(clip):
    state = clip.cond_stage_model.state_dict()
    return {name: tensor.clone() for name, tensor in state.items() if "logit_scale" not in name}


@check
def without_copying():
    """The way that is taken where a CLIP cannot be copied."""
    base, other = sd1(0), sd1(1)
    real, encoders.copy = encoders.copy, None
    logging.disable(logging.CRITICAL)
    try:
        made = encoders.with_weights(base, changes_of(other))
    finally:
        encoders.copy = real
        logging.disable(logging.NOTSET)
    return [apart(encode(made), encode(other)), made.cond_stage_model is base.cond_stage_model]


@check
def with_a_bypass_lora():
    """A file put into a CLIP with a bypass LoRA: its effect, and differences to one put on afterwards."""
    if not hasattr(comfy.sd, "load_bypass_lora_for_models"):
        return None
    base, other = sd1(0), sd1(1)
    on, wanted = (
        comfy.sd.load_bypass_lora_for_models(None, each, LORAS["sd1"], 0, 0.8)[1] for each in (base, other)
    )
    before, effect = encode(on), apart(encode(wanted), encode(other))
    made, _ = encoders.load_tuned(on, FOLDER / "sd1.safetensors")
    return [
        effect,
        apart(encode(made), encode(wanted)),
        apart(encode(on), before),
        apart(encode(base), encode(sd1(0))),
    ]


@check
def after_everything_was_freed():
    clips = [sdxl(0), encoders.load_tuned(sdxl(0), FOLDER / "sdxl.safetensors")[0]]
    mixed = with_lora(stacked(clips, (0.6, 0.4)), "sdxl")
    before = encode(mixed)
    comfy.model_management.unload_all_models()
    comfy.model_management.soft_empty_cache()
    return apart(encode(mixed), before)


@check
def the_names_of_open_clip():
    """ComfyUI's own converter and ours."""
    generator = torch.Generator().manual_seed(0)
    width, layers = 16, 2
    made = {
        "positional_embedding": (7, width),
        "token_embedding.weight": (11, width),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
        "text_projection": (width, width),
    }
    for i in range(layers):
        before = f"transformer.resblocks.{i}."
        sizes = {
            "ln_1": (width,),
            "ln_2": (width,),
            "mlp.c_fc": (4 * width, width),
            "mlp.c_proj": (width, 4 * width),
        }
        sizes["attn.out_proj"] = (width, width)
        for name, size in sizes.items():
            made |= {f"{before}{name}.weight": size, f"{before}{name}.bias": size[:1]}
        made |= {
            f"{before}attn.in_proj_weight": (3 * width, width),
            f"{before}attn.in_proj_bias": (3 * width,),
        }
    tensors = {f"x.{name}": torch.randn(size, generator=generator) for name, size in made.items()}
    save_file(tensors, FOLDER / "open.safetensors")
    theirs = comfy.utils.clip_text_transformers_convert(dict(tensors), "x.", "")
    ours = files.read_encoder(FOLDER / "open.safetensors").tensors
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)


@check
def errors():
    a, xl = sd1(0), sdxl(0)
    t5 = make(comfy.text_encoders.pixart_t5.PixArtTokenizer, comfy.text_encoders.pixart_t5.pixart_te(), 0)
    mixed = stacked([a, sd1(1)], (0.5, 0.5))
    save_file(state_of(xl, "clip_g.transformer."), FOLDER / "wide.safetensors")
    said = {
        "no clip": error_of(encoders.load_tuned, t5, FOLDER / "sd1.safetensors"),
        "t5": error_of(stacked, [a, t5], (0.5, 0.5)),
        "kinds": error_of(stacked, [a, xl], (0.5, 0.5)),
        "interpolate": error_of(nodes.EncoderInterpolate.execute, xl, a, "x", ""),
        "merge": error_of(nodes.EncoderMerge.execute, a, xl, 0.5),
        "file": error_of(encoders.load_tuned, a, FOLDER / "wide.safetensors"),
        "two": error_of(encoders.load_tuned, xl, FOLDER / "open.safetensors"),
        "save": error_of(mixed.state_dict_for_saving),
        "merge a mix": error_of(
            call, "comfy_extras.nodes_model_merging", "CLIPMergeSimple", clip1=a, clip2=mixed, ratio=0.5
        ),
        "zero": nodes.EncoderMix.execute(a, 0.0).args[0].message,
        "many": error_of(stacked, [a] * 9, [1.0] * 9),
    }
    bypass = getattr(comfy.sd, "load_bypass_lora_for_models", None)
    if bypass:
        said["bypass"] = error_of(encode, bypass(None, mixed, LORAS["sd1"], 0, 1.0)[1])
    return said


@check
def what_a_mix_costs():
    """Milliseconds of a mix above those of its encoders, one by one, and how often both ask a model."""
    found, asked = [], []
    big = comfy.sd.CLIP(
        comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel),
        parameters=1,
        model_options={"clip_l_model_config": {**SMALL, "hidden_size": 768}, "dtype": torch.float32},
    )
    randomize(big.cond_stage_model, 0)
    clips = [encoders.with_weights(big, {}) for _ in range(3)]
    mixed = stacked(clips, WEIGHTS)
    tokens = big.tokenize(PROMPT)
    for clip in clips:
        clip.cond_stage_model.clip_l.transformer.register_forward_hook(lambda *_: asked.append(1))
    for _ in range(15):
        asked.clear()
        begun = time.perf_counter()
        for clip in clips:
            clip.encode_from_tokens_scheduled(tokens)
        between, alone = time.perf_counter(), len(asked)
        mixed.encode_from_tokens_scheduled(tokens)
        found.append(1000 * ((time.perf_counter() - between) - (between - begun)))
    return {"milliseconds": statistics.median(found), "alone": alone, "mixed": len(asked) - alone}


@check
def dynamic_vram():
    """The patched weights of a CLIP whose weights DynamicVRAM holds; a copy of them ends the process.

    Its own loading needs a GPU, so what it is to load is compared: differences, in both of its ways.
    """
    dynamic = getattr(comfy.model_patcher, "ModelPatcherDynamic", None)
    if dynamic is None or not AIMDO:
        return None
    base, other, gpu, cpu = sd1(0), sd1(1), torch.device("cuda:0"), torch.device("cpu")
    base.patcher = with_lora(base, "sd1").patcher
    patches = base.patcher.patches
    base.patcher = dynamic(base.cond_stage_model, gpu, cpu)
    base.patcher.patches = patches
    made, _ = encoders.load_tuned(base, FOLDER / "sd1.safetensors")
    wanted = with_lora(other, "sd1").patcher
    found = []
    for name in changes_of(other):
        if name not in made.patcher.patches:
            continue
        weight = wanted.patch_weight_to_device(name, device_to=cpu, return_weight=True)
        forced = made.patcher.patch_weight_to_device(name, device_to=cpu, return_weight=True)
        late = comfy.model_patcher.LowVramPatch(name, made.patcher.patches)
        now = base.cond_stage_model.get_parameter(name).detach().clone()
        found += [(weight - each).abs().max().item() for each in (forced, late(now))]
    return [
        max(found),
        len(found) // 2,
        made.patcher.is_dynamic(),
        made.cond_stage_model is base.cond_stage_model,
    ]


report(CHECKS)
