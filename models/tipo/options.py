"""Every option of prompt expansion, stated once (names, defaults, ranges, help)."""

from dataclasses import dataclass

from ..options import MAX_SEED, option
from ..prompt.document import FORMS, REGIONS
from ..prompt.presets import PRESETS
from ..published.tipo import TASKS
from .lengths import COMPATS, LIMITS

LENGTHS = ("none", *LIMITS)
BAN_MODES = ("tag", "substring")
VARIETIES = ("independent", "tree")
# "tags" goes on with tags alone; the others are named by what is given and what is written from it.
TASK_CHOICES = ("auto", "tags", *TASKS)


@dataclass(frozen=True)
class ExpandOptions:
    """How a prompt is expanded. The order of the fields is the order of widgets and only grows at the end."""

    model: str = option(
        "tipo-tiny", "Language model: a known name, or a file or folder found in the model folders."
    )
    seed: int = option(0, "Same prompt, options and seed give the same text.", low=0, high=MAX_SEED)
    tag_length: str = option(
        "long", "How many tags the prompt should have in the end; none adds no tags.", choices=LENGTHS
    )
    prose_length: str = option(
        "short", "How many sentences the prompt should have in the end; none adds no prose.", choices=LENGTHS
    )
    ban: str = option(
        "",
        "Never add these, one a line or comma: a tag, a * wildcard, a /regex/."
        " Your own text is never banned.",
        multiline=True,
    )
    protect: str = option(
        "",
        "Words that stay and that the model must not see, such as LoRA triggers; one a line or comma.",
        multiline=True,
    )
    layout: str = option(
        "verbatim",
        "Where additions go: a preset, or a template with placeholders such as <|prompt|> and <|tags|>.",
        multiline=True,
        presets=PRESETS,
    )
    width: int = option(
        1024, "Width of the image in pixels; tells the model the aspect ratio.", low=16, high=16384, step=8
    )
    height: int = option(
        1024, "Height of the image in pixels; tells the model the aspect ratio.", low=16, high=16384, step=8
    )
    form: str = option(
        "auto", "Read the prompt as tags, as prose, or decide for each part.", choices=FORMS, advanced=True
    )
    regions: str = option(
        "break",
        "What separates parts that are expanded on their own: BREAK and AND, also lines, or nothing.",
        choices=REGIONS,
        advanced=True,
    )
    rating: str = option(
        "",
        "Rating shown to the model when the prompt names none.",
        choices=("", "safe", "sensitive", "nsfw", "explicit"),
        advanced=True,
    )
    meta: str = option("absurdres", "Meta tags shown to the model when the prompt names none.", advanced=True)
    quality: str = option(
        "masterpiece", "Quality words shown to the model when the prompt names none.", advanced=True
    )
    temperature: float = option(
        0.5,
        "0 always takes the likeliest token; higher is more varied.",
        low=0.0,
        high=2.0,
        step=0.05,
        advanced=True,
    )
    top_k: int = option(
        80, "Only the k likeliest tokens; 0 turns it off.", low=0, high=1000, step=1, advanced=True
    )
    top_p: float = option(
        0.95,
        "Only the likeliest tokens that together have this probability.",
        low=0.0,
        high=1.0,
        step=0.01,
        advanced=True,
    )
    min_p: float = option(
        0.05,
        "Only tokens at least this fraction as likely as the likeliest.",
        low=0.0,
        high=1.0,
        step=0.01,
        advanced=True,
    )
    tag_repetition_penalty: float = option(
        1.0, "Penalty on repeated tokens while tags are written.", low=0.5, high=2.0, step=0.01, advanced=True
    )
    prose_repetition_penalty: float = option(
        1.1, "Penalty on repeated tokens while prose is written.", low=0.5, high=2.0, step=0.01, advanced=True
    )
    max_new_tokens: int = option(
        512, "Upper bound of tokens for one pass.", low=16, high=4096, step=1, advanced=True
    )
    avoid_conflicts: bool = option(
        True, "Leave out additions that contradict your counts and colours.", advanced=True
    )
    ban_mode: str = option(
        "tag",
        "tag: a pattern must match a whole tag; substring: also a part of one.",
        choices=BAN_MODES,
        advanced=True,
    )
    variety: str = option(
        "independent",
        "How N variations come about: each by itself, or as a tree whose tags share beginnings, with fewer"
        " tokens, no two alike, and others for another N.",
        choices=VARIETIES,
        advanced=True,
    )
    compat: str = option(
        "none",
        "Follow an older program's rules for passes, lengths and bans.",
        choices=COMPATS,
        advanced=True,
    )
    task: str = option(
        "auto",
        "auto runs the passes that prompt and lengths need; else only this task of the model.",
        choices=TASK_CHOICES,
        advanced=True,
    )


def seed_after(seed: int, steps: int) -> int:
    """Returns the seed that comes `steps` after another; after the last comes 0."""
    return (seed + steps) % (MAX_SEED + 1)


def variation_seed(options: ExpandOptions, number: int) -> int:
    """Returns the seed with which variation `number`, from 0, is made again; a tree is made as one."""
    return options.seed if options.variety == "tree" else seed_after(options.seed, number)
