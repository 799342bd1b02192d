"""The nodes of MMH-DiT: text, times, sampling and head counts. The model itself is one of ComfyUI's own."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import comfy.model_management as mm
import comfy.sample
import comfy.samplers
import latent_preview
import torch
from comfy_api.latest import io
from tqdm.auto import tqdm

from ..models.mmh_dit import flow
from ..models.mmh_dit.config import MMHDiTConfig
from ..models.mmh_dit.heads import HeadOptions, allocate, show_heads, write_heads
from ..models.mmh_dit.text import PADDINGS, TextOptions, fit, without_end
from ..models.options import MAX_SEED, describe
from . import convert
from .compat import known_only, schema, widget
from .native_mmh_dit import IMAGE_MODEL

CATEGORY = "presample/mmh_dit"
T5 = "t5xxl"  # ComfyUI's name of it
ADVICE = "load T5 v1.1 XXL with CLIPLoader, type mochi, or use what Load Tiny World gives"
OF_EMPTY = "downscale_ratio_"  # what ComfyUI says of an empty latent's cells
OF_SIGMAS = ("steps", "shift", "denoise")


def config_of(model: Any) -> MMHDiTConfig:
    """Returns the config of a MODEL; raises ValueError for one that is no MMH-DiT."""
    known = model.model.model_config.unet_config
    if known.get("image_model") != IMAGE_MODEL:
        raise ValueError(
            f"model must be an MMH-DiT, got {type(model.model).__name__}; "
            "load one with Load Diffusion Model or Load Tiny World, or use KSampler for this one"
        )
    return MMHDiTConfig.from_dict(known["mmh_dit"])


def no_text(width: int) -> list:
    """Returns the CONDITIONING of no text at all: a token that is padding."""
    nothing = {"attention_mask": torch.zeros(1, 1, dtype=torch.long), "pooled_output": None}
    return [[torch.zeros(1, 1, width), nothing]]


class MMHDiTTextEncode(io.ComfyNode):
    """Encodes a prompt as MMH-DiT reads it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleMMHDiTTextEncode",
            display_name="MMH-DiT Text Encode",
            category=CATEGORY,
            description="Encodes a prompt for an MMH-DiT: cuts it to the length that the model was trained"
            " with and settles whether it sees padding. An empty prompt is no text at all.",
            search_aliases=["clip text encode", "t5 text encode", "prompt", "conditioning"],
            inputs=[
                io.Clip.Input("clip", tooltip="T5 v1.1 XXL, or what Load Tiny World gives."),
                widget(
                    io.String.Input,
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    default="",
                    tooltip="The prompt; weights such as (moon:1.2) count.",
                ),
                *convert.option_inputs(describe(TextOptions)),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="conditioning", tooltip="For MMH-DiT Sampler, or any other sampler."
                ),
                io.Int.Output(display_name="tokens", tooltip="How many tokens the model reads."),
            ],
        )

    @classmethod
    def execute(cls, clip: Any, text: str, **given: Any) -> io.NodeOutput:
        options = TextOptions(**given)
        tokens, name = clip.tokenize(text), encoder_of(clip)
        words = encoder(clip, name)
        end, pad = (words.end_token, 1.0), (words.pad_token, 1.0)
        row = tokens[name][0]
        options = replace(options, length=min(options.length, getattr(words, "positions", options.length)))
        empty = text.strip() == "" or not without_end(row, end=end, pad=pad)[words.tokens_start :]
        tokens[name] = [fit(row, end=end, pad=pad, options=options)]
        made, count = clip.encode_from_tokens_scheduled(tokens), len(tokens[name][0])
        _check_alone(made, count, tokens)
        if options.padding == PADDINGS[1]:
            for _, facts in made:
                facts.pop("attention_mask", None)
        elif empty:
            made = [[cond, facts | {"attention_mask": _nothing(cond)}] for cond, facts in made]
        return io.NodeOutput(made, 0 if empty and options.padding == PADDINGS[0] else count)


def _check_alone(made: list, count: int, names: Iterable[str]) -> None:
    """Raises ValueError where the states of other encoders stand beside those of the prompt's tokens."""
    for cond, _ in made:
        if cond.shape[1] > count:
            raise ValueError(
                f"clip must give the prompt's {count} tokens alone, got {cond.shape[1]} with those of its "
                f"other encoders ({', '.join(names)}); {ADVICE}"
            )


def _nothing(cond: torch.Tensor) -> torch.Tensor:
    return torch.zeros(cond.shape[:2], dtype=torch.long)


def encoder_of(clip: Any) -> str:
    """Returns the name of the encoder in a CLIP whose tokens MMH-DiT reads.

    Raises ValueError for a CLIP with none that takes prompts of any length.
    """
    names = list(clip.tokenize(""))
    name = T5 if T5 in names else names[0]
    if (len(names) > 1 and name != T5) or encoder(clip, name).pad_to_max_length:
        raise ValueError(
            f"clip must have an encoder that takes prompts of any length, got {', '.join(names)}; {ADVICE}"
        )
    return name


def encoder(clip: Any, name: str) -> Any:
    """Returns the tokenizer of one encoder; ComfyUI keeps some below the name with `clip_` before it."""
    return getattr(clip.tokenizer, name, None) or getattr(clip.tokenizer, f"clip_{name}")


class ICFMSigmas(io.ComfyNode):
    """Gives the sigmas at which I-CFM's Euler rule asks the model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        facts = [fact for fact in describe(flow.SampleOptions) if fact.name in OF_SIGMAS]
        return schema(
            node_id="PresampleICFMSigmas",
            display_name="I-CFM Sigmas",
            category=CATEGORY,
            description="Sigmas that are exactly equally far apart, as I-CFM has them; shift moves them"
            " towards the noisy end. For SamplerCustom with any of its samplers.",
            search_aliases=["flow matching scheduler", "linear schedule", "simple scheduler", "sigmas"],
            inputs=convert.option_inputs(facts),
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="For SamplerCustom.")],
        )

    @classmethod
    def execute(cls, **given: Any) -> io.NodeOutput:
        return io.NodeOutput(sigmas(flow.SampleOptions(**given)))


def sigmas(options: flow.SampleOptions) -> torch.Tensor:
    """Returns ComfyUI's sigmas (steps + 1) of the options, in float32."""
    ts = flow.times(options.steps, options.shift, denoise=options.denoise)
    return flow.to_comfyui_sigma(ts).float()


class MMHDiTSampler(io.ComfyNode):
    """Samples with an MMH-DiT."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleMMHDiTSampler",
            display_name="MMH-DiT Sampler",
            category=CATEGORY,
            description="Makes latents with an MMH-DiT: I-CFM's Euler or Heun rule, its exact times and"
            " guidance, all in one. Without a negative prompt guidance leads away from no text.",
            search_aliases=["ksampler", "flow matching", "i-cfm", "oboro", "euler"],
            inputs=[
                io.Model.Input("model", tooltip="An MMH-DiT, from Load Diffusion Model or Load Tiny World."),
                io.Conditioning.Input("positive", tooltip="What the picture is to show."),
                io.Latent.Input("latent_image", tooltip="An empty latent, or a picture to paint over."),
                io.Conditioning.Input(
                    "negative", optional=True, tooltip="What it is not to show; nothing connected is no text."
                ),
                widget(
                    io.Int.Input,
                    "seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    control_after_generate=True,
                    optional=True,
                    tooltip="The noise to begin with.",
                ),
                *convert.option_inputs(describe(flow.SampleOptions)),
            ],
            outputs=[io.Latent.Output(display_name="latent", tooltip="For VAE Decode.")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list,
        latent_image: Mapping,
        negative: list | None = None,
        seed: int = 0,
        **given: Any,
    ) -> io.NodeOutput:
        config = config_of(model)
        options = flow.SampleOptions(**given)
        begin = started(model, latent_image)
        schedule = sigmas_of(model, options)
        t = float(flow.from_comfyui_sigma(schedule[0]))
        noise = comfy.sample.prepare_noise(begin, seed, latent_image.get("batch_index"))
        made = comfy.sample.sample_custom(
            model,
            flow.to_comfyui_noise(noise, t=t, sigma=options.icfm_sigma),
            options.cfg,
            comfy.samplers.KSAMPLER(sample_flow, extra_options={"rule": options.sampler}),
            schedule.float(),
            positive,
            no_text(config.text_dim) if negative is None else negative,
            begin,
            noise_mask=latent_image.get("noise_mask"),
            callback=latent_preview.prepare_callback(model, options.steps),
            seed=seed,
        )
        rest = {name: value for name, value in latent_image.items() if not name.startswith(OF_EMPTY)}
        return io.NodeOutput({**rest, "samples": made})


def sigmas_of(model: Any, options: flow.SampleOptions) -> torch.Tensor:
    """Returns ComfyUI's sigmas (steps + 1) of the options for a MODEL, in float64.

    A shift that the MODEL has of its own comes on top, as in ComfyUI's schedulers: it is asked for the sigma
    at each share of the way, which is 1 - t for one without.
    """
    ts = flow.times(options.steps, options.shift, denoise=options.denoise)
    sigma_at = model.get_model_object("model_sampling").percent_to_sigma
    return torch.tensor([sigma_at(t) for t in ts.tolist()], dtype=torch.float64)


def started(model: Any, latent: Mapping) -> torch.Tensor:
    """Returns the latent to begin with (b, 16, h, w); an empty one of another model's shape becomes ours."""
    cell = {"downscale_ratio_spacial": latent.get("downscale_ratio_spacial")}
    known = known_only(comfy.sample.fix_empty_latent_channels, **cell)
    return comfy.sample.fix_empty_latent_channels(model, latent["samples"], **known)


def sample_flow(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    *,
    rule: str,
    extra_args=None,
    callback=None,
    disable=None,
) -> torch.Tensor:
    """Returns x at the last of the sigmas: a sampler as ComfyUI calls it, by the rules of `flow`."""
    ts = flow.from_comfyui_sigma(sigmas.cpu().double())  # Apple's GPUs have no float64

    def velocity(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        mm.throw_exception_if_processing_interrupted()
        seen = model(x_t, flow.to_comfyui_sigma(t), **(extra_args or {}))
        return flow.velocity_to(seen, x_t, t)

    steps = flow.steps(velocity, x, ts, sampler=rule)
    for at in tqdm(steps, total=len(ts) - 1, disable=disable):
        x, i = at.x_t, at.step - 1
        if callback:
            callback({"i": i, "x": at.x_t, "denoised": at.denoised, "sigma": sigmas[i]})
    return x


class MMHHeadAllocation(io.ComfyNode):
    """Shows or makes a list of head counts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleMMHHeadAllocation",
            display_name="MMH Head Allocation",
            category=CATEGORY,
            description="Shows how many heads of which size every block of an MMH-DiT has; without a model,"
            " makes and checks such a list. Connect text to Preview Any.",
            search_aliases=["attention heads", "head counts", "multi-multi-head", "inspect model"],
            inputs=[
                io.Model.Input("model", optional=True, tooltip="An MMH-DiT to look into, instead of below."),
                *convert.option_inputs(describe(HeadOptions)),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="The heads of every block, to read."),
                io.String.Output(
                    display_name="heads", tooltip="The counts of all blocks, for presample train mmh-dit."
                ),
            ],
        )

    @classmethod
    def execute(cls, model: Any = None, **given: Any) -> io.NodeOutput:
        config = allocate(HeadOptions(**given)) if model is None else config_of(model)
        return io.NodeOutput(show_heads(config), write_heads(config.heads))


NODES = [MMHDiTTextEncode, ICFMSigmas, MMHDiTSampler, MMHHeadAllocation]
