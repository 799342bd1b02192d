"""Pictures judged: a score of each, and a sheet of before and after.

IMAGE is (b, h, w, 3) in 0..1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io

from ..models.hub import ModelNotFound, find_scorer, resolve_scorer, scorer_folders
from ..models.metrics.ranks import ascending, mean_known
from ..models.metrics.scorers import Scorer, load_scorer
from ..models.published.scorers import SCORERS, known_scorer
from ..models.sheet import LAYOUTS, Cell, before_after, draw_sheet
from ..models.tinyworld.scores import TINY_SCORERS, load_tiny_scorer
from . import convert, fetching
from .compat import schema, widget

CATEGORY = "presample/evaluation"
FOLDER = "scorers"
AT_ONCE = 8  # pictures
ON_GPU = (".safetensors", ".pt", ".pth")
TO_WORK = 2**30  # bytes, beside the weights


def register_folders() -> None:
    """Tells ComfyUI of `models/scorers`, which has a folder for each; extra_model_paths.yaml stays."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER), is_default=True)


def folders() -> tuple[Path, ...]:
    """Returns every folder in which scorers are looked for, in order."""
    return scorer_folders([Path(path) for path in folder_paths.get_folder_paths(FOLDER)])


def fetch(name: str, unique_id: str | None) -> None:
    """Downloads the published model of a scorer that is not here; raises DownloadError."""
    known = known_scorer(name)
    if known and find_scorer(known, folders()) is None:
        fetching.fetch(known, folders()[0], unique_id)


def load(name: str) -> Scorer:
    """Returns the scorer of a name, on ComfyUI's device; raises ModelNotFound saying where it belongs."""
    device = str(mm.get_torch_device())
    if name in TINY_SCORERS:
        return load_tiny_scorer(name, device=device)
    if name not in SCORERS:
        raise ValueError(f"scorer must be one of {', '.join((*TINY_SCORERS, *SCORERS))}; got {name!r}")
    try:
        path = resolve_scorer(name, folders())
    except ModelNotFound as error:
        what = "for all but the last file" if known_scorer(name).by_hand else "in this node"
        raise ModelNotFound(f"{error}\nOr switch download on {what}.") from error
    make_room(path)
    return load_scorer(name, path, device=device)


def make_room(folder: Path) -> None:
    """Has ComfyUI move its models away where a scorer's weights, which become float32, need their place."""
    size = sum(file.stat().st_size for file in folder.iterdir() if file.suffix in ON_GPU)
    if size and mm.get_torch_device().type != "cpu":
        mm.free_memory(2 * size + TO_WORK, mm.get_torch_device())


class ImageScore(io.ComfyNode):
    """Scores pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleImageScore",
            display_name="Image Score",
            category=CATEGORY,
            description="Scores pictures by what a model makes of them: how they follow their prompt, how"
            " they please, whether they are broken. The little world's scorers are bundled; other models go"
            " into models/scorers, and the published ones are fetched if you say so.",
            search_aliases=["clip score", "aesthetic", "pickscore", "hpsv2", "rank", "best of"],
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="Pictures, batches, or a list of either."),
                widget(
                    io.String.Input,
                    "prompt",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="What they are to show: one for all, or a list with one for each of the images.",
                ),
                widget(
                    io.Combo.Input,
                    "scorer",
                    options=[*TINY_SCORERS, *SCORERS],
                    default=TINY_SCORERS[0],
                    optional=True,
                    tooltip="What scores them. All but the first two look into models/scorers/<name>.",
                ),
                widget(
                    io.Boolean.Input,
                    "best_first",
                    default=False,
                    optional=True,
                    tooltip="Sort the pictures, the best one first.",
                ),
                widget(
                    io.Boolean.Input,
                    "download",
                    default=False,
                    optional=True,
                    tooltip="Fetch the scorer's published model from Hugging Face when it is not here. Off:"
                    " nothing is ever downloaded.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="Each on its own.", is_output_list=True),
                io.Float.Output(display_name="scores", tooltip="Of each.", is_output_list=True),
                io.String.Output(
                    display_name="labels", tooltip="The same as text, for a sheet.", is_output_list=True
                ),
                io.Image.Output(display_name="best", tooltip="The one with the highest score."),
                io.Float.Output(display_name="mean", tooltip="Of all scores."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        images: Sequence[torch.Tensor],
        prompt: Sequence[str] = ("",),
        scorer: Sequence[str] = (TINY_SCORERS[0],),
        best_first: Sequence[bool] = (False,),
        download: Sequence[bool] = (False,),
    ) -> io.NodeOutput:
        said = prompts_of(images, prompt)
        if download[0]:
            fetch(scorer[0], cls.hidden.unique_id)
        scores = score(load(scorer[0]), images, said)
        pictures = [picture for batch in images for picture in batch[..., :3].split(1)]
        ranked = ascending(scores)
        order = ranked[::-1] if best_first[0] else range(len(scores))
        return io.NodeOutput(
            [pictures[i] for i in order],
            [scores[i] for i in order],
            [f"{scorer[0]} {scores[i]:.4g}" for i in order],
            pictures[ranked[-1]],
            mean_known(scores),
        )


def prompts_of(images: Sequence[torch.Tensor], prompts: Sequence[str]) -> list[str]:
    """Returns a prompt for each picture of a list of batches; raises ValueError where they do not fit."""
    if len(prompts) not in (1, len(images)):
        raise ValueError(
            f"prompt must be one, or one for each of {len(images)} images; got {len(prompts)}. A batch counts"
            " as one: connect a list of pictures, as it comes out behind a list of prompts"
        )
    every = list(prompts) if len(prompts) > 1 else list(prompts) * len(images)
    return [text for batch, text in zip(images, every, strict=True) for _ in batch]


@torch.no_grad()
def score(scorer: Scorer, images: Sequence[torch.Tensor], prompts: Sequence[str]) -> list[float]:
    """Returns the scores of all pictures of a list of batches, a few at once; a click on stop counts."""
    parts = [part for batch in images for part in batch.split(AT_ONCE)]
    bar, found = comfy.utils.ProgressBar(len(prompts)), []
    for part in parts:
        mm.throw_exception_if_processing_interrupted()
        pixels = part[..., :3].movedim(-1, 1).float().to(mm.get_torch_device())  # (b, 3, h, w)
        found += scorer.score(pixels, prompts[len(found) : len(found) + len(part)]).tolist()
        bar.update_absolute(len(found), len(prompts))
    return found


class BeforeAfterSheet(io.ComfyNode):
    """Puts pairs of pictures on one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def text(name: str, default: str, tooltip: str) -> Any:
            return widget(io.String.Input, name, default=default, optional=True, tooltip=tooltip)

        def labels(name: str, tooltip: str) -> Any:
            return widget(io.String.Input, name, default="", optional=True, force_input=True, tooltip=tooltip)

        return schema(
            node_id="PresampleBeforeAfterSheet",
            display_name="Before/After Sheet",
            category=CATEGORY,
            description="One picture of pairs: what was, and what became of it, with labels. One picture"
            " before stands beside each of several after.",
            search_aliases=["compare", "comparison", "side by side", "difference", "grid"],
            is_input_list=True,
            inputs=[
                io.Image.Input("before", tooltip="Pictures, batches, or a list of either."),
                io.Image.Input("after", tooltip="As many, in the same order."),
                text("before_title", "before", "What stands with those before."),
                text("after_title", "after", "What stands with those after."),
                widget(
                    io.Combo.Input,
                    "layout",
                    options=list(LAYOUTS),
                    default=LAYOUTS[0],
                    optional=True,
                    tooltip="Each pair beside each other, or all before above all after.",
                ),
                convert.sheet_scale(),
                labels("before_labels", "What is said of each before, such as its prompt or its score."),
                labels("after_labels", "What is said of each after."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="All pairs on one picture.")],
        )

    @classmethod
    def execute(
        cls,
        before: Sequence[torch.Tensor],
        after: Sequence[torch.Tensor],
        before_title: Sequence[str] = ("before",),
        after_title: Sequence[str] = ("after",),
        layout: Sequence[str] = (LAYOUTS[0],),
        scale: Sequence[int] = (1,),
        before_labels: Sequence[str] = (),
        after_labels: Sequence[str] = (),
    ) -> io.NodeOutput:
        convert.check_bounds(cls, scale=scale[0])
        rows = before_after(
            cells(before, before_labels),
            cells(after, after_labels),
            titles=(before_title[0], after_title[0]),
            layout=layout[0],
        )
        return io.NodeOutput(convert.image_of(draw_sheet(rows, scale=scale[0])))


def cells(images: Sequence[torch.Tensor], labels: Sequence[str]) -> list[Cell]:
    """Returns the pictures of a list of batches; labels are one for each picture, or one for each batch."""
    pictures = [picture[..., :3].movedim(-1, 0) for batch in images for picture in batch]  # (3, h, w)
    said = list(labels)
    if len(said) == len(images) < len(pictures):
        said = [label for batch, label in zip(images, said, strict=True) for _ in batch]
    if len(said) > len(pictures):
        raise ValueError(f"there must be at most one label a picture, {len(pictures)}; got {len(said)}")
    return [Cell(*both) for both in zip(pictures, [*said, *[""] * (len(pictures) - len(said))], strict=True)]


NODES = [ImageScore, BeforeAfterSheet]
