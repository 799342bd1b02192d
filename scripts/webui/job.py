"""A job of the host and its expansions: which prompts are rewritten, which are left, and what is noted of it.

Convention: `p` is the host's StableDiffusionProcessing. A job is one run of it, all its images; the host
wraps hooks, so whatever fails here leaves the prompts as they were.
"""

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...models.hub import ModelNotFound
from ...models.interrupt import Interrupted
from ...models.tipo.expansion import Expansion, Request
from ...models.tipo.infotext import is_ours, merge, read, write
from ...models.tipo.jobs import Seeding, follow, requests_for
from .values import RANDOM, Values

SEED, DONE = "_presample_seed", "_presample_done"
OVERRIDES = "_presample_overrides"  # what an axis of a grid puts in the place of the panel
# Marks of passes inside another job, whose prompts have been expanded already.
INNER = ("_ad_inner", "_sam3_inner")
REMEMBERED = 1024

Expand = Callable[[Sequence[Request]], Sequence[Expansion]]
Pairs = Mapping[str, str]


@dataclass(frozen=True)
class Done:
    """What was made of a job: its prompts afterwards, and what its infotexts say."""

    after: tuple[str, ...]
    pairs: Mapping[str, str | list[str | None]]


@dataclass(eq=False)
class Memory:
    """Expansions of this session: a text that is one already is not expanded again.

    `texts` has what the infotext says of each; `images` the expansion of a prompt for the seed of an image.
    """

    texts: OrderedDict[str, Pairs] = field(default_factory=OrderedDict)
    images: OrderedDict[tuple[str, int], str] = field(default_factory=OrderedDict)

    def before(self, text: str) -> str:
        """Returns what a text was before it was expanded, the text itself where it is no expansion."""
        record = read(self.texts.get(text, {}))
        return record.prompt if record and record.prompt is not None else text

    def add(self, before: str, after: str, pairs: Pairs, image: int | None = None) -> None:
        """Remembers an expansion, unless it added nothing."""
        if before == after:
            return
        self.texts[after] = pairs
        if image is not None:
            self.images[before, image] = after
        for each in (self.texts, self.images):
            while len(each) > REMEMBERED:
                each.popitem(last=False)


def prepare(p: Any) -> None:
    """Draws the seed that the job has where the panel asks for any; the cells of a grid share it."""
    setattr(p, SEED, secrets.randbits(32))


def before(p: Any, values: Values, expand: Expand, memory: Memory) -> None:
    """Expands the prompt that wildcards and styles are still to find, where that is wanted."""
    forget(p)
    if not values.panel.enabled or values.panel.timing != "before" or _is_inner(p):
        return
    done = getattr(p, DONE, None)
    listed = isinstance(p.prompt, list)
    prompts = list(p.prompt) if listed else [p.prompt]
    if done and done.after == tuple(prompts):
        return
    made = _expanded(p, values, prompts, _image_seeds(p, len(prompts)), expand, memory)
    setattr(p, DONE, made)
    if made is None:
        return
    hires = getattr(p, "hr_prompt", None)
    if isinstance(hires, str) and not listed and hires == prompts[0]:
        p.hr_prompt = made.after[0]
    p.prompt = list(made.after) if listed else made.after[0]


def process(p: Any, values: Values, expand: Expand, memory: Memory) -> None:
    """Expands the prompts of all images, and says so in the infotexts."""
    forget(p)
    if not values.panel.enabled or _is_inner(p):
        return
    done = getattr(p, DONE, None)
    prompts = list(p.all_prompts)
    if values.panel.timing == "after" and not (done and done.after == tuple(prompts)):
        if getattr(p, "txt2img_upscale", False):
            done = _remembered(prompts, p.all_seeds, memory)
        else:
            done = _expanded(p, values, prompts, _all_seeds(p), expand, memory)
        if done:
            _rewrite(p, prompts, list(done.after))
            setattr(p, DONE, done)
    if done:
        p.extra_generation_params.update(noted(p, done.pairs))


def forget(p: Any) -> None:
    """Takes back what an earlier cell of a grid wrote: all of them share these."""
    for name in [name for name in p.extra_generation_params if is_ours(name)]:
        del p.extra_generation_params[name]


def noted(p: Any, pairs: Mapping[str, str | list]) -> dict[str, str | Callable]:
    """Returns pairs as hosts take them: what differs between images is asked for, image by image."""
    return {name: _each(p, value) if isinstance(value, list) else value for name, value in pairs.items()}


def _each(p: Any, of_images: list) -> Callable[..., str | None]:
    """Hosts take a list too, and then give every batch the items of the first: they count within a batch."""

    def of_image(*, index: int = 0, all_prompts: Sequence[str] = (), use_main_prompt=False, **others: Any):
        within = all_prompts is not p.all_prompts and not use_main_prompt
        place = index + getattr(p, "iteration", 0) * p.batch_size if within else index
        return of_images[place] if place < len(of_images) else None

    return of_image


def request_for(values: Values, width: int, height: int) -> Request:
    """Returns the request of all images, but for prompt and seed."""
    size = {"width": min(max(int(width), 16), 16384), "height": min(max(int(height), 16), 16384)}
    return Request(
        "",
        values.panel.prose,
        replace(values.options, **size),
        comments="webui",
        keep=values.keep,
        drop=values.drop,
    )


def overridden(values: Values, overrides: Mapping[str, Any]) -> Values:
    """Returns what the panel says with the values that the axes of a grid put in their place."""
    panel = {name: value for name, value in overrides.items() if hasattr(values.panel, name)}
    options = {name: value for name, value in overrides.items() if name not in panel}
    return replace(values, panel=replace(values.panel, **panel), options=replace(values.options, **options))


def _is_inner(p: Any) -> bool:
    return any(getattr(p, mark, False) for mark in INNER)


def _image_seeds(p: Any, count: int) -> list[int]:
    """The seeds of images whose prompts are still to be set up."""
    first = p.seed[0] if isinstance(p.seed, list) else p.seed
    return [int(first) + k for k in range(count)]


def _all_seeds(p: Any) -> list[int]:
    """The seeds of all images; with variations of one seed the subseeds tell them apart."""
    if getattr(p, "subseed_strength", 0):
        return [int(seed) + int(sub) for seed, sub in zip(p.all_seeds, p.all_subseeds, strict=True)]
    return [int(seed) for seed in p.all_seeds]


def _expanded(
    p: Any, values: Values, prompts: list[str], images: list[int], expand: Expand, memory: Memory
) -> Done | None:
    """Expands prompts that are no expansions yet; None where nothing came of it."""
    panel = values.panel
    base = panel.seed if panel.seed != RANDOM else getattr(p, SEED, None)
    base = secrets.randbits(32) if base is None else base
    seeds = Seeding(base, linked=panel.seed_from == "image", same=panel.batch == "same").seeds(images)
    requests = requests_for(request_for(values, p.width, p.height), prompts, seeds)
    known = {prompt: memory.texts[prompt] for prompt in prompts if prompt in memory.texts}
    if known:
        tell(p, "the prompt is an expansion already and was not expanded again")
    made = _made(p, [request for request in requests if request.prompt not in known], expand)
    if made is None:
        return None
    after, pairs = [], []
    for request, image in zip(requests, images, strict=True):
        text, said = request.prompt, known.get(request.prompt)
        if said is None:
            text = next(made).prompt
            said = write(request.options, request.prompt, prose=request.prose, extras=values.extras())
            memory.add(request.prompt, text, said, image)
        after.append(text)
        pairs.append(said)
    return Done(tuple(after), merge(pairs))


def _made(p: Any, requests: Sequence[Request], expand: Expand) -> Iterator[Expansion] | None:
    """The expansions of requests; None where they were interrupted or cannot be made."""
    try:
        return iter(expand(requests) if requests else ())
    except Interrupted:
        return None
    except (ModelNotFound, ValueError, TypeError, OSError) as error:
        tell(p, f"the prompts were not expanded: {error}")
        return None


def _remembered(prompts: list[str], images: Sequence[int], memory: Memory) -> Done | None:
    """What an image that is to be enlarged was made with; None where this session did not make it."""
    found = [memory.images.get((prompt, int(seed))) for prompt, seed in zip(prompts, images, strict=False)]
    if not found or None in found:
        return None
    return Done(tuple(found), merge([memory.texts.get(text, {}) for text in found]))


def _rewrite(p: Any, before: list[str], after: list[str]) -> None:
    p.all_prompts = after
    p.main_prompt = after[0]
    hires = getattr(p, "all_hr_prompts", None)
    if getattr(p, "enable_hr", False) and hires:
        p.all_hr_prompts = follow(hires, before, after)


def tell(p: Any, text: str) -> None:
    """Says something under the picture, and in the log."""
    logging.getLogger("presample").warning(text)
    if hasattr(p, "comment"):
        p.comment(f"Presample: {text}")
