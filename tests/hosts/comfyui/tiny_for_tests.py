"""The tiny world's MODEL, CLIP and VAE in ComfyUI, with random weights; prints what came out as JSON.

argv: a folder for files. Run by test_mmh_tiny_world.py in ComfyUI's Python.
"""

# ruff: noqa: E402 (see in_comfyui_for_tests)
import sys
from pathlib import Path

FOLDER = Path(sys.argv.pop())  # ComfyUI would take it for an argument of its own

from in_comfyui_for_tests import (
    ROOT,
    apart,
    call,
    checkpoint,
    comfy,
    config,
    error_of,
    flow,
    ksample,
    nodes,
    part,
    report,
    small_model,
    torch,
)
from safetensors.torch import save_file

autoencoder, clips = part("models.tinyworld.autoencoder"), part("models.tinyworld.clip")
pipeline, tiny, hub = part("models.mmh_dit.pipeline"), part("nodes.tiny_world"), part("models.hub")
native = part("nodes.native_tiny_clip")
SHAPE = config.MMHDiTConfig(
    hidden=96,
    heads=(2, 4, 12, 8),
    text_dim=128,
    text_len=24,
    mlp_hidden=128,
    cond_dim=48,
    icfm_sigma=0.01,
    gate_init=0.3,
)
PROMPTS = ("a lake at night, full moon", "no humans, winter", "A path leads to a house.\\nIt rains.")


def make_world():
    """Writes random weights in the layout of the bundled ones; returns what they are in plain torch."""
    (FOLDER / native.WORDS).symlink_to(ROOT / "models/bundled" / native.WORDS)
    torch.manual_seed(1)
    words = clips.read_words(FOLDER / native.WORDS)
    coder, clip, model = autoencoder.TinyAutoencoder(), clips.make_clip(words), small_model(SHAPE)
    for name, made in ((tiny.AUTOENCODER, coder), (tiny.CLIP, clip.model)):
        (FOLDER / name).mkdir()
        tensors = {key: tensor.contiguous() for key, tensor in made.state_dict().items()}
        save_file(tensors, FOLDER / name / "model.safetensors")
    checkpoint.save(model, FOLDER / tiny.MODEL / "model.safetensors")
    return coder.eval(), clip, model


def bundle(folder):
    """Puts the little world's files elsewhere."""
    hub.BUNDLED = folder


bundle(FOLDER)
CODER, WORDS_AND_TOWERS, PLAIN = make_world()
MODEL, CLIP, VAE = tiny.TinyWorldLoader.execute().args
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def encode(prompt, clip=None):
    """CLIP Text Encode."""
    return call("nodes", "CLIPTextEncode", clip=clip or CLIP, text=prompt)


@check
def states():
    """The greatest difference of the states of prompts, of stock CLIP Text Encode and our node."""
    found = []
    for prompt in PROMPTS:
        wanted = WORDS_AND_TOWERS.text_states([prompt])
        (stock, facts), (mine, _) = encode(prompt)[0], nodes.MMHDiTTextEncode.execute(CLIP, prompt).args[0][0]
        found += [(each - wanted.hidden).abs().max().item() for each in (stock, mine)]
        found.append((facts["pooled_output"] - wanted.pooled).abs().max().item())
        assert "attention_mask" not in facts
    return max(found)


@check
def a_long_prompt_loses_its_end():
    prompt = ", ".join(["snow"] * 400)
    ids = WORDS_AND_TOWERS.words.ids(prompt)
    wanted = [*ids[: SHAPE.text_len - 1], ids[-1]]
    return [
        [token for token, _ in CLIP.tokenize(prompt)[tiny.NAME][0]] == wanted,
        encode(prompt)[0][0].shape[1],
    ]


@check
def weights():
    """Weights are those of ComfyUI: away from what it makes of no words at the same place."""
    prompt, heavy = "a lake, (winter:1.0)", "a lake, (winter:1.5)"
    tokens = CLIP.tokenize(heavy)[tiny.NAME][0]
    plain = WORDS_AND_TOWERS.words.end
    empty = torch.full((1, clips.LENGTH), plain)
    empty[0, 0] = WORDS_AND_TOWERS.words.tokenizer.prefix[0]
    nothing = WORDS_AND_TOWERS.model.text_model(input_ids=empty).last_hidden_state[0]
    ids = torch.tensor([[token for token, _ in tokens]])
    states = WORDS_AND_TOWERS.model.text_model(input_ids=ids).last_hidden_state[0]
    scale = torch.tensor([weight for _, weight in tokens])[:, None]
    wanted = (states - nothing[: len(tokens)]) * scale + nothing[: len(tokens)]
    return {
        "difference": (encode(heavy)[0][0][0] - wanted).abs().max().item(),
        "effect": (encode(heavy)[0][0] - encode(prompt)[0][0]).abs().max().item(),
        "weights": sorted({weight for _, weight in tokens}),
    }


@check
def no_words_are_no_text():
    """An empty prompt, in both nodes, is what the trainer leaves out."""
    wanted = ksample(MODEL, nodes.no_text(SHAPE.text_dim), steps=4)
    made, count = nodes.MMHDiTTextEncode.execute(CLIP, "  ").args
    return [
        apart(ksample(MODEL, encode(""), steps=4), wanted),
        apart(ksample(MODEL, made, steps=4), wanted),
        count,
    ]


@check
def padding_that_is_seen():
    made, count = nodes.MMHDiTTextEncode.execute(CLIP, "a lake", length=16, padding="visible").args
    cut, few = nodes.MMHDiTTextEncode.execute(CLIP, "a lake, winter, a path", length=4).args
    most = nodes.MMHDiTTextEncode.execute(CLIP, "a lake", length=256, padding="visible").args
    long = nodes.MMHDiTTextEncode.execute(CLIP, ", ".join(["snow"] * 400), length=256).args
    return [
        [list(made[0][0].shape), "attention_mask" in made[0][1], count],
        [list(cut[0][0].shape), few],
        *[[list(each[0][0].shape), tokens] for each, tokens in (most, long)],
    ]


@check
def t5():
    """The node makes padding away for every kind of T5 loader, as hiding it from T5 does."""
    import comfy.text_encoders.genmo
    import comfy.text_encoders.pixart_t5

    small = {"num_layers": 2, "d_model": 64, "d_ff": 128, "num_heads": 4, "d_kv": 16}
    hiding = comfy.text_encoders.genmo
    found, states = {}, None
    for name, tokenizer, model in (
        ("mochi", hiding.MochiT5Tokenizer, hiding.mochi_te()),
        ("pixart", comfy.text_encoders.pixart_t5.PixArtTokenizer, comfy.text_encoders.pixart_t5.pixart_te()),
    ):
        target = comfy.supported_models_base.ClipTarget(tokenizer, model)
        options = {"t5xxl_model_config": small, "dtype": torch.float32}
        clip = comfy.sd.CLIP(target, embedding_directory=None, parameters=1, model_options=options)
        generator = torch.Generator().manual_seed(2)
        for key, weight in clip.cond_stage_model.named_parameters():
            norm = "norm" in key and key.endswith("weight")
            weight.copy_(
                torch.ones_like(weight) if norm else 0.1 * torch.randn(weight.shape, generator=generator)
            )
        text = "a lake at night, with a moon"
        made, count = nodes.MMHDiTTextEncode.execute(clip, text).args
        stock = encode(text, clip)[0]
        states = made[0][0] if states is None else states
        found[name] = {
            "tokens": [count, list(made[0][0].shape), list(stock[0].shape)],
            "stock": (stock[0][:, :count] - made[0][0]).abs().max().item(),
            "mochi": (states - made[0][0]).abs().max().item(),
            "empty": nodes.MMHDiTTextEncode.execute(clip, "").args[1],
            "visible": list(
                nodes.MMHDiTTextEncode.execute(clip, text, padding="visible").args[0][0][0].shape
            ),
        }
    return found


@check
def another_clip_is_refused():
    small = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 4}
    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    clip = comfy.sd.CLIP(target, parameters=1, model_options={"clip_l_model_config": small})
    return error_of(nodes.MMHDiTTextEncode.execute, clip, "a lake")


@check
def a_clip_of_several_encoders():
    """SD3's and FLUX's: what the node says of the first, and by how much the second differs from T5 alone."""
    import comfy.text_encoders.flux
    import comfy.text_encoders.sd3_clip

    small = {"num_hidden_layers": 3, "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 4}
    t5 = {"num_layers": 2, "d_model": 4096, "d_ff": 8, "num_heads": 2, "d_kv": 4}
    options = {"clip_l_model_config": small, "clip_g_model_config": small, "t5xxl_model_config": t5}
    sd3, flux = comfy.text_encoders.sd3_clip, comfy.text_encoders.flux

    def clip(tokenizer, model):
        target = comfy.supported_models_base.ClipTarget(tokenizer, model)
        return comfy.sd.CLIP(target, parameters=1, model_options={**options, "dtype": torch.float32})

    several = clip(sd3.SD3Tokenizer, sd3.sd3_clip())
    made, count = nodes.MMHDiTTextEncode.execute(clip(flux.FluxTokenizer, flux.flux_clip()), PROMPTS[0]).args
    return [error_of(nodes.MMHDiTTextEncode.execute, several, PROMPTS[0]), made[0][0].shape[1], count]


@check
def an_embedding_of_several_vectors():
    """How many tokens the node says and gives of a prompt with a textual inversion, and without it."""
    folder = FOLDER / "embeddings"
    folder.mkdir()
    save_file({native.NAME: torch.randn(3, SHAPE.text_dim)}, folder / "calm.safetensors")
    clip = CLIP.clone()
    clip.tokenizer = native.TinyTokenizer(embedding_directory=[str(folder)])
    found = []
    for text in ("a lake, embedding:calm", "a lake,"):
        made, count = nodes.MMHDiTTextEncode.execute(clip, text).args
        found += [made[0][0].shape[1], count]
    return found


@check
def vae():
    images = torch.rand(2, 64, 48, 3, generator=torch.Generator().manual_seed(0))
    form = MODEL.model.latent_format
    raw = VAE.encode(images)
    latents = form.process_in(raw)
    decoded = VAE.decode(raw)
    return [
        (latents - CODER.encode(images.movedim(-1, 1))).abs().max().item(),
        (decoded.movedim(-1, 1) - CODER.decode(latents)).abs().max().item(),
    ]


@check
def pictures():
    """The nodes paint what the library paints of the same prompt and seed."""
    lines = pipeline.Pipeline(PLAIN, _text, CODER.decode)
    options = flow.SampleOptions(steps=6, cfg=3.0)
    wanted = lines.pictures([PROMPTS[0]], [9], width=128, height=96, options=options)
    latent = call("nodes", "EmptyLatentImage", width=128, height=96, batch_size=1)
    latent = latent if isinstance(latent, dict) else latent[0]
    made = nodes.MMHDiTSampler.execute(
        MODEL, nodes.MMHDiTTextEncode.execute(CLIP, PROMPTS[0]).args[0], latent, seed=9, steps=6, cfg=3.0
    ).args[0]
    picture = call("nodes", "VAEDecode", vae=VAE, samples=made)
    return [(picture.movedim(-1, 1) - wanted).abs().max().item(), wanted.std().item(), sorted(made)]


@check
def mixed_pictures():
    """Encoder Interpolate and a sampler make the latents of the library, for several numbers of steps."""
    tuned = clips.make_clip(WORDS_AND_TOWERS.words)
    tensors = {n: t for n, t in tuned.model.state_dict().items() if n.startswith("text_model.")}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "tuned.safetensors")
    vivid, _ = part("nodes.encoders").load_tuned(CLIP, FOLDER / "tuned.safetensors")
    mixing = part("models.textcraftor.options").MixOptions(w=0.5, negative="own", negative_w=0.25)
    facts = {name: getattr(mixing, name) for name in ("w", "start", "end", "negative", "negative_w")}

    def states_of(clip):
        def encode(prompts):
            states = clip.text_states(prompts, length=SHAPE.text_len)
            return flow.Text(states.hidden, states.mask)

        return encode

    lines = part("models.textcraftor.paint").MixedPainter(
        PLAIN, [states_of(WORDS_AND_TOWERS), states_of(tuned)], lambda latents: latents
    )
    interpolate = part("nodes.textcraftor").EncoderInterpolate.execute
    found = []
    for steps, fog in ((5, "fog"), (20, "fog"), (25, ""), (30, "")):
        wanted = lines.pictures(
            PROMPTS[0],
            [9],
            (1.0,),
            width=96,
            height=64,
            negative=fog,
            mix_options=mixing,
            options=flow.SampleOptions(steps=steps, cfg=3.0),
        )
        positive, negative = interpolate(CLIP, vivid, PROMPTS[0], fog, **facts).args
        latent = {"samples": torch.zeros(1, 16, 8, 12)}
        made = nodes.MMHDiTSampler.execute(
            MODEL, positive, latent, negative, seed=9, steps=steps, cfg=3.0
        ).args
        form = MODEL.model.latent_format
        found.append((form.process_in(made[0]["samples"]) - wanted).abs().max().item())
        blended = interpolate(CLIP, vivid, PROMPTS[0], fog, **{**facts, "start": 0.0}).args[0]
        other = nodes.MMHDiTSampler.execute(
            MODEL, blended, latent, negative, seed=9, steps=steps, cfg=3.0
        ).args
        found.append((other[0]["samples"] - made[0]["samples"]).abs().max().item())
    return found


def _text(prompts):
    states = WORDS_AND_TOWERS.text_states(prompts)
    return flow.Text(states.hidden, states.mask)


@check
def whole_checkpoint():
    """Save Checkpoint and Load Checkpoint give model, CLIP and VAE back."""
    path = FOLDER / "whole.safetensors"
    comfy.sd.save_checkpoint(str(path), MODEL, CLIP, VAE)
    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(path))
    latent = ksample(MODEL, encode(PROMPTS[0]), steps=4)
    return [
        apart(ksample(model, encode(PROMPTS[0]), steps=4), latent),
        (encode(PROMPTS[0], clip)[0][0] - encode(PROMPTS[0])[0][0]).abs().max().item(),
        (vae.decode(latent) - VAE.decode(latent)).abs().max().item(),
    ]


@check
def in_the_care_of_comfyui():
    import comfy.model_management as mm

    before = [ksample(MODEL, encode(PROMPTS[0]), steps=4)]
    mm.unload_all_models()
    before.append(ksample(MODEL, encode(PROMPTS[0]), steps=4))
    patchers = [type(each).__mro__ for each in (MODEL, CLIP.patcher, VAE.patcher)]
    return [apart(*before), all(comfy.model_patcher.ModelPatcher in classes for classes in patchers)]


@check
def clip_skip_and_lora():
    skipped = CLIP.clone()
    skipped.clip_layer(-2)
    layer = "text_model.encoder.layers.0.mlp.fc1"
    changed = {f"{tiny.NAME}.transformer.{layer}.weight": ("diff", (torch.randn(512, 128),))}
    tuned = CLIP.clone()
    patched = tuned.add_patches(changed, 0.5)
    plain = encode(PROMPTS[0])[0][0]
    return [
        (encode(PROMPTS[0], skipped)[0][0] - plain).abs().max().item(),
        (encode(PROMPTS[0], tuned)[0][0] - plain).abs().max().item(),
        len(patched),
        (encode(PROMPTS[0])[0][0] - plain).abs().max().item(),
    ]


@check
def a_file_that_is_not_there():
    bundle(FOLDER / "nowhere")
    try:
        return error_of(tiny.TinyWorldLoader.execute)
    finally:
        bundle(FOLDER)


if __name__ == "__main__":
    report(CHECKS)
