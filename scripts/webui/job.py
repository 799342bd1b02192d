"""A job of the host and its expansions: which prompts are rewritten, which are left, and what is noted of it.

Convention: `p` is the host's StableDiffusionProcessing. A job is one run of it, all its images; the host
wraps hooks, so whatever fails here leaves the prompts as they were.
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...models.hub import ModelNotFound
from ...models.interrupt import Interrupted
from ...models.options import describe
from ...models.tipo.expansion import Expansion, Request
from ...models.tipo.infotext import is_ours, merge, write
from ...models.tipo.jobs import Seeding, follow, requests_for
from ...models.tipo.options import ExpandOptions
from .couple import lines_are_regions
from .memory import SHARE_IN_PICTURES, Done, Memory, Pairs, has_comments
from .values import RANDOM, Values

SEED, DONE, DRAWN = "_presample_seed", "_presample_done", "_presample_drawn"
OVERRIDES = "_presample_overrides"  # what an axis of a grid puts in the place of the panel

Expand = Callable[[Sequence[Request]], Sequence[Expansion]]


def prepare(p: Any) -> None:
    """Draws the seed that the job has where the panel asks for any; the cells of a grid share it.

    A script that runs it several times with any seeds for its images gets others for the expansions, too.
    """
    setattr(p, SEED, secrets.randbits(32))


def complete(p: Any, memory: Memory) -> None:
    """Takes the whole text for a part of it, where the job was begun while the prompt box was written into.

    The host's queue has it wait for that end; a text that was stopped is the one from before.
    """
    whole = memory.previews.get(p.prompt) if isinstance(p.prompt, str) else None
    if whole is None:
        return
    if getattr(p, "hr_prompt", None) == p.prompt:
        p.hr_prompt = whole
    p.prompt = whole
    tell(p, "the prompt was still being written; the picture is made with the text as it is now")


def before(p: Any, values: Values, expand: Expand, memory: Memory) -> None:
    """Expands the prompt that wildcards and styles are still to find, where that is wanted."""
    forget(p)
    if not isinstance(p.seed, list) and _number(p.seed) == RANDOM:
        prepare(p)
    if not values.panel.enabled or values.panel.timing != "before":
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
    if not values.panel.enabled:
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


def note_pictures(p: Any, infotexts: Sequence[str], memory: Memory) -> None:
    """Remembers the expansions of a job for the page that shows its pictures; others may show theirs."""
    done = getattr(p, DONE, None)
    if done and any(done.made):
        memory.add_pictures(infotexts, [expansion for expansion in done.made if expansion])


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

    return _Asked(of_image, of_images[0] or "")


class _Asked(str):
    """What hosts ask image by image. It is the first image's text as well: Classic writes all pairs as JSON,
    which has no functions."""

    def __new__(cls, of_image: Callable[..., str | None], first: str) -> "_Asked":
        made = super().__new__(cls, first)
        made.of_image = of_image
        return made

    def __call__(self, **image: Any) -> str | None:
        return self.of_image(**image)


def request_for(values: Values, width: int, height: int, p: Any = None) -> Request:
    """Returns the request of all images, but for prompt and seed; tells where the size must be another."""
    asked = {"width": int(width), "height": int(height)}
    facts = [fact for fact in describe(ExpandOptions) if fact.name in asked]
    size = {fact.name: min(max(asked[fact.name], fact.low), fact.high) for fact in facts}
    for fact in facts:
        if size[fact.name] != asked[fact.name]:
            bounds = f"{fact.name} must lie in {fact.low} to {fact.high}, got {asked[fact.name]}"
            tell(p, f"the prompts were expanded as for another size: {bounds}")
    options = replace(values.options, **size)
    if options.regions == "break" and lines_are_regions(p):
        options = replace(options, regions="lines")
    return Request(
        "",
        values.panel.prose,
        options,
        comments="webui" if has_comments() else "none",
        keep=values.keep,
        drop=values.drop,
    )


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
    same = panel.batch == "same" or len(set(images)) == 1
    seeds = _of_videos(p, Seeding(base, linked=panel.seed_from == "image", same=same).seeds(images))
    requests = requests_for(request_for(values, p.width, p.height, p), prompts, seeds)
    last = memory.last
    if last and (last.requests, last.extras) == (tuple(requests), values.extras()):
        return last
    made = _expanded(p, values, requests, expand, memory)
    if made and any(made.made):
        memory.last = made
    return made


def _of_videos(p: Any, seeds: list[int]) -> list[int]:
    """The seeds of expansions; all pictures of a video, which is a batch in Neo, have that of its first."""
    from modules import shared

    if len(seeds) == 1 or not getattr(shared.sd_model, "is_wan", False):
        return seeds
    return [seeds[k - k % p.batch_size] for k in range(len(seeds))]


def _expanded(
    p: Any, values: Values, requests: Sequence[Request], expand: Expand, memory: Memory
) -> Done | None:
    """Expands prompts that are no expansions yet; None where nothing came of it."""
    known = _known(p, requests, memory)
    try:
        new = [request for request in requests if request.prompt not in known]
        made = iter(expand(new) if new else ())
    except Interrupted:
        tell(p, "stopped; the prompts were not expanded")
        return None
    except (ModelNotFound, ValueError, TypeError, OSError) as error:
        tell(p, f"the prompts were not expanded: {error}")
        return None
    every = tuple(None if request.prompt in known else next(made) for request in requests)
    after, pairs = [], []
    for request, expansion in zip(requests, every, strict=True):
        after.append(expansion.prompt if expansion else request.prompt)
        said = write(request.options, request.prompt, prose=request.prose, extras=values.extras())
        pairs.append(said if expansion else known[request.prompt])
    return Done(tuple(requests), values.extras(), tuple(after), merge(pairs), every)


def _known(p: Any, requests: Sequence[Request], memory: Memory) -> dict[str, Pairs]:
    """Returns the prompts that are expansions already, with what their infotexts say; tells of it.

    One that was changed since is a text of its own by now, and its infotext says nothing of an expansion.
    """
    found: dict[str, Pairs] = {}
    for prompt, request in {request.prompt: request for request in requests}.items():
        said = memory.said(prompt)
        if said is not None:
            found[prompt] = said
            tell(p, "the prompt is an expansion already and was not expanded again")
        elif memory.holds(request):
            found[prompt] = {}
            tell(p, "the prompt holds an expansion already and was not expanded; Generate prompt does it")
    return found


def _found(p: Any, values: Values, prompts: list[str], images: list[int], memory: Memory) -> Done | None:
    """What an image that is to be enlarged was made with; None where this session did not make it."""
    infotext = _infotext(getattr(p, "firstpass_image", None))
    after = [memory.of_image(prompt, image, infotext) for prompt, image in zip(prompts, images, strict=True)]
    if None in after:
        tell(p, "the prompt was not expanded: it is not known what this picture was made with")
        return None
    requests = requests_for(request_for(values, p.width, p.height), prompts, [0] * len(prompts))
    pairs = merge([memory.said(text) or {} for text in after])
    return Done(tuple(requests), values.extras(), tuple(after), pairs, (None,) * len(after))


def _infotext(picture: Any) -> str:
    """Returns what the host has written into a picture's file, if anything."""
    if picture is None:
        return ""
    from modules.images import read_info_from_image

    return read_info_from_image(picture)[0] or ""


def _remember(done: Done, images: Sequence[int], memory: Memory) -> None:
    """Remembers the expansions of a job, each for its images: one for all where it was made before them."""
    each = len(done.after) == len(images)
    for made in filter(None, done.made):
        memory.add_words(made, SHARE_IN_PICTURES)
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
