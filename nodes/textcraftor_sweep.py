"""A sweep over w: a list of CONDITIONING, and the pictures of it on one labelled sheet.

IMAGE is (b, h, w, 3) in 0..1.
"""

from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import io

from ..models.sheet import Cell, Row, draw_sheet
from ..models.textcraftor.mix import sweep
from ..models.textcraftor.options import MixOptions
from . import convert
from .compat import schema, widget
from .conditioning import Interpolation
from .textcraftor import CATEGORY, option_inputs, pair_inputs, place, text_input

MOST_POINTS = 21


class MixSweep(io.ComfyNode):
    """Encodes prompts at several places between two encoders."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        places = (
            place("first", 0.0, "The w of the first picture."),
            place("last", 1.0, "The w of the last one."),
        )
        return schema(
            node_id="PresampleMixSweep",
            display_name="Mix Sweep",
            category=CATEGORY,
            description="Encodes a prompt at several places between an original encoder and a tuned one. What"
            " comes behind runs once for each; Contact Sheet puts the pictures side by side.",
            search_aliases=["textcraftor", "xy plot", "grid", "interpolation row"],
            inputs=[
                *pair_inputs(),
                text_input("prompt", "What the pictures are to show."),
                text_input("negative_prompt", "What they are not to show."),
                *convert.option_inputs(places),
                widget(
                    io.Int.Input,
                    "count",
                    default=5,
                    min=1,
                    max=MOST_POINTS,
                    optional=True,
                    tooltip="How many, evenly apart; 1 is the first alone.",
                ),
                *option_inputs(without=("w", "weighting")),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="positive", tooltip="One for each w.", is_output_list=True
                ),
                io.Conditioning.Output(
                    display_name="negative", tooltip="One for each w.", is_output_list=True
                ),
                io.Float.Output(display_name="w", tooltip="The w of each.", is_output_list=True),
                io.String.Output(
                    display_name="labels", tooltip="The same as text, for Contact Sheet.", is_output_list=True
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        original: Any,
        tuned: Any,
        prompt: str = "",
        negative_prompt: str = "",
        first: float = 0.0,
        last: float = 1.0,
        count: int = 5,
        **given: Any,
    ) -> io.NodeOutput:
        convert.check_bounds(cls, count=count)
        points = sweep(first, last, count)
        every = [MixOptions(w=w, **given) for w in points]
        positive = Interpolation(original, tuned, prompt)
        negative = Interpolation(original, tuned, negative_prompt)
        return io.NodeOutput(
            [positive.conditioning(options) for options in every],
            [negative.conditioning(options, negative=True) for options in every],
            list(points),
            [f"w {w:g}" for w in points],
        )


class ContactSheet(io.ComfyNode):
    """Puts pictures side by side."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleContactSheet",
            display_name="Contact Sheet",
            category="presample/image",
            description="One picture of many, side by side with labels. A batch is a column: the pictures of"
            " one seed stand in one row.",
            search_aliases=["grid", "image grid", "xy plot", "collage", "compare"],
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="A list of pictures or batches, as a sweep leads to."),
                widget(
                    io.String.Input,
                    "labels",
                    default="",
                    optional=True,
                    force_input=True,
                    tooltip="What stands below each; connect the labels of Mix Sweep.",
                ),
                widget(
                    io.String.Input, "title", default="", optional=True, tooltip="What stands above them all."
                ),
                widget(
                    io.Int.Input,
                    "columns",
                    default=0,
                    min=0,
                    max=64,
                    optional=True,
                    tooltip="How many stand in a row; 0 puts all into one.",
                ),
                convert.sheet_scale(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="All pictures on one.")],
        )

    @classmethod
    def execute(
        cls,
        images: Sequence[torch.Tensor],
        labels: Sequence[str] = (),
        title: Sequence[str] = ("",),
        columns: Sequence[int] = (0,),
        scale: Sequence[int] = (1,),
    ) -> io.NodeOutput:
        convert.check_bounds(cls, columns=columns[0], scale=scale[0])
        sheet = draw_sheet(sheet_rows(images, labels, title[0], columns[0]), scale=scale[0])
        return io.NodeOutput(convert.image_of(sheet))


def sheet_rows(images: Sequence[torch.Tensor], labels: Sequence[str], title: str, columns: int) -> list[Row]:
    """Returns the rows of a sheet: picture k of every batch (b, h, w, 3), so many in a row.

    Raises ValueError for more labels than images: none is dropped, and none stands below another picture.
    """
    if len(labels) > len(images):
        raise ValueError(
            f"there must be at most one label for each of {len(images)} images, got {len(labels)}; a batch"
            " counts as one: connect a list of pictures, such as images of Image Score"
        )
    captions = [*labels, *[""] * len(images)]
    columns = columns or len(images)
    rows = []
    for k in range(max(len(batch) for batch in images)):
        cells = [
            Cell(batch[k, ..., :3].movedim(-1, 0), caption)
            for batch, caption in zip(images, captions, strict=False)
            if k < len(batch)
        ]
        rows += [Row("", cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return [Row(title, rows[0].cells), *rows[1:]]


NODES = [MixSweep, ContactSheet]
