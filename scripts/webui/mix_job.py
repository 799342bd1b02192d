"""A mix in one job of the host: its conditioning, step by step, and nothing that outlives the job.

Convention: `p` is the host's StableDiffusionProcessing, which computes all conditioning through its own
`get_conds_with_caching`: of prompts and negative prompts, of both passes, of another checkpoint. This and
what its cache is keyed by are replaced on this one `p`. A call is one evaluation of the denoiser: samplers of
second order have two in a step.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from typing import Any

from ...models.textcraftor.mix import first_step, mix, shares, spans
from ...models.textcraftor.options import MixOptions
from . import mix_engines
from .job import tell
from .mix_engines import Engine, Tensors, Weighted

HOOKS = ("get_conds_with_caching", "cached_params")
MARK = "_presample_mix"
Plan = tuple[tuple[int, float], ...]  # until which call, how much of the mix
Fitting = tuple[Engine, list[Tensors | None]]
FOREVER = 1 << 30  # hosts go back to the first entry of a schedule behind its end


@dataclass(frozen=True)
class Mixture:
    """What is mixed: files, each with its weight, and how, when and how much."""

    files: tuple[Any, ...]
    weights: tuple[float, ...]
    options: MixOptions

    def shares(self, w: float) -> tuple[float, ...]:
        """Returns the weight of the model's own encoder and that of each file, where the mix has `w`."""
        return shares(self.weights, w=w, weighting=self.options.weighting)

    def key(self, plan: Plan) -> tuple:
        """Returns what a cache has to tell conditioning by."""
        files = tuple(file.key for file in self.files)
        return (MARK, files, *((until, self.shares(w)) for until, w in plan))


def remove(p: Any) -> None:
    """Takes a mix off a job; cells of a grid are copies of each other, with what was put on them."""
    for name in HOOKS:
        if hasattr(vars(p).get(name), MARK):
            delattr(p, name)


def install(p: Any, mixture: Mixture, pairs: Mapping[str, str]) -> None:
    """Has a job compute its conditioning with a mix, of which `pairs` are what its infotexts say.

    A model that the mix does not fit is left as it is, and told under the picture.
    """
    remove(p)
    conds, params = p.get_conds_with_caching, p.cached_params
    asked: list[tuple] = []  # what the cache is keyed by, while something mixed is asked for

    def cached_params(*args: Any, **named: Any) -> tuple:
        return (*params(*args, **named), *asked)

    def get_conds_with_caching(function, prompts, steps, caches, *rest: Any, **named: Any) -> Any:
        hires = named.get("hires_steps", rest[1] if len(rest) > 1 else None)
        plan = _plan(p, mixture.options, steps, hires, negative=getattr(prompts, "is_negative_prompt", False))
        fitting = _tried(p, mixture, pairs)
        if not fitting or not any(w for _, w in plan):
            return conds(function, prompts, steps, caches, *rest, **named)
        asked.append(mixture.key(plan))
        try:
            mixed = _mixed(function, mixture, fitting, plan)
            return conds(mixed, prompts, steps, caches, *rest, **named)
        finally:
            asked.clear()

    for name, hook in zip(HOOKS, (get_conds_with_caching, cached_params), strict=True):
        setattr(hook, MARK, True)
        setattr(p, name, hook)


def _plan(p: Any, options: MixOptions, steps: int, hires: int | None, *, negative: bool) -> Plan:
    """Returns how much of the mix each call of a pass has: until which call, how much."""
    calls = hires or steps
    whole, skipped = _calls(p, calls, hires=bool(hires))
    plan: list[tuple[int, float]] = []
    for span in spans(options, negative=negative):
        until = calls if span.end >= 1 else min(calls, first_step(whole, span.end) - skipped)
        if until > (plan[-1][0] if plan else 0):
            plan.append((until, span.w))
    return tuple(plan)


def _tried(p: Any, mixture: Mixture, pairs: Mapping[str, str]) -> list[Fitting]:
    """Returns the engines of the model and the tensors of each file for them, and says what does not fit.

    None for a file that has nothing for an engine: there, the model's own encoder stands for it. Nothing
    where there is nothing to mix.
    """
    from modules import shared

    there = mix_engines.engines(shared.sd_model)
    try:
        parts = [file.fitting(there) for file in mixture.files]
    except (ValueError, OSError) as error:
        tell(p, f"the encoders were not mixed: {error}")
        return []
    p.extra_generation_params.update(pairs)
    return [(engine, parts) for engine, *parts in zip(there, *parts, strict=True)]


def _calls(p: Any, calls: int, *, hires: bool) -> tuple[int, int]:
    """Returns the calls of a whole schedule, and how many of them this pass leaves out at its beginning.

    img2img and hires passes begin in the middle of a schedule, as far as the denoising strength says: in a
    longer one, where the steps that were asked for are all to be made.
    """
    from modules.shared import opts

    strength = min(getattr(p, "denoising_strength", None) or 0, 0.999)
    if not strength or not (hires or hasattr(p, "init_images")):
        return calls, 0
    each = max(1, getattr(p, "step_multiplier", 1) or 1)
    if hires or getattr(opts, "img2img_fix_steps", False):
        whole = each * int(calls // each / strength)
        return whole, whole - calls
    return calls, max(0, calls - each * (int(strength * (calls // each)) + 1))


def _mixed(function: Callable, mixture: Mixture, fitting: Sequence[Fitting], plan: Plan) -> Callable:
    """Returns what computes conditioning as `function` does, and each call's as the plan has it."""

    def conditioning(*args: Any, **named: Any) -> Any:
        made: dict[float, Any] = {}
        answers = [mix_engines.Answers(engine) for engine, _ in fitting]
        for w in dict.fromkeys(w for _, w in plan):
            notes = [mix_engines.said_by(engine.host) for engine, _ in fitting]
            noted = [(said, dict(said)) for said in notes]
            with ExitStack() as stack:
                for each, (_, parts) in zip(answers, fitting, strict=True):
                    encoders = _weighted(mixture.shares(w), parts)
                    stack.enter_context(mix_engines.mixing(each, encoders, mix))
                made[w] = function(*args, **named)
            for said, before in noted if len(made) > 1 else ():
                said.clear()
                said.update(before)
        return joined([(until, made[w]) for until, w in plan])

    return conditioning


def _weighted(weights: Sequence[float], parts: Sequence[Tensors | None]) -> list[Weighted]:
    """Returns the encoders of an engine with their weights; the model's own has a file's that has no part."""
    if not any(parts):
        return [(1.0, None)]  # not the sum of the weights, which need not be 1
    every = list(zip(weights[1:], parts, strict=True))
    own = weights[0] + sum(weight for weight, part in every if part is None)
    others = [(weight, part) for weight, part in every if weight and part is not None]
    return [*([(own, None)] if own else []), *others]


def joined(pieces: Sequence[tuple[int, Any]]) -> Any:
    """Returns conditioning whose first piece holds in the calls before its number, and so on.

    It is of the host's kind: a list of schedules, one for each prompt, or an object whose `batch` has a list
    of weighted schedules for each, one for each part between ANDs.
    """
    last, every = pieces[-1][1], [made for _, made in pieces]
    if len(pieces) == 1:
        return last
    until = [number for number, _ in pieces]
    if not hasattr(last, "batch"):
        return [_schedule(until, each) for each in zip(*every, strict=True)]
    result = copy(last)
    result.batch = [
        [_part(until, parts) for parts in zip(*prompts, strict=True)]
        for prompts in zip(*(made.batch for made in every), strict=True)
    ]
    return result


def _part(until: Sequence[int], parts: Sequence[Any]) -> Any:
    result = copy(parts[-1])
    result.schedules = _schedule(until, [part.schedules for part in parts])
    return result


def _schedule(until: Sequence[int], schedules: Sequence[Sequence]) -> list:
    """An entry of a schedule holds up to and with its `end_at_step`, counted from 0."""
    entries, first = [], 0
    for number, schedule in zip(until, schedules, strict=True):
        for entry in schedule:
            if entry.end_at_step >= first or entry is schedule[-1]:
                entries.append(entry._replace(end_at_step=min(max(entry.end_at_step, first), number - 1)))
            if entry.end_at_step >= number - 1:
                break
        first = number
    return [*entries[:-1], entries[-1]._replace(end_at_step=FOREVER)]
