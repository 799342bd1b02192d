"""The nodes of aspect buckets: an empty latent of one, and a size snapped to one."""

from typing import Any

import torch
from comfy_api.latest import io

from ..models.options import describe
from ..models.playground.buckets import BucketOptions, SnapOptions, pick, snap_to
from . import convert
from .compat import schema, widget

CATEGORY = "presample/playground"
CHANNELS = 4  # of ComfyUI's empty latents, which become those of any model


class AspectBucketLatent(io.ComfyNode):
    """Gives an empty latent of a bucket."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleAspectBucketLatent",
            display_name="Aspect Bucket Latent",
            category=CATEGORY,
            description="An empty latent of a size that a model was trained at: by its name, or the one"
            " nearest to a ratio or to the shape of a picture.",
            search_aliases=["empty latent", "aspect ratio", "resolution", "sdxl sizes", "bucket"],
            inputs=[
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A picture whose shape counts, no bucket's name and no ratio.",
                ),
                *convert.option_inputs(describe(BucketOptions)),
                widget(
                    io.Int.Input,
                    "batch_size",
                    default=1,
                    min=1,
                    max=4096,
                    optional=True,
                    tooltip="How many latents.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="Empty, of the size of the bucket."),
                io.Int.Output(display_name="width", tooltip="In pixels."),
                io.Int.Output(display_name="height", tooltip="In pixels."),
            ],
        )

    @classmethod
    def execute(cls, image: torch.Tensor | None = None, batch_size: int = 1, **given: Any) -> io.NodeOutput:
        convert.check_bounds(cls, batch_size=batch_size)
        shape = None if image is None else (image.shape[2], image.shape[1])  # (b, h, w, 3)
        width, height = pick(BucketOptions(**given), shape)
        cell = convert.PIXELS_PER_CELL
        samples = torch.zeros(batch_size, CHANNELS, height // cell, width // cell)
        return io.NodeOutput({"samples": samples, "downscale_ratio_spacial": cell}, width, height)


class SnapToBucket(io.ComfyNode):
    """Snaps a size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def side(name: str, tooltip: str) -> Any:
            return widget(
                io.Int.Input, name, default=1024, min=1, max=16384, step=1, optional=True, tooltip=tooltip
            )

        return schema(
            node_id="PresampleSnapToBucket",
            display_name="Snap to Bucket",
            category=CATEGORY,
            description="The size nearest in shape that a model was trained at, or multiples of 8 that keep"
            " shape and area. A size that fits stays as it is.",
            search_aliases=["round resolution", "multiple of 8", "aspect ratio", "resize"],
            inputs=[
                side("width", "Width in pixels, of any picture."),
                side("height", "Height in pixels, of any picture."),
                *convert.option_inputs(describe(SnapOptions)),
            ],
            outputs=[
                io.Int.Output(display_name="width", tooltip="The snapped width in pixels."),
                io.Int.Output(display_name="height", tooltip="The snapped height in pixels."),
            ],
        )

    @classmethod
    def execute(cls, width: int = 1024, height: int = 1024, **given: Any) -> io.NodeOutput:
        return io.NodeOutput(*snap_to(SnapOptions(**given), width, height))


NODES = [AspectBucketLatent, SnapToBucket]
