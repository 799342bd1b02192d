"""What comes behind an expansion: another layout of it, and CONDITIONING made of it."""

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..models.options import describe
from ..models.tipo.expansion import Expansion
from ..models.tipo.layouts import lay_out
from ..models.tipo.options import ExpandOptions
from ..models.tipo.tags import load_tags
from . import convert
from .compat import schema, widget
from .tipo import ExpansionType
from .tipo_model import CATEGORY

SPLITS = ("auto", "same text", "tags and prose")
TAG_ENCODERS = ("l", "g")  # the tokens of CLIP, as ComfyUI calls them
PROSE_ENCODER = "t5xxl"


class PromptLayout(io.ComfyNode):
    """Lays an expansion out again, without the model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        layout = [fact for fact in describe(ExpandOptions) if fact.name == "layout"]
        return schema(
            node_id="PresamplePromptLayout",
            display_name="Prompt Layout",
            category="presample/prompt",
            description="Puts an expansion into another layout: tags first, prose first, as Pony, Illustrious"
            " or Flux checkpoints want it, or by a template of your own. Runs no model.",
            search_aliases=["prompt format", "prompt template", "pony", "illustrious"],
            inputs=[
                ExpansionType.Input("expansion", tooltip="From TIPO Expand or TIPO Task."),
                *convert.option_inputs(layout),
            ],
            outputs=[
                io.String.Output(display_name="prompt", tooltip="The prompt in the new layout."),
                io.String.Output(
                    display_name="user_prompt", tooltip="Your prompt in the same layout, with nothing added."
                ),
                ExpansionType.Output(display_name="expansion", tooltip="The same in the new layout."),
            ],
        )

    @classmethod
    def execute(cls, expansion: Expansion, **given: Any) -> io.NodeOutput:
        new = lay_out(expansion, convert.expand_options(given).layout, tags=load_tags())
        return io.NodeOutput(new.prompt, new.user_prompt, new)


class TIPOTextEncode(io.ComfyNode):
    """Encodes an expansion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleTIPOTextEncode",
            display_name="TIPO Text Encode",
            category=CATEGORY,
            description="Encodes an expansion. A model with CLIP and T5 encoders may get the tags in CLIP and"
            " the sentences in T5.",
            search_aliases=["clip text encode", "conditioning", "dual clip"],
            inputs=[
                io.Clip.Input("clip", tooltip="From a checkpoint or a CLIP loader."),
                ExpansionType.Input("expansion", tooltip="From TIPO Expand, TIPO Task or Prompt Layout."),
                widget(
                    io.Combo.Input,
                    "split",
                    options=list(SPLITS),
                    default=SPLITS[0],
                    optional=True,
                    tooltip="tags and prose gives tags to CLIP and prose to T5; auto does so where there are"
                    " both encoders and both kinds of text.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="conditioning", tooltip="For positive of a sampler."),
                io.String.Output(display_name="text", tooltip="What was encoded."),
            ],
        )

    @classmethod
    def execute(cls, clip: Any, expansion: Expansion, split: str = SPLITS[0]) -> io.NodeOutput:
        tokens, text = tokenized(clip, expansion, split)
        return io.NodeOutput(clip.encode_from_tokens_scheduled(tokens), text)


def tokenized(clip: Any, expansion: Expansion, split: str) -> tuple[Mapping, str]:
    """Returns the tokens for each encoder of a CLIP, and the text that they stand for.

    An encoder beside CLIP and T5 gets the whole prompt. Raises ValueError where the text is to be split and
    the CLIP has not both kinds of encoders.
    """
    if split not in SPLITS:  # ComfyUI 0.3.60 lets anything through
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    tokens = clip.tokenize(expansion.prompt)
    present = [name for name in tokens if _is_loaded(clip, name)]
    for_tags = [name for name in TAG_ENCODERS if name in present]
    both = for_tags and PROSE_ENCODER in present
    if split == SPLITS[2] and not both:
        raise ValueError(
            f"split {split!r} must have both a CLIP and a T5 encoder, got {', '.join(present)};"
            " choose auto or 'same text'"
        )
    if split == SPLITS[1] or not both or not (expansion.tags and expansion.prose):
        return tokens, expansion.prompt
    tags, prose = clip.tokenize(expansion.tags), clip.tokenize(expansion.prose)
    split_tokens = {**tokens, **{name: tags[name] for name in for_tags}, PROSE_ENCODER: prose[PROSE_ENCODER]}
    return split_tokens, f"{expansion.tags}\n{expansion.prose}"


def _is_loaded(clip: Any, name: str) -> bool:
    """Whether the encoder of these tokens is there: some models have tokens for one that was not loaded."""
    return all(getattr(clip.cond_stage_model, place, ...) is not None for place in (name, f"clip_{name}"))


NODES = [PromptLayout, TIPOTextEncode]
