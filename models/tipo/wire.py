"""The text TIPO was trained on: a request becomes text, and the model's text becomes fields again.

    quality: masterpiece                        metadata lines, any order, only those with a value
    target: <|long|> <|short_to_tag|>           length and task
    short: A girl stands.                       content fields, in the order the task's name gives
    tag: 1girl, solo                            the model goes on here

A line that begins with one of the keys below opens a field, every other line belongs to the open one. BOS
and EOS are token ids, never text. Source: the training code of TIPO v1 and v2, and tipo-kgen 0.3.1, whose
requests these are (tests/tipo/test_kgen_parity.py lists every difference).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .lengths import LIMITS
from .tag_words import CATEGORIES
from .tags import is_special

# Metadata categories, in KGen's order.
METADATA = ("meta", "rating", "artist", "characters", "copyrights", "quality")
ASPECT_RATIO = "aspect ratio"
CONTENT = ("tag", "short", "long")

LENGTH_TOKENS = {name: f"<|{name}|>" for name in LIMITS}
EMPTY, GEN_META = "<|empty|>", "<|gen_meta|>"


@dataclass(frozen=True)
class Task:
    """What the model is asked for: the first field is given, the others are written, in this order."""

    name: str | None
    fields: tuple[str, ...]
    sized: bool = True  # whether training put a length before it

    @property
    def token(self) -> str:
        return f"<|{self.name}|>" if self.name else ""

    @property
    def prose_field(self) -> str:
        """The field that holds the user's prose."""
        return "short" if "short" in self.fields else "long"


# In the order of their tokens in the vocabulary; no task at all means tags only and has no token.
TASKS: Mapping[str | None, Task] = {
    None: Task(None, ("tag",)),
    "tag_to_long": Task("tag_to_long", ("tag", "long")),
    "long_to_tag": Task("long_to_tag", ("long", "tag")),
    "short_to_tag": Task("short_to_tag", ("short", "tag")),
    "short_to_long": Task("short_to_long", ("short", "long"), sized=False),
    "tag_to_short_to_long": Task("tag_to_short_to_long", ("tag", "short", "long")),
    "short_to_tag_to_long": Task("short_to_tag_to_long", ("short", "tag", "long")),
    "short_to_long_to_tag": Task("short_to_long_to_tag", ("short", "long", "tag")),
}

# Every special token but BOS and EOS, in the order of the vocabulary.
SPECIAL_TOKENS = (EMPTY, *LENGTH_TOKENS.values(), *(t.token for t in TASKS.values() if t.name), GEN_META)

_KEYS = (*METADATA, ASPECT_RATIO, "aspect_ratio", "target", *CONTENT, "general", "special")
_OPENS = re.compile(rf"({'|'.join(_KEYS)}):(.*)", re.DOTALL)


@dataclass(frozen=True)
class Fields:
    """What a request or an answer says, in a form that survives the text: `parse(render(x)) == x`.

    `tags` has only categories with a tag, and a word with commas in it counts as several. Prose has no outer
    blanks, and a line of it that would open another field is joined to the line before.
    """

    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    short: str = ""
    long: str = ""
    aspect_ratio: str = ""

    def __post_init__(self):
        unknown = set(self.tags) - set(CATEGORIES)
        if unknown:
            raise ValueError(
                f"categories must be among {', '.join(CATEGORIES)}; got {', '.join(sorted(unknown))}"
            )
        tags = {c: tuple(_split(",".join(self.tags[c]))) for c in CATEGORIES if c in self.tags}
        object.__setattr__(self, "tags", {c: words for c, words in tags.items() if words})
        object.__setattr__(self, "short", _prose(self.short))
        object.__setattr__(self, "long", _prose(self.long))
        object.__setattr__(self, "aspect_ratio", " ".join(self.aspect_ratio.split()))

    @property
    def content_tags(self) -> tuple[str, ...]:
        """The tags of the `tag:` line: counts of people, then the general ones."""
        return self.tags.get("special", ()) + self.tags.get("general", ())


def aspect_ratio(width: int, height: int) -> str:
    """Returns the ratio of two sizes in pixels as training spells it: one decimal."""
    return f"{width / height:.1f}"


def find_task(name: str | None) -> Task:
    """Returns the task of a name. Raises ValueError for one that no TIPO model was trained on."""
    if name not in TASKS:
        known = ", ".join(t for t in TASKS if t)
        raise ValueError(
            f"a task must be one TIPO was trained on ({known}) or None for tags only, got {name!r}"
        )
    return TASKS[name]


def target(task: str | None, length: str, *, gen_meta: bool = False) -> str:
    """Returns the `target:` line; `length` may be "none". ValueError for an unknown task or length."""
    found = find_task(task)
    if length not in LENGTH_TOKENS and length not in ("", "none"):
        raise ValueError(f"a length must be one of none, {', '.join(LENGTH_TOKENS)}; got {length!r}")
    tokens = (LENGTH_TOKENS.get(length, "") if found.sized else "", found.token, GEN_META if gen_meta else "")
    return " ".join(("target:", *filter(None, tokens)))


def render(
    fields: Fields,
    *,
    task: str | None,
    length: str,
    fresh: bool = False,
    start: str | None = None,
    gen_meta: bool = False,
) -> str:
    """Returns the request as text.

    Continued (`fresh` false) it ends inside the last field that has text, and the model goes on there.
    Fresh, it ends with `long:`, and the model writes that field anew: the field `start`, or else the last
    of the task; text the caller has for it is left out. Raises ValueError for an unknown task, length or
    start.
    """
    order = find_task(task).fields
    start = (start or order[-1]) if fresh else None
    if start is not None and start not in order:
        raise ValueError(f"start must be a field of the task ({', '.join(order)}), got {start!r}")
    lines = _metadata(fields)
    lines.append(target(task, length, gen_meta=gen_meta))
    for key in order:
        if key == start:
            lines.append(f"{key}:")
            break
        text = ", ".join(fields.content_tags) if key == "tag" else getattr(fields, key)
        if text:
            lines.append(f"{key}: {text}")
    return "\n".join(lines)


def parse(text: str, classify: Callable[[str], str] | None = None) -> Fields:
    """Returns the fields of the model's text, the request included; the first with text for a key wins.

    `classify` gives the category of a content tag (`TagTable.lookup`); without it only counts of
    people are told from general tags.
    """
    classify = classify or (lambda tag: "special" if is_special(tag) else "general")
    found: dict[str, str] = {}
    for key, value in _scan(text):
        if value.strip() not in ("", EMPTY):
            found.setdefault(key, value)
    tags = {
        category: _split(found.get(category, "")) if category in METADATA else [] for category in CATEGORIES
    }
    for key in ("special", "general", "tag"):
        for tag in _split(found.get(key, "")):
            tags[classify(tag)].append(tag)
    ratio = found.get(ASPECT_RATIO) or found.get("aspect_ratio") or ""
    return Fields(
        {category: tuple(words) for category, words in tags.items()},
        short=found.get("short", ""),
        long=found.get("long", ""),
        aspect_ratio=ratio,
    )


def open_field(text: str) -> tuple[str, int]:
    """Returns the key of the field at the end of a text and where its content begins, or ("", 0)."""
    key, begin, offset = "", 0, 0
    for line in text.split("\n"):
        if match := _OPENS.match(line):
            key, begin = match[1], offset + match.start(2)
        offset += len(line) + 1
    return key, begin


def _scan(text: str):
    """Keys and contents of a text in order. No blank is asked for after the colon: short_to_long has none."""
    key, lines = "", []
    for line in text.split("\n"):
        if match := _OPENS.match(line):
            yield key, "\n".join(lines)
            key, lines = match[1], [match[2]]
        else:
            lines.append(line)
    yield key, "\n".join(lines)


def _metadata(fields: Fields) -> list[str]:
    lines = [f"{key}: {', '.join(fields.tags[key])}" for key in METADATA if key in fields.tags]
    if fields.aspect_ratio:
        lines.append(f"{ASPECT_RATIO}: {fields.aspect_ratio}")
    return lines


def _split(text: str) -> list[str]:
    return [tag for part in re.split("[,\n]", text) if (tag := part.strip()) not in ("", EMPTY)]


def _prose(text: str) -> str:
    if text.strip() == EMPTY:
        return ""
    kept: list[str] = []
    for line in text.strip().split("\n"):
        if kept and _OPENS.match(line):
            kept[-1] += " " + line
        else:
            kept.append(line)
    return "\n".join(kept)
