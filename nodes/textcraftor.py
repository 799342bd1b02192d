"""The nodes of TextCraftor: tuned text encoders loaded, mixed, interpolated and merged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..models.options import Option, describe
from ..models.textcraftor.files import SUFFIXES, tuned_encoders
from ..models.textcraftor.mix import normalized
from ..models.textcraftor.options import MOST_ENCODERS, WEIGHT, MixOptions
from . import convert
from .compat import schema, widget
from .conditioning import Interpolation
from .encoders import MixedCLIP, load_tuned, merge_clips
from .tipo_model import stamp

CATEGORY = "presample/textcraftor"
FOLDER = "textcraftor"
NONE = "none found"

Encoders = io.Custom("PRESAMPLE_ENCODERS")
"""What goes from one Encoder Mix to the next: a tuple of (CLIP, weight)."""


def register_folders() -> None:
    """Tells ComfyUI of `models/textcraftor`; entries of extra_model_paths.yaml stay."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER), is_default=True)
    paths, _ = folder_paths.folder_names_and_paths[FOLDER]
    folder_paths.folder_names_and_paths[FOLDER] = (paths, set(SUFFIXES))


def available() -> dict[str, Path]:
    """Returns the files of tuned encoders that are here, by their names: bundled, ours, and ComfyUI's."""
    known = [name for name in (FOLDER, "text_encoders") if name in folder_paths.folder_names_and_paths]
    return tuned_encoders(path for name in known for path in folder_paths.get_folder_paths(name))


def option_inputs(*, without: tuple[str, ...]) -> list[Any]:
    """Returns the widgets for the options of a mix; w is a slider."""
    facts = [fact for fact in describe(MixOptions) if fact.name not in without]
    return [_slider(f, optional=True) if f.name == "w" else convert.option_inputs([f])[0] for f in facts]


def place(name: str, default: float, help: str) -> Option:
    """Returns the option of a place between two encoders, which w says."""
    w = next(fact for fact in describe(MixOptions) if fact.name == "w")
    return replace(w, name=name, default=default, help=help)


def _slider(fact: Option, *, optional: bool = False) -> Any:
    return widget(
        io.Float.Input,
        fact.name,
        optional=optional,
        tooltip=fact.help,
        default=fact.default,
        min=fact.low,
        max=fact.high,
        step=fact.step,
        display_mode=io.NumberDisplay.slider,
    )


def text_input(name: str, tooltip: str) -> Any:
    """Returns a widget for a prompt."""
    return widget(
        io.String.Input,
        name,
        multiline=True,
        dynamic_prompts=True,
        default="",
        optional=True,
        tooltip=tooltip,
    )


def pair_inputs() -> list[Any]:
    """Returns the sockets for two CLIPs to go between."""
    return [
        io.Clip.Input("original", tooltip="The encoder that w = 0 is, as the checkpoint has it."),
        io.Clip.Input("tuned", tooltip="The encoder that w = 1 is: of Load Text Encoder, or an Encoder Mix."),
    ]


class TextEncoderLoader(io.ComfyNode):
    """Puts tuned weights into a CLIP."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleTextEncoderLoader",
            display_name="Load Text Encoder",
            category=CATEGORY,
            description="Puts a tuned text encoder, as TextCraftor makes them, in place of the one in a CLIP."
            " Files lie in models/textcraftor or models/text_encoders; the little world's are bundled.",
            search_aliases=["textcraftor", "clip loader", "tuned encoder", "fine-tuned clip"],
            inputs=[
                io.Clip.Input(
                    "clip", tooltip="The CLIP whose encoder is replaced; it stays as it is itself."
                ),
                widget(
                    io.Combo.Input,
                    "encoder",
                    options=list(available()) or [NONE],
                    tooltip="The file: CLIP-L for Stable Diffusion 1.x, CLIP-L or CLIP-G for SDXL.",
                ),
            ],
            outputs=[
                io.Clip.Output(display_name="clip", tooltip="The CLIP with the tuned encoder."),
                io.String.Output(display_name="report", tooltip="What was found in the file and replaced."),
            ],
        )

    @classmethod
    def validate_inputs(cls, encoder: str | None) -> bool | str:
        """A file that is gone must not keep a workflow from running that does not use it any more.

        A name that another node gives is None here: ComfyUI has yet to ask for it.
        """
        return isinstance(encoder, str | None) or f"encoder must be a name from the list, got {encoder!r}"

    @classmethod
    def fingerprint_inputs(cls, encoder: str | None, **_: Any) -> Any:
        path = available().get(encoder)
        return (encoder, stamp(path) if path else None)

    @classmethod
    def execute(cls, clip: Any, encoder: str) -> io.NodeOutput:
        return io.NodeOutput(*load_tuned(clip, chosen(encoder)))


def chosen(name: str) -> Path:
    """Returns the file of that name; raises ValueError that says where files are looked for."""
    here = available()
    if name not in here:
        folder = next(iter(folder_paths.get_folder_paths(FOLDER)), FOLDER)
        raise ValueError(
            f"encoder must be one of {', '.join(here) or 'the files that are here, and there is none'}; "
            f"got {name!r}. Put a {' or '.join(SUFFIXES)} file into {folder} and refresh the page"
        )
    return here[name]


class EncoderMix(io.ComfyNode):
    """Mixes CLIPs into one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        weighting = [fact for fact in describe(MixOptions) if fact.name == "weighting"]
        in_mix = "How much of it is in the mix; 0 leaves it out and costs nothing."
        return schema(
            node_id="PresampleEncoderMix",
            display_name="Encoder Mix",
            category=CATEGORY,
            description="A CLIP that gives the weighted sum of what several CLIPs make of a prompt. Chain up"
            f" to {MOST_ENCODERS} through encoders, and use the clip of the last one wherever a CLIP goes.",
            search_aliases=["textcraftor", "style mixing", "mix clip", "clip merge", "blend encoders"],
            inputs=[
                io.Clip.Input("clip", tooltip="An encoder of the mix; the original one may be one of them."),
                _slider(Option("weight", float, 1.0, in_mix, **WEIGHT)),
                Encoders.Input("encoders", optional=True, tooltip="The encoders of another Encoder Mix."),
                *convert.option_inputs(weighting),
            ],
            outputs=[
                io.Clip.Output(display_name="clip", tooltip="The mix of all that are connected so far."),
                Encoders.Output(display_name="encoders", tooltip="For the next Encoder Mix."),
            ],
        )

    @classmethod
    def execute(
        cls, clip: Any, weight: float, encoders: tuple = (), weighting: str = "normalize"
    ) -> io.NodeOutput:
        stack = (*encoders, (clip, weight))
        if len(stack) > MOST_ENCODERS:
            raise ValueError(
                f"a mix must have at most {MOST_ENCODERS} encoders, got {len(stack)}; leave some out"
            )
        return io.NodeOutput(mixed(stack, weighting), stack)


def mixed(stack: tuple, weighting: str) -> Any:
    """Returns the CLIP of a stack: one alone as it is; what stops only those who use it for no mix at all."""
    try:
        weights = normalized([weight for _, weight in stack], weighting)
    except ValueError as error:
        return ExecutionBlocker(f"Encoder Mix: {error}")
    used = [(clip, weight) for (clip, _), weight in zip(stack, weights, strict=True) if weight]
    if len(used) == 1 and used[0][1] == 1:
        return used[0][0]
    return MixedCLIP.of(*zip(*used, strict=True))


class EncoderInterpolate(io.ComfyNode):
    """Encodes prompts between two encoders."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleEncoderInterpolate",
            display_name="Encoder Interpolate",
            category=CATEGORY,
            description="Encodes a prompt and a negative one between an original encoder and a tuned one. As"
            " TextCraftor was published, the original leads the first 40 percent of the steps.",
            search_aliases=["textcraftor", "clip text encode", "interpolate clip", "reward slider"],
            inputs=[
                *pair_inputs(),
                text_input("prompt", "What the picture is to show; weights such as (moon:1.2) count."),
                text_input("negative_prompt", "What it is not to show."),
                *option_inputs(without=("weighting",)),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="For a sampler."),
                io.Conditioning.Output(display_name="negative", tooltip="For a sampler."),
            ],
        )

    @classmethod
    def execute(
        cls, original: Any, tuned: Any, prompt: str = "", negative_prompt: str = "", **given: Any
    ) -> io.NodeOutput:
        options = MixOptions(**given)
        positive = Interpolation(original, tuned, prompt).conditioning(options)
        return io.NodeOutput(
            positive, Interpolation(original, tuned, negative_prompt).conditioning(options, negative=True)
        )


class EncoderMerge(io.ComfyNode):
    """Merges the weights of two CLIPs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleEncoderMerge",
            display_name="Encoder Merge (weights)",
            category=CATEGORY,
            description="One CLIP with weights between those of two. Costs one encoding and can be saved, but"
            " is not the mix of TextCraftor, which Encoder Mix and Encoder Interpolate are.",
            search_aliases=["clip merge", "merge text encoder", "weight space"],
            inputs=[
                *pair_inputs(),
                _slider(
                    place("w", 0.5, "From the weights of the original (0) to those of the tuned one (1).")
                ),
            ],
            outputs=[io.Clip.Output(display_name="clip", tooltip="The merged CLIP.")],
        )

    @classmethod
    def execute(cls, original: Any, tuned: Any, w: float) -> io.NodeOutput:
        return io.NodeOutput(merge_clips(original, tuned, w))


NODES = [TextEncoderLoader, EncoderMix, EncoderInterpolate, EncoderMerge]
