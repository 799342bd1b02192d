"""The nodes of Playground v2.5: its sampling for any checkpoint, EDM's sigmas, noise for larger pictures."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_sampling
from comfy_api.latest import io

from ..models.options import describe
from ..models.playground import schedules, shift
from ..models.playground.edm import PLAYGROUND
from . import convert
from .compat import known_only, schema

CATEGORY = "presample/playground"
SHIFTED = "presample_shifted_by"  # on a MODEL's sampling: what it was shifted by


class EDMSampling(comfy.model_sampling.ModelSamplingContinuousEDM, comfy.model_sampling.EDM):
    """ComfyUI's own EDM."""


class PlaygroundSampling(io.ComfyNode):
    """Makes a MODEL sample as Playground v2.5."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresamplePlaygroundSampling",
            display_name="Playground v2.5 Sampling",
            category=CATEGORY,
            description="Makes a Playground v2.5 checkpoint sample as it was trained: EDM with sigmas 80 to"
            " 0.002 and its own latents. For UNets without the keys by which ComfyUI knows them; harmless"
            " where it does.",
            search_aliases=["edm", "model sampling", "edm_playground_v2.5", "sigma data"],
            inputs=[io.Model.Input("model", tooltip="Playground v2.5, or a merge of it: an SDXL UNet.")],
            outputs=[io.Model.Output(display_name="model", tooltip="For KSampler and other samplers.")],
        )

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        if not isinstance(model.model, comfy.model_base.SDXL):
            raise ValueError(
                f"model must be Playground v2.5, which is an SDXL UNet, got {type(model.model).__name__}; "
                "load a Playground checkpoint"
            )
        sampling = EDMSampling(model.model.model_config)
        sampling.set_parameters(PLAYGROUND.sigma_min, PLAYGROUND.sigma_max, PLAYGROUND.sigma_data)
        made = model.clone()
        made.add_object_patch("model_sampling", sampling)
        made.add_object_patch("latent_format", comfy.latent_formats.SDXL_Playground_2_5())
        return io.NodeOutput(made)


class EDMSigmas(io.ComfyNode):
    """Gives EDM's sigmas."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleEDMSigmas",
            display_name="EDM Sigmas",
            category=CATEGORY,
            description="EDM's sigmas, which Playground v2.5 is sampled with. For SamplerCustom; dpmpp_2m at"
            " cfg 3 is the published way, euler at cfg 5 the other.",
            search_aliases=["karras scheduler", "playground scheduler", "sigmas", "rho"],
            inputs=convert.option_inputs(describe(schedules.ScheduleOptions)),
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="For SamplerCustom.")],
        )

    @classmethod
    def execute(cls, **given: Any) -> io.NodeOutput:
        return io.NodeOutput(schedules.schedule(schedules.ScheduleOptions(**given)).float())


class ResolutionShift(io.ComfyNode):
    """Gives a MODEL more noise for larger pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleResolutionShift",
            display_name="Resolution Shift",
            category=CATEGORY,
            description="More noise for pictures larger than a model was trained at, less for smaller ones,"
            " so that noise hides as much of them. For flow models and EDM; a second one replaces the first.",
            search_aliases=["timestep shift", "noise shift", "model sampling sd3", "dynamic shift"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="MMH-DiT, SD3, FLUX and other flow models, or Playground v2.5."
                ),
                io.Latent.Input("latent", optional=True, tooltip="Its size counts, not the one below."),
                *convert.option_inputs(describe(shift.ShiftOptions)),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For KSampler and other samplers."),
                io.Float.Output(display_name="shift", tooltip="How much; for EDM Sigmas."),
            ],
        )

    @classmethod
    def execute(cls, model: Any, latent: Mapping | None = None, **given: Any) -> io.NodeOutput:
        if latent is not None:
            given |= convert.pixels(latent, cell=_pixels_per_cell(model))
        options = shift.ShiftOptions(**given)
        by = shift.scale(options.width, options.height, base=options.base)
        made = model.clone()
        made.add_object_patch("model_sampling", shifted(model.get_model_object("model_sampling"), by))
        return io.NodeOutput(made, by)


def _pixels_per_cell(model: Any) -> int:
    """Returns how many pixels wide the cells of a MODEL's latents are: 16 for FLUX.2, 32 for HunyuanImage."""
    form = model.get_model_object("latent_format")
    return getattr(form, "spacial_downscale_ratio", convert.PIXELS_PER_CELL)


def shifted(sampling: Any, by: float) -> Any:
    """Returns a MODEL's sampling shifted by so much from what it was before any shift of ours.

    Raises ValueError for one with fixed timesteps, which has no noise above that of its last.
    """
    made, more = copy.deepcopy(sampling), by / getattr(sampling, SHIFTED, 1.0)
    kinds = comfy.model_sampling
    if isinstance(sampling, kinds.ModelSamplingFlux):
        made.set_parameters(shift=sampling.shift + math.log(more))  # ComfyUI keeps the logarithm of these
    elif isinstance(sampling, kinds.ModelSamplingDiscreteFlow):
        names = {name: getattr(sampling, name, None) for name in ("multiplier", "audio_shift")}
        made.set_parameters(shift=sampling.shift * more, **known_only(sampling.set_parameters, **names))
    elif isinstance(sampling, kinds.ModelSamplingContinuousEDM) and isinstance(sampling, kinds.V_PREDICTION):
        bounds = float(sampling.sigma_min) * more, float(sampling.sigma_max) * more
        made.set_parameters(*bounds, sampling.sigma_data)
    else:
        raise ValueError(
            "model must be a flow model or one with EDM's noise, got one with "
            f"{_names(sampling)}; for Playground v2.5, put Playground v2.5 Sampling before this node"
        )
    setattr(made, SHIFTED, by)
    return made


def _names(sampling: Any) -> str:
    return ", ".join(kind.__name__ for kind in type(sampling).__bases__)


NODES = [PlaygroundSampling, EDMSigmas, ResolutionShift]
