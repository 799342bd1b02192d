"""A job of the host and its expansions: which prompts are rewritten, which are left, and what is noted of it.

Convention: `p` is the host's StableDiffusionProcessing. A job is one run of it, all its images; the host
wraps hooks, so whatever fails here leaves the prompts as they were.
"""

import logging
import re
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

SEED, DONE, DRAWN = "_presample_seed", "_presample_done", "_presample_drawn"
OVERRIDES = "_presample_overrides"  # what an axis of a grid puts in the place of the panel
# Marks of passes inside another job, whose prompts have been expanded already.
INNER = ("_ad_inner", "_sam3_inner")
REMEMBERED = 1024

Expand = Callable[[Sequence[Request]], Sequence[Expansion]]
Pairs = Mapping[str, str]


@dataclass(frozen=True)
class Done:
    """What was made of a job: of which requests, its prompts afterwards, and what its infotexts say."""

    requests: tuple[Request, ...]
    extras: Mapping[str, str]
    after: tuple[str, ...]
    pairs: Mapping[str, str | list[str | None]]


@dataclass(eq=False)
class Memory:
    """Expansions of this session: a text that is one already is not expanded again, nor a job made twice.

    `texts` has what the infotext says of each; `images` the expansion of a prompt for the seed of an image;
    `last` is the last job, which comes again for every cell of a grid and every tile of a picture.
    """

    texts: OrderedDict[str, Pairs] = field(default_factory=OrderedDict)
    images: OrderedDict[tuple[str, int], str] = field(default_factory=OrderedDict)
    last: Done | None = None

    def said(self, text: str) -> Pairs | None:
        """Returns what the infotext says of an expansion; None for a text that is none."""
        return self.texts.get(_bare(text))

    def before(self, text: str) -> str:
        """Returns what a text was before it was expanded, the text itself where it is no expansion."""
        record = read(self.said(text) or {})
        return record.prompt if record and record.prompt is not None else text

    def add(self, before: str, after: str, pairs: Pairs, images: Sequence[int] = ()) -> None:
        """Remembers an expansion, and for the seeds of which images it was made, unless it added nothing."""
        if before == after:
            return
        self.texts[_bare(after)] = pairs
        self.images.update({(before, image): after for image in images})
        for each in (self.texts, self.images):
            while len(each) > REMEMBERED:
                each.popitem(last=False)


def _bare(text: str) -> str:
    """Returns a text as it comes back from a picture: hosts drop comments and blanks around lines."""
    return " ".join(re.sub(r"#[^\n]*", " ", text).split())


def prepare(p: Any) -> None:
    """Draws the seed that the job has where the panel asks for any; the cells of a grid share it."""
    setattr(p, SEED, secrets.randbits(32))


def before(p: Any, values: Values, expand: Expand, memory: Memory) -> None:
    """Expands the prompt that wildcards and styles are still to find, where that is wanted."""
    forget(p)
    if not values.panel.enabled or values.panel.timing != "before" or _is_inner(p):
        return
    done, listed = getattr(p, DONE, None), isinstance(p.prompt, list)
    prompts = list(p.prompt) if listed else [p.prompt]
    if done and done.after == tuple(prompts):
        return
    done = _made(p, values, prompts, _early_seeds(p, values, len(prompts)), expand, memory)
    setattr(p, DONE, done)
    if done is None:
        return
    hires = getattr(p, "hr_prompt", None)
    if isinstance(hires, str) and not listed and hires == prompts[0]:
        p.hr_prompt = done.after[0]
    p.prompt = list(done.after) if listed else done.after[0]


def process(p: Any, values: Values, expand: Expand, memory: Memory) -> None:
    """Expands the prompts of all images, and says so in the infotexts."""
    forget(p)
    if not values.panel.enabled or _is_inner(p):
        return
    done, prompts = getattr(p, DONE, None), list(p.all_prompts)
    if values.panel.timing == "after" and not (done and done.after == tuple(prompts)):
        done = _made(p, values, prompts, _seeds(p), expand, memory)
        setattr(p, DONE, done)
        if done:
            _rewrite(p, prompts, list(done.after))
    if done:
        _remember(done, _seeds(p), memory)
        p.extra_generation_params.update(noted(p, done.pairs))


def note_hires(p: Any) -> None:
    """Lets the infotexts of expanded images name their own hires prompts.

    Hosts look them up by an image's place in its batch, and so name those of the first batch in all others.
    """
    if getattr(p, DONE, None) and callable(p.extra_generation_params.get("Hires prompt")):
        pairs = zip(p.all_hr_prompts, p.all_prompts, strict=True)
        own = [hires if hires != prompt else None for hires, prompt in pairs]
        p.extra_generation_params["Hires prompt"] = _each(p, own)


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


def _is_inner(p: Any) -> bool:
    return any(getattr(p, mark, False) for mark in INNER)


def _seeds(p: Any) -> list[int]:
    """The seeds of all images; with variations of one seed the subseeds tell them apart."""
    if getattr(p, "subseed_strength", 0):
        return [int(seed) + int(sub) for seed, sub in zip(p.all_seeds, p.all_subseeds, strict=True)]
    return [int(seed) for seed in p.all_seeds]


def _early_seeds(p: Any, values: Values, count: int) -> list[int]:
    """The seeds of images whose seeds the host has yet to draw: here where expansions have them too."""
    names = ("seed", "subseed") if getattr(p, "subseed_strength", 0) else ("seed",)
    if values.panel.seed_from == "image":
        for name in names:
            _draw(p, name)
    lists = [_counted(getattr(p, name), count, still=name == "seed" and len(names) == 2) for name in names]
    return [sum(seeds) for seeds in zip(*lists, strict=True)]


def _draw(p: Any, name: str) -> None:
    """Draws a seed where the host would; another one where the host runs the same job once more."""
    value, drawn = getattr(p, name), getattr(p, DRAWN, {})
    if not isinstance(value, list) and (_number(value) == RANDOM or value == drawn.get(name)):
        setattr(p, name, secrets.randbelow(2**32 - 2))
        setattr(p, DRAWN, {**drawn, name: getattr(p, name)})


def _counted(value: Any, count: int, *, still: bool) -> list[int]:
    if isinstance(value, list):
        return [int(seed) for seed in value[:count]]
    return [_number(value) + (0 if still else k) for k in range(count)]


def _number(value: Any) -> int:
    """A seed as hosts read it: what is no number asks for any."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return RANDOM


def _made(
    p: Any, values: Values, prompts: list[str], images: list[int], expand: Expand, memory: Memory
) -> Done | None:
    """What a job's prompts become; None where they stay as they are."""
    if getattr(p, "txt2img_upscale", False):
        return _found(p, values, prompts, images, memory)
    panel = values.panel
    base = panel.seed if panel.seed != RANDOM else getattr(p, SEED, None)
    base = secrets.randbits(32) if base is None else base
    seeds = Seeding(base, linked=panel.seed_from == "image", same=panel.batch == "same").seeds(images)
    requests = requests_for(request_for(values, p.width, p.height), prompts, seeds)
    last = memory.last
    if last and (last.requests, last.extras) == (tuple(requests), values.extras()):
        return last
    made = _expanded(p, values, requests, expand, memory)
    memory.last = made or last
    return made


def _expanded(
    p: Any, values: Values, requests: Sequence[Request], expand: Expand, memory: Memory
) -> Done | None:
    """Expands prompts that are no expansions yet; None where nothing came of it."""
    known = [memory.said(request.prompt) for request in requests]
    if any(known):
        tell(p, "the prompt is an expansion already and was not expanded again")
    try:
        made = _texts(expand, [request for request, said in zip(requests, known, strict=True) if not said])
    except Interrupted:
        tell(p, "stopped; the prompts were not expanded")
        return None
    except (ModelNotFound, ValueError, TypeError, OSError) as error:
        tell(p, f"the prompts were not expanded: {error}")
        return None
    after, pairs = [], []
    for request, said in zip(requests, known, strict=True):
        after.append(request.prompt if said else next(made))
        options, prose = request.options, request.prose
        pairs.append(said or write(options, request.prompt, prose=prose, extras=values.extras()))
    return Done(tuple(requests), values.extras(), tuple(after), merge(pairs))


def _texts(expand: Expand, requests: Sequence[Request]) -> Iterator[str]:
    return iter([expansion.prompt for expansion in expand(requests)] if requests else ())


def _found(p: Any, values: Values, prompts: list[str], images: list[int], memory: Memory) -> Done | None:
    """What an image that is to be enlarged was made with; None where this session did not make it."""
    after = [memory.images.get(pair) for pair in zip(prompts, images, strict=True)]
    if None in after:
        tell(p, "the prompt was not expanded: it is not known what this picture was made with")
        return None
    requests = requests_for(request_for(values, p.width, p.height), prompts, [0] * len(prompts))
    pairs = merge([memory.said(text) or {} for text in after])
    return Done(tuple(requests), values.extras(), tuple(after), pairs)


def _remember(done: Done, images: Sequence[int], memory: Memory) -> None:
    """Remembers the expansions of a job, each for its images: one for all where it was made before them."""
    each = len(done.after) == len(images)
    for place, (request, after) in enumerate(zip(done.requests, done.after, strict=True)):
        said = {name: v[place] if isinstance(v, list) else v for name, v in done.pairs.items()}
        said = {name: value for name, value in said.items() if value is not None}
        memory.add(request.prompt, after, said, images[place : place + 1] if each else images)


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
