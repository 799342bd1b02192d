"""The picture that `presample demo` ends with: what each of the four systems does to one short prompt.

Rows: the prompt as it was written; presampled; through a text encoder that is mixed with a tuned one; solid
black under two noise schedules; four shapes of canvas. Pictures in one place of the first three
rows, and all of the last, begin with the same noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..latents import latent_shape
from ..mmh_dit import flow
from ..textcraftor.mix import sweep
from ..textcraftor.options import MixOptions
from ..tinyworld.pictures import SIZES
from ..tinyworld.pipeline import TinyOptions
from .mix import chosen, open_painter
from .studio import SCALE, Strip, Studio, progress, workflow

COLUMNS = 4
ENCODER, STRONGEST = "vivid", 0.75
START = 0.1  # share of the steps that the original encoder has alone
SHAPES = ("tall", "portrait", "landscape", "wide")
OPTIONS = TinyOptions()
BASE = 1024  # pixels; the size that the noise schedules of SDXL and Playground v2.5 are for
# Where noise ends. What is sampled is this flow model, by EDM's formulas.
NOISE = {
    "before: noise ends too early, as SDXL's does": 14.615,
    "after: noise reaches the end, as EDM's does": 80.0,
}
SOLID = "solid black background"


@dataclass(frozen=True)
class Story:
    """The prompt, its expansions, one for each column, and the seed of the first."""

    prompt: str
    expanded: Sequence[str]
    seed: int

    @property
    def seeds(self) -> list[int]:
        """Returns the seed of each column."""
        return [self.seed + k for k in range(COLUMNS)]


def draw_story(story: Story, studio: Studio, path: Path) -> None:
    """Paints and writes the sheet; it carries the ComfyUI graph of its first two rows.

    Raises:
        FileNotFoundError: a bundled model is not there.
    """
    from ..sheet import draw_sheet, save_png

    rows = [strip.row() for strip in _strips(story, studio)]
    texts = {"parameters": "\n\n".join([story.prompt, *story.expanded])}
    made_with = workflow(story.prompt, COLUMNS, story.seed, size=SIZES["square"], options=OPTIONS)
    save_png(draw_sheet(rows, scale=SCALE), path, texts | made_with)


def _strips(story: Story, studio: Studio) -> Iterator[Strip]:
    for title, prompts in (
        (f"You write: {story.prompt}", [story.prompt] * COLUMNS),
        ("Presampled by TIPO, from the same noise", story.expanded),
    ):
        images = studio.paint(prompts, story.seeds, size=SIZES["square"], options=OPTIONS)
        yield Strip(title, prompts, images)
    yield _encoders(story)
    yield _solids(story, studio)
    yield _shapes(story, studio)


def _encoders(story: Story) -> Strip:
    """The first expansion, from the original text encoder to the tuned one."""
    import torch

    from ..prompt.document import read

    painter, _ = open_painter([chosen(ENCODER)])
    points = sweep(0.0, STRONGEST, COLUMNS)
    images = []
    width, height = SIZES["square"]
    with progress(COLUMNS * OPTIONS.steps) as step:
        for w in points:
            images += painter.pictures(
                read(story.expanded[0]).plain,
                story.seeds[:1],
                [1.0],
                width=width,
                height=height,
                mix_options=MixOptions(w=w, start=START),
                options=OPTIONS,
                on_step=lambda _: step(),
            )
    title = f"The first of them, by a text encoder tuned to be {ENCODER}"
    return Strip(title, [f"w {w:g}" for w in points], torch.stack(images))


def _solids(story: Story, studio: Studio) -> Strip:
    """Black, by noise that ends too early and by noise that does not."""
    import torch

    from ..playground import samplers, schedules, shift

    width, height = SIZES["square"]
    by = shift.scale(width, height, base=BASE)
    pipeline = studio.pipeline
    shape = latent_shape(width, height, channels=pipeline.model.config.in_ch)
    ask = flow.guided(pipeline.model, pipeline.encode([SOLID]), scale=OPTIONS.cfg)
    images = []
    with progress(len(NOISE) * OPTIONS.steps) as step:
        for sigma in NOISE.values():
            latents = samplers.sample(
                flow.edm_denoiser(ask),
                flow.noise(shape, story.seeds[:1]),
                schedules.karras(OPTIONS.steps, sigma_max=sigma * by),
                on_step=lambda _: step(),
            )
            with torch.no_grad():
                images += pipeline.decode(latents)
    return Strip(f"You write: {SOLID}", list(NOISE), torch.stack(images))


def _shapes(story: Story, studio: Studio) -> Strip:
    """The first expansion on canvases of several shapes."""
    prompt = story.expanded[0]
    images: list[Any] = []
    for shape in SHAPES:
        images += studio.paint([prompt], story.seeds[:1], size=SIZES[shape], options=OPTIONS)
    captions = ["{}x{}".format(*SIZES[shape]) for shape in SHAPES]
    return Strip("The first of them, in four aspect ratios", captions, images)
