"""MMH-DiT as a MODEL of ComfyUI's own: its loaders, samplers, LoRA, saving and previews find it without us.

Convention: ComfyUI's sigma and sign are turned into flow time by `models/mmh_dit/flow.py` alone. A file is
known by the names of its tensors; its config comes from its metadata or, since ComfyUI 0.3.60 hands on no
metadata, from the tensor that `checkpoint.config_tensor` makes.

b batch  m text tokens  h w latent height, width
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_detection
import comfy.patcher_extension
import comfy.supported_models
import comfy.supported_models_base
import torch
import torch.nn.functional as F
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

from ..models.latents import CHANNELS
from ..models.mmh_dit import checkpoint, flow
from ..models.mmh_dit.config import MMHDiTConfig
from ..models.mmh_dit.key_map import Renamed
from ..models.mmh_dit.model import Hooks, MMHDiT, State, trim
from ..models.mmh_dit.rope import Stretch
from .native_tiny_clip import NAME, clip_target

IMAGE_MODEL = "presample_mmh_dit"
OURS = ("bos.weight", "image_in.weight", "text_in.w1.weight", "blocks.0.attn.qkv.weight")
KERNEL_HEADS = (64, 96, 128)  # head sizes that low-precision attention kernels have
MARK = "presample_detect"  # on our wrapper, and on every wrapper that somebody puts around it


class NativeMMHDiT(MMHDiT):
    """The model with ComfyUI's arguments around it."""

    def __init__(self, *, mmh_dit: Mapping, image_model=None, dtype=None, device=None, operations=None, **_):
        config = MMHDiTConfig.from_dict(mmh_dit)
        super().__init__(config, operations=operations, dtype=dtype, device=device)

    def forward(self, x, timesteps, context=None, attention_mask=None, transformer_options=None, **others):
        options = transformer_options or {}
        wrappers = comfy.patcher_extension.get_all_wrappers(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, options
        )
        run = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._run, self, wrappers)
        return run.execute(x, timesteps, context, attention_mask, options, **others)

    def _run(self, x, timesteps, context=None, attention_mask=None, transformer_options=None, **_) -> Tensor:
        hooks = _hooks(transformer_options or {}, self.config.depth)
        mask = None if attention_mask is None else attention_mask.bool()
        velocity = super().forward(x, flow.from_comfyui_sigma(timesteps), context, mask, hooks=hooks)
        return flow.to_comfyui_output(velocity)


def _hooks(options: Mapping[str, Any], depth: int) -> Hooks:
    """Returns what ComfyUI's options of one call change in it."""
    rope = options.get("rope_options") or {}
    stretch = Stretch(
        (rope.get("scale_y", 1.0), rope.get("scale_x", 1.0)),
        (rope.get("shift_y", 0.0), rope.get("shift_x", 0.0)),
    )
    told = {**options, "total_blocks": depth, "block_type": "single"}
    replaced = options.get("patches_replace", {}).get("dit", {})

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
        return optimized_attention(
            q,
            k,
            v,
            q.shape[1],
            mask=mask,
            skip_reshape=True,
            transformer_options=told,
            low_precision_attention=q.shape[-1] in KERNEL_HEADS,
        )

    def block(index: int, state: State, run: Callable[[State], Tensor]) -> Tensor:
        told.update(block_index=index, img_slice=[state.image_start, state.tokens.shape[1]])
        if ("single_block", index) not in replaced:
            return run(state)

        def original(args: dict) -> dict:
            changed = state._replace(tokens=args["img"], cond=args["vec"], table=args["pe"])
            return {"img": run(changed._replace(mask=args.get("attn_mask")))}

        args = {"img": state.tokens, "vec": state.cond, "pe": state.table, "attn_mask": state.mask}
        args["transformer_options"] = told
        return replaced["single_block", index](args, {"original_block": original})["img"]

    return Hooks(block, attention, stretch)


class BaseMMHDiT(comfy.model_base.BaseModel):
    """What ComfyUI samples with."""

    def __init__(self, model_config, device=None):
        kind = comfy.model_base.ModelType.FLOW
        super().__init__(model_config, kind, device=device, unet_model=NativeMMHDiT)

    def process_timestep(self, timestep, **_):
        """Returns sigma: nodes that set a shift differ in what they multiply it with."""
        return timestep / getattr(self.model_sampling, "multiplier", 1.0)

    def extra_conds(self, **given):
        out = super().extra_conds(**given)
        text, mask = given.get("cross_attn"), given.get("attention_mask")
        out.pop("c_crossattn", None)  # it would repeat tokens to make lengths equal
        if text is None:
            return out
        text, mask = trim(text, None if mask is None else _whole(mask, text.shape[1]))
        if text is not None:
            self._check_text(text)
            out["c_crossattn"] = comfy.conds.CONDRegular(text)
        if mask is not None:
            out["attention_mask"] = comfy.conds.CONDRegular(mask)
        return out

    def _check_text(self, text: Tensor) -> None:
        wanted = self.diffusion_model.config.text_dim
        if text.shape[-1] != wanted:
            raise ValueError(
                f"the conditioning must have {wanted} numbers a token for this model, got {text.shape[-1]}; "
                "connect the text encoder that the model was trained with (T5 v1.1 XXL has 4096: CLIPLoader, "
                "type mochi; that of the little world comes from Load Tiny World)"
            )


def _whole(mask: Tensor, tokens: int) -> Tensor:
    """Returns the mask (b, tokens) of texts that were joined: ComfyUI keeps that of the first, and which
    tokens of the others are padding is known to nobody any more, so they all count."""
    mask = mask[:, :tokens].bool()
    return F.pad(mask, (0, tokens - mask.shape[1]), value=True)


class SupportedMMHDiT(comfy.supported_models_base.BASE):
    """What ComfyUI knows of the model before there is one."""

    unet_config = {"image_model": IMAGE_MODEL}  # noqa: RUF012 (as the host declares it)
    unet_extra_config = {}  # noqa: RUF012
    sampling_settings = {"multiplier": 1000, "shift": 1.0}  # noqa: RUF012
    latent_format = comfy.latent_formats.Flux
    memory_usage_factor = 2.0
    supported_inference_dtypes = [torch.bfloat16, torch.float32]  # noqa: RUF012
    vae_key_prefix = ["vae."]  # noqa: RUF012
    text_encoder_key_prefix = ["text_encoders."]  # noqa: RUF012

    def get_model(self, state_dict, prefix="", device=None):
        return BaseMMHDiT(self, device=device)

    def clip_target(self, state_dict=None):
        """Returns what makes the CLIP in a checkpoint; one with another encoder is loaded beside it."""
        tiny = f"{self.text_encoder_key_prefix[0]}{NAME}."
        return clip_target() if any(name.startswith(tiny) for name in state_dict or ()) else None

    def process_unet_state_dict(self, state_dict):
        """Returns the weights alone. Raises ValueError that names what is missing, wrong or no number."""
        tensors, _ = checkpoint.take_config(state_dict, None)
        config = MMHDiTConfig.from_dict(self.unet_config["mmh_dit"])
        report = checkpoint.compare(Renamed(tensors), config)
        packed = getattr(self, "quant_config", None) is not None  # shapes and types are the packing's then
        if report.missing or not (packed or report.fits):
            raise ValueError(
                f"the file must have every weight of an MMH-DiT of {config.depth} blocks, got: {report}; "
                "get it again, or load the file of another model with its own loader"
            )
        if broken := checkpoint.not_finite(tensors):
            raise ValueError(
                f"the weights must be numbers, {', '.join(broken[:4])} of the file hold NaN or infinity; "
                "the file is damaged or its training broke down: get it again, or an earlier one"
            )
        return tensors

    def process_unet_state_dict_for_saving(self, state_dict):
        """Returns the weights as ComfyUI saves them, and the config that no shape tells."""
        config = MMHDiTConfig.from_dict(self.unet_config["mmh_dit"])
        told = {**state_dict, checkpoint.CONFIG_KEY: checkpoint.config_tensor(config)}
        return super().process_unet_state_dict_for_saving(told)


def detect(state_dict: Mapping[str, Tensor], prefix: str, metadata: Mapping | None = None) -> dict | None:
    """Returns what ComfyUI makes the model of, or None for another model's weights.

    Raises ValueError for ours when the head counts are not known or the sizes do not fit.
    """
    if not all(prefix + name in state_dict for name in OURS):
        return None
    tensors = {name.removeprefix(prefix): state_dict[name] for name in state_dict if name.startswith(prefix)}
    tensors, facts = checkpoint.take_config(tensors, metadata)
    if checkpoint.CONFIG_KEY not in facts:
        raise ValueError(
            f"an MMH-DiT file must state its head counts, which no shape tells; this one has no tensor "
            f"{checkpoint.CONFIG_KEY}, and this ComfyUI was given no metadata of it. Write the file again "
            f"with the model's own counts, by {checkpoint.STATE_HEADS}; where the file's metadata has them, "
            "--heads is not needed"
        )
    config = checkpoint.infer_config(tensors, facts)
    if config.in_ch != CHANNELS:
        raise ValueError(
            f"an MMH-DiT must have {CHANNELS} latent channels to run here, as FLUX's autoencoder has; the "
            f"file is for {config.in_ch}: get one that was trained on FLUX latents"
        )
    return {"image_model": IMAGE_MODEL, "mmh_dit": config.to_dict()}


def register() -> None:
    """Tells ComfyUI of the model; again, after a reload or from a second copy, it replaces the first."""
    models = comfy.supported_models.models
    models[:] = [m for m in models if m.unet_config.get("image_model") != IMAGE_MODEL] + [SupportedMMHDiT]
    known = comfy.model_detection.detect_unet_config
    asked = getattr(known, MARK, None)
    if asked is not None:
        asked["detect"] = detect
        return
    asked = {"detect": detect}

    @functools.wraps(known)
    def detect_unet_config(state_dict, key_prefix, *args, **kwargs):
        metadata = kwargs.get("metadata", args[0] if args else None)
        found = asked["detect"](state_dict, key_prefix, metadata)
        return known(state_dict, key_prefix, *args, **kwargs) if found is None else found

    setattr(detect_unet_config, MARK, asked)
    comfy.model_detection.detect_unet_config = detect_unet_config
