"""A job of several images: which expansion each of them gets, and which of them share one.

Convention: an image is its place in the job's lists of prompts and seeds. What is alike is written once, and
what is different is decoded together, a number of rows at a time; neither changes what is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .expansion import Expansion, OnProgress, Progress, Request, ShouldStop
from .options import seed_after

if TYPE_CHECKING:
    from .expander import Tipo

ROWS = 16  # decoded together, at most: it bounds the memory


@dataclass(frozen=True)
class Seeding:
    """Where the seed of each image's expansion comes from.

    `base` is the seed of the first and the others count on from it; `linked` takes the image's own seed
    instead; `same` gives all images the seed of the first.
    """

    base: int = 0
    linked: bool = False
    same: bool = False

    def seeds(self, images: Sequence[int]) -> list[int]:
        """Returns one seed for each image, whose own seeds are `images`."""
        own = list(images) if self.linked else [seed_after(self.base, k) for k in range(len(images))]
        return [seed_after(own[0] if self.same else seed, 0) for seed in own]


def requests_for(template: Request, prompts: Sequence[str], seeds: Sequence[int]) -> list[Request]:
    """Returns the request of each image: the template with its prompt and its seed."""
    return [
        replace(template, prompt=prompt, options=replace(template.options, seed=seed))
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]


def expand_job(
    requests: Sequence[Request],
    tipo: "Tipo",
    *,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> tuple[Expansion, ...]:
    """Returns one expansion for each request; equal requests share one.

    With the variety "tree" the images that have the same prompt are the variations of one tree, of the first
    one's seed. `Progress.variation` counts different requests and its `fraction` is that of the whole job.
    Raises what `expand_each` raises.
    """
    from .expand import expand_each, expand_many  # a host that starts does without all that they need

    groups = _groups(requests)
    found: dict[Request, list[Expansion]] = {}
    for number, group in enumerate(groups):
        told = on_progress and _scaled(on_progress, number, len(groups))
        if len(group) > 1 and group[0].options.variety == "tree":
            made = expand_many(group[0], len(group), tipo, on_progress=told, should_stop=should_stop)
        else:
            made = expand_each(group, tipo, on_progress=told, should_stop=should_stop)
        for request, expansion in zip(group, made, strict=True):
            found.setdefault(request, []).append(expansion)
    return tuple(found[request][0] for request in requests)


def _groups(requests: Sequence[Request]) -> list[list[Request]]:
    """The different requests, in groups that are written together."""
    trees: dict[Request, list[Request]] = {}
    others: list[Request] = []
    for request in dict.fromkeys(requests):
        if request.options.variety == "tree":
            prompt = replace(request, options=replace(request.options, seed=0))
            trees.setdefault(prompt, []).append(request)
        else:
            others.append(request)
    return [*trees.values(), *(others[k : k + ROWS] for k in range(0, len(others), ROWS))]


def _scaled(on_progress: OnProgress, number: int, count: int) -> Callable[[Progress], None]:
    def told(progress: Progress) -> None:
        on_progress(replace(progress, fraction=(number + progress.fraction) / count))

    return told


def follow(hires: Sequence[str], before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Returns the hires prompts, those that were the image's own prompt being what has become of it."""
    pairs = zip(hires, before, after, strict=True)
    return [new if own == old else own for own, old, new in pairs]
