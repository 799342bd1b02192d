"""What commands that paint have in common: the bundled models, loaded once, and rows of what they made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..mmh_dit.flow import SampleOptions
from ..workflow import filled, read_template

SCALE = 2  # of a picture of the little world on a sheet
# Of a picture to paint over, and of the first noise; commands do not ask for either.
NOT_HERE = ("denoise", "icfm_sigma")


@dataclass
class Strip:
    """A row of a sheet: its title, the prompt of each picture, and the pictures (n, 3, H, W)."""

    title: str
    prompts: Sequence[str]
    images: Any = None

    def row(self) -> Any:
        """Returns the row as a sheet draws it; prompts stand below pictures where they differ."""
        from ..sheet import Cell, Row

        captions = self.prompts if len(set(self.prompts)) > 1 else [""] * len(self.prompts)
        return Row(self.title, [Cell(*pair) for pair in zip(self.images, captions, strict=True)])


@dataclass(frozen=True)
class Studio:
    """The bundled models, loaded."""

    pipeline: Any
    tipo: Any

    @classmethod
    def open(cls, model: Path | None = None) -> Studio:
        """Loads them; `model` is a file to take in the place of the bundled MMH-DiT.

        Raises:
            FileNotFoundError: one is not there.
            ValueError: the file is no MMH-DiT of the little world.
        """
        from ..tinyworld.pipeline import load_pipeline
        from ..tipo.expand import load_tipo

        if model is not None:
            _check(model)
        return cls(load_pipeline(model), load_tipo("tipo-tiny"))

    def expanded(self, prompt: str, seeds: Sequence[int], *, size: tuple[int, int]) -> list[str]:
        """Returns an expansion of the prompt for each seed."""
        from ..tipo.expand import expand_each
        from ..tipo.expansion import Request
        from ..tipo.options import ExpandOptions

        width, height = size
        requests = [
            Request(prompt, options=ExpandOptions(seed=seed, width=width, height=height)) for seed in seeds
        ]
        return [expansion.prompt for expansion in expand_each(requests, self.tipo)]

    def paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        size: tuple[int, int],
        negative: str = "",
        options: SampleOptions,
    ) -> Any:
        """Returns the pictures (n, 3, H, W) of what prompts say, with a progress bar."""
        from ..prompt.document import read

        width, height = size
        with progress(options.steps) as step:
            return self.pipeline.pictures(
                [read(prompt).plain for prompt in prompts],
                seeds,
                width=width,
                height=height,
                negative=read(negative).plain,
                options=options,
                on_step=lambda _: step(),
            )


def _check(model: Path) -> None:
    """Reads no weight, so a large file of another world is refused at once."""
    from ..latents import CHANNELS
    from ..mmh_dit.checkpoint import read
    from ..tinyworld.clip import WIDTH

    config = read(model).config
    if (config.in_ch, config.text_dim) != (CHANNELS, WIDTH):
        raise ValueError(
            f"--model must be a file of the little world, with {CHANNELS} latent channels and texts of width"
            f" {WIDTH}; {model} has {config.in_ch} and {config.text_dim}: load it in ComfyUI"
        )


@contextmanager
def progress(steps: int) -> Iterator[Callable[[], object]]:
    """Shows a bar of so many steps while something is painted; gives what is to be called after each."""
    from tqdm import tqdm

    with tqdm(total=steps, desc="painting", unit="step", file=sys.stderr, leave=False) as bar:
        yield bar.update


def workflow(
    prompt: str, count: int, seed: int, *, size: tuple[int, int], options: SampleOptions
) -> dict[str, str]:
    """Returns, for a picture's texts, the graph that makes a prompt's pictures and those of its expansions in
    ComfyUI; nothing where Presample was installed without templates.

    Weights in a prompt count there, and not here.
    """
    from ..tipo.options import ExpandOptions

    template = read_template("tipo_to_pictures")
    if template is None:
        return {}
    width, height = size
    lengths = {name: getattr(ExpandOptions(), name) for name in ("tag_length", "prose_length")}
    values = {
        "PresampleTIPOExpand": {"prompt": prompt, "count": count, "seed": seed, **lengths},
        "EmptySD3LatentImage": {"width": width, "height": height},
        "PresampleMMHDiTSampler": {n: getattr(options, n) for n in ("steps", "cfg", "sampler", "shift")},
    }
    return {"workflow": json.dumps(filled(template, values))}
