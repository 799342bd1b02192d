"""Presample Playground: buttons for aspect buckets, and EDM sampling for Playground v2.5's checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import modules.scripts as scripts
from modules import shared

from ...models.options import describe, option, validate
from . import edm_models
from .job import tell
from .keeper import setting
from .values import named

TITLE = "Presample Playground"
KEY = "Playground EDM"
MODES = ("auto", "on", "off")
NEEDS_SPREAD = (None, "", "Automatic", "Uniform")  # their times are those of a table that EDM does not have
SCHEDULE = "Karras"
FOR = "_presample_edm_for"  # on a job: the checkpoint that samples with EDM in it


@dataclass(frozen=True)
class PlaygroundOptions:
    """What the panel says. The order of the fields is the order of arguments."""

    edm: str = option(
        MODES[0],
        "Sampling of Playground v2.5. auto: for its checkpoints, known by their name or by edm_mean and"
        " edm_std in the file; on: also for others made from it; off: never.",
        choices=MODES,
    )


def from_args(args: Sequence[Any]) -> PlaygroundOptions:
    """Returns what the arguments say; raises ValueError or TypeError for what is not allowed."""
    facts = {fact.name: fact for fact in describe(PlaygroundOptions)}
    options = PlaygroundOptions(**named(facts, args))
    validate(options)
    return options


def pasted(pairs: Mapping[str, Any]) -> str:
    """Returns what an infotext says; a picture that says nothing was left to the file."""
    said = pairs.get(KEY)
    return said if said in MODES else MODES[0]


class PresamplePlayground(scripts.Script):
    """What the host calls."""

    def __init__(self):
        self.width = None

    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool):
        return scripts.AlwaysVisible

    def after_component(self, component, **kwargs) -> None:
        """Puts the buttons below the host's own width and height."""
        tab = "img2img" if self.is_img2img else "txt2img"
        if kwargs.get("elem_id") == f"{tab}_width":
            self.width = component
        elif kwargs.get("elem_id") == f"{tab}_height" and self.width and setting("buckets", True):
            from .buckets import Row

            Row(tab, self.width, component)

    def ui(self, is_img2img: bool) -> list:
        import gradio as gr

        (fact,) = describe(PlaygroundOptions)
        name = f"{'img2img' if is_img2img else 'txt2img'}_presample_playground"
        with gr.Accordion(TITLE, open=False, elem_id=name):
            shared_by_both = {"label": "EDM", "info": fact.help, "elem_id": f"{name}_edm"}
            edm = gr.Radio(list(fact.choices), value=fact.default, **shared_by_both)
        self.infotext_fields, self.paste_field_names = [(edm, pasted)], []
        return [edm]

    def process(self, p, *args) -> None:
        """Has the loaded model sample as it is to; what goes wrong is told under the picture."""
        p.extra_generation_params.pop(KEY, None)
        setattr(p, FOR, None)
        model = shared.sd_model
        try:
            options = from_args(args)
        except (ValueError, TypeError) as error:
            _leave(p, model, error)
            return
        try:
            on = options.edm == "on" or (options.edm == "auto" and _is_playground(model))
            if on:
                _check(p, model)
            edm_models.switch(model, on)
        except (ValueError, ImportError) as error:
            _leave(p, model, error)
            return
        if on:
            setattr(p, FOR, _file(model))
            _spread(p)
        if on or options.edm != "auto":
            p.extra_generation_params[KEY] = options.edm

    def before_process_batch(self, p, *args, **batch) -> None:
        """Has the model sample so again where another one stood in for it in the batch before."""
        file = getattr(p, FOR, None)
        if file is not None and _file(shared.sd_model) == file:
            edm_models.switch(shared.sd_model, True)


def _leave(p: Any, model: Any, error: Exception) -> None:
    """Has the model sample as its own, and tells why."""
    edm_models.switch(model, False)
    tell(p, f"EDM sampling is off: {error}")


def _file(model: Any) -> str:
    """The name of a loaded model's checkpoint."""
    return str(getattr(getattr(model, "sd_checkpoint_info", None), "filename", ""))


def _is_playground(model: Any) -> bool:
    return bool(_file(model)) and edm_models.is_playground(Path(_file(model)))


def _check(p: Any, model: Any) -> None:
    """Raises ValueError where EDM cannot be."""
    if not edm_models.can(model):
        raise ValueError("this WebUI has no place for it; Forge, Neo, reForge and A1111 1.10 have")
    from modules.sd_samplers_timesteps import samplers_timesteps

    names = {sampler[0] for sampler in samplers_timesteps} | {"LCM"}  # it has a denoiser of its own
    for sampler in (p.sampler_name, getattr(p, "hr_sampler_name", None)):
        if sampler in names:
            raise ValueError(f"the sampler {sampler} asks for timesteps; take DPM++ 2M, Euler or Heun")


def _spread(p: Any) -> None:
    """Takes EDM's own schedule where the job leaves it open, or has one that counts another model's times."""
    turbo = ("Turbo", "turbo")  # as the page and as the API names it
    if getattr(p, "scheduler", None) in (*NEEDS_SPREAD, *turbo):
        p.scheduler = SCHEDULE
    if getattr(p, "hr_scheduler", None) in (*NEEDS_SPREAD[2:], *turbo):
        p.hr_scheduler = SCHEDULE
