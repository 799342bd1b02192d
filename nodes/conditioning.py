"""CONDITIONING made by several encoders, mixed; and spread over the steps of sampling.

Convention: CONDITIONING is a list of [cond (b, m, d), facts]; `facts["pooled_output"]` is (b, e) or None.
Steps are said to ComfyUI as shares of the way that noise takes: with a scheduler that takes even steps those
are shares of the steps.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..models.textcraftor.mix import States, mix_states, shares, spans
from ..models.textcraftor.options import MixOptions

POOLED = "pooled_output"
FIRST, LAST = "clip_start_percent", "clip_end_percent"  # of an encoder's schedule, beside a user's range
# A boundary lies so much before the step that it means: where both parts met it, both would lead that step.
BEFORE = 1e-4

# What people call a CLIP that reads tokens under these names.
KINDS = {
    ("l",): "the CLIP-L of Stable Diffusion 1.x",
    ("h",): "the CLIP-H of Stable Diffusion 2.x",
    ("g",): "the CLIP-G of SDXL's refiner",
    ("g", "l"): "the CLIP of SDXL",
    ("g", "l", "t5xxl"): "the CLIP of Stable Diffusion 3",
    ("l", "t5xxl"): "the CLIP of Flux",
    ("tiny_clip",): "the CLIP of Load Tiny World",
    ("t5xxl",): "T5, no CLIP",
}

Conditioning = list[list]


def reads(clip: Any) -> tuple[str, ...]:
    """Returns the names under which a CLIP reads tokens, in alphabetical order."""
    return tuple(sorted(clip.tokenize("")))


def kind(clip: Any) -> str:
    """Returns what people call a CLIP."""
    names = reads(clip)
    return KINDS.get(names, f"an encoder of {' and '.join(names)}")


def check_alike(clips: Sequence[Any]) -> None:
    """Raises ValueError, naming the two, for CLIPs that do not read the same tokens."""
    for number, clip in enumerate(clips[1:], 2):
        if reads(clip) != reads(clips[0]):
            raise ValueError(
                f"encoders that are mixed must be of one kind: the first is {kind(clips[0])}, number"
                f" {number} is {kind(clip)}; connect encoders of one image model"
            )


def mix_conditioning(lists: Sequence[Conditioning], weights: Sequence[float]) -> Conditioning:
    """Returns the mix of what encoders made of the same text; all else is as the first one says it.

    Raises:
        ValueError: they made different numbers of parts, or states of different shapes.
    """
    numbers = {len(each) for each in lists}
    if len(numbers) > 1:
        raise ValueError(
            f"encoders that are mixed must have one schedule, got {sorted(numbers)} parts; set hooks behind"
            " the mix"
        )
    return [_mixed(entries, weights) for entries in zip(*lists, strict=True)]


def _mixed(entries: Sequence[Sequence], weights: Sequence[float]) -> list:
    facts = dict(entries[0][1])
    states = mix_states([States(cond, said.get(POOLED)) for cond, said in entries], weights)
    if facts.get(POOLED) is not None:
        facts[POOLED] = states.pooled
    return [states.hidden, facts]


def mix_asked(
    clips: Sequence[Any], weights: Sequence[float], ask: Callable[[Any], Conditioning]
) -> Conditioning:
    """Returns the mix of what `ask` gets of each CLIP; those of weight 0 are not asked."""
    used = [(clip, weight) for clip, weight in zip(clips, weights, strict=True) if weight]
    return mix_conditioning([ask(clip) for clip, _ in used], [weight for _, weight in used])


class Interpolation:
    """A text between two CLIPs; each encodes it once at most, whatever is asked for then."""

    def __init__(self, original: Any, tuned: Any, text: str):
        """Raises ValueError for CLIPs of different kinds."""
        check_alike([original, tuned])
        self.clips, self.tokens = (original, tuned), original.tokenize(text)
        self._known: dict[int, Conditioning] = {}

    def conditioning(self, options: MixOptions, *, negative: bool = False) -> Conditioning:
        """Returns the text with the w of the options, in the steps that they say."""
        parts = spans(options, negative=negative)
        if len(parts) == 1:
            return self._at(parts[0].w)
        return [
            [cond, told]
            for part in parts
            for cond, facts in self._at(part.w)
            if (told := during(facts, part.start, part.end))
        ]

    def _at(self, w: float) -> Conditioning:
        return mix_asked(self.clips, shares([1.0], w=w), self._encoded)

    def _encoded(self, clip: Any) -> Conditioning:
        if id(clip) not in self._known:
            self._known[id(clip)] = clip.encode_from_tokens_scheduled(self.tokens)
        return self._known[id(clip)]


def during(facts: Mapping[str, Any], start: float, end: float) -> dict[str, Any] | None:
    """Returns the facts of a condition that counts from a share of the steps to another, and there only as
    its encoder's own schedule says; None where it never does. A range of other nodes narrows it further."""
    first, last = start - BEFORE if start > 0 else 0.0, end - BEFORE if end < 1 else 1.0
    first, last = max(first, facts.get(FIRST, 0.0)), min(last, facts.get(LAST, 1.0))
    return {**facts, FIRST: first, LAST: last} if first < last else None
