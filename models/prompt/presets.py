"""Layouts with names, and what families of checkpoints expect of a prompt.

A layout's template is text with placeholders: see `layout.fill`. Sources of the families' words and orders
are the public model cards named beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layout:
    """Where a region's own text and its additions go.

    `words` are fixed words of a category, written where the prompt has them not yet; they take the place of
    what a model adds in that category. `ratings` translates added rating tags.
    """

    name: str
    title: str
    template: str
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ratings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """Checkpoints that were trained on one way of writing prompts.

    `order` is the order of the categories (and of `prose`), `words` the ones its makers put into every
    prompt, `ratings` its words for TIPO's ratings, `separator` what stands between categories and `source`
    where that is said.
    """

    name: str
    title: str
    order: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    ratings: Mapping[str, str]
    source: str
    separator: str = ", "

    def layout(self) -> Layout:
        """Returns the layout that writes prompts for this family."""
        slots = (f"<|{'extended' if name == 'prose' else name}|>" for name in self.order)
        return Layout(self.name, self.title, self.separator.join(slots), self.words, self.ratings)


_RATINGS = {"general": "safe", "sfw": "safe"}

_SUBJECT = ("special", "characters", "copyrights")


def _families() -> tuple[Family, ...]:
    return (
        Family(
            "pony",
            "Pony Diffusion V6 XL",
            order=("quality", "rating", *_SUBJECT, "general", "artist", "meta", "prose"),
            # "score_9, score_8_up, ..., score_4_up, just describe what you want, tag1, tag2" and no other
            # quality words.
            words={"quality": ("score_9", *(f"score_{n}_up" for n in (8, 7, 6, 5, 4)))},
            ratings={
                "general": "rating_safe",
                "safe": "rating_safe",
                "sfw": "rating_safe",
                "sensitive": "rating_safe",
                "nsfw": "rating_questionable",
                "explicit": "rating_explicit",
            },
            source="https://civitai.com/models/257749",
        ),
        Family(
            "illustrious",
            "Illustrious XL and its merges",
            order=("quality", *_SUBJECT, "artist", "general", "meta", "rating", "prose"),
            # The base card names quality words up to "masterpiece"; its most used merge
            # (civitai.com/models/827184) adds "amazing quality"; the last two are practice among its users.
            words={
                "quality": ("masterpiece", "best quality", "amazing quality", "very aesthetic", "newest"),
            },
            ratings={"safe": "general", "sfw": "general"},
            source="https://huggingface.co/OnomaAIResearch/Illustrious-xl-early-release-v0",
        ),
        Family(
            "noobai",
            "NoobAI XL",
            # Prefix "masterpiece, best quality, newest, absurdres, highres, safe"; caption order
            # "<1girl/...>, <character>, <series>, <artists>, <special tags>, <general tags>, <other tags>".
            order=("quality", "meta", "rating", *_SUBJECT, "artist", "general", "prose"),
            words={"quality": ("masterpiece", "best quality", "newest"), "meta": ("absurdres", "highres")},
            ratings=_RATINGS,
            source="https://huggingface.co/Laxhar/noobai-XL-1.0",
        ),
        Family(
            "animagine",
            "Animagine XL 4",
            # "1girl/1boy/1other, character name, from which series, rating, everything else in any order and
            # end with quality enhancement"; the example: "masterpiece, high score, great score, absurdres".
            order=(*_SUBJECT, "rating", "artist", "general", "prose", "quality", "meta"),
            words={"quality": ("masterpiece", "high score", "great score"), "meta": ("absurdres",)},
            ratings=_RATINGS,
            source="https://huggingface.co/cagliostrolab/animagine-xl-4.0",
        ),
        Family(
            "sdxl",
            "SDXL base and photographic SDXL",
            # Captions in plain English, no quality words of its own.
            order=("prose", *_SUBJECT, "artist", "general"),
            words={},
            ratings={},
            source="https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0",
        ),
        Family(
            "flux",
            "Flux and other models that read sentences",
            # "Structured descriptions beat keyword lists"; "works best when your prompt reads like a clear
            # description". Only your own tags stay, before the prose.
            order=("prose",),
            words={},
            ratings={},
            source="https://docs.bfl.ml/guides/prompting_guide_t2i_fundamentals",
        ),
    )


_TAGS_ABOVE = "<|special|>, <|characters|>, <|copyrights|>,\n<|artist|>,\n\n"
_TAGS_BELOW = "\n\n<|quality|>, <|meta|>, <|rating|>"


def _layouts() -> tuple[Layout, ...]:
    return (
        Layout("verbatim", "Your text as it is, additions after it", "<|prompt|>, <|tags|>\n<|prose|>"),
        Layout("additions_first", "Additions first, then your text", "<|prose|>\n<|tags|>, <|prompt|>"),
        Layout(
            "tags_then_prose",
            "Sorted tags, then prose",
            _TAGS_ABOVE + "<|general|>,\n\n<|extended|>." + _TAGS_BELOW,
        ),
        Layout(
            "prose_then_tags",
            "Prose among sorted tags, before the general ones",
            _TAGS_ABOVE + "<|extended|>.\n\n<|general|>," + _TAGS_BELOW,
        ),
        Layout("tags", "Sorted tags only", _TAGS_ABOVE + "<|general|>," + _TAGS_BELOW),
        Layout("prose", "Prose only", "<|extended|>."),
        Layout(
            "tags_prose_generated",
            "Sorted tags, prose and a fresh caption",
            _TAGS_ABOVE + "<|generated|>.\n\n<|general|>,\n\n<|extended|>." + _TAGS_BELOW,
        ),
        *(family.layout() for family in FAMILIES.values()),
    )


FAMILIES: Mapping[str, Family] = {family.name: family for family in _families()}
"""Families of checkpoints by name."""

PRESETS: Mapping[str, Layout] = {layout.name: layout for layout in _layouts()}
"""Layouts by name; the first is the default."""
