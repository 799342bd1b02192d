"""What an infotext says of an expansion, and what can be read back of it: settings and original prompt.

Convention: an infotext is A1111's line of `key: value` pairs. Hosts keep keys of letters, digits, blanks, `-`
and `/` only; they strip values, split `512x512` in two, take outer quotes away and drop empty values. Texts
that would not come back as they were go as a small JSON object, which has a colon and so is quoted whole.
Source: `modules/infotext_utils.py` and `create_infotext` of A1111 1.10; z-tipo-extension's `scripts/tipo.py`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..options import Option, describe, validate
from .choices import model_name
from .options import ExpandOptions

KEY = "Presample"
FORMAT = "TIPO 1"  # the value of KEY: what was done, and the version of these keys
PROMPT, PROSE = "Presample prompt", "Presample prose"
ALWAYS = ("model", "seed", "tag_length", "prose_length", "temperature")
# Said elsewhere in every infotext.
ELSEWHERE = ("width", "height")

ZTIPO, ZTIPO_PROMPT, ZTIPO_PROSE = "TIPO Parameters", "TIPO prompt", "TIPO nl prompt"
_ZTIPO_NAMES = {
    "seed": "seed",
    "tag_length": "tag_length",
    "nl_length": "prose_length",
    "ban_tags": "ban",
    "format": "layout",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "model": "model",
}
_ZTIPO_LENGTHS = ("tag_length", "nl_length")  # with a blank, as in `very short`
_QUOTES_SWAPPED = str.maketrans("'\"", "\"'")

_SIZE = re.compile(r"\d+x\d+\s*")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Record:
    """What an infotext says of an expansion; `options` has only what it names, `extras` are a host's own.

    `prompt` is the text before the expansion, None where it is not said.
    """

    options: Mapping[str, Any]
    prompt: str | None = None
    prose: str | None = None
    extras: Mapping[str, str] = field(default_factory=dict)


def key(name: str) -> str:
    """Returns the key for an option, or for an extra of a host."""
    return f"{KEY} {name.replace('_', ' ')}"


def is_ours(name: str) -> bool:
    """Returns whether a key of an infotext is one of those that are written here."""
    return name == KEY or name.startswith(f"{KEY} ")


def encode(text: str) -> str:
    """Returns the text as a value that hosts give back unchanged, through their quoting."""
    quoted = any(mark in text for mark in ",:\n")
    bare = text and text == text.strip() and not text.startswith('"')
    sound = not (_SIZE.fullmatch(text) or _UNSEEN.search(text) or is_ours(text) or text.startswith('{"text"'))
    if sound and text and (quoted or bare) and text not in ("True", "False"):
        return text
    return json.dumps({"text": text})


def decode(value: str) -> str:
    """Returns the text that `encode` was given."""
    if value.startswith('{"text"'):
        try:
            text = json.loads(value)["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return value
        return text if isinstance(text, str) else value
    return value


def write(
    options: ExpandOptions, prompt: str, *, prose: str = "", extras: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns the pairs for one image; `prompt` is the text before the expansion, `extras` a host's own."""
    pairs = {KEY: FORMAT, PROMPT: encode(prompt)}
    if prose:
        pairs[PROSE] = encode(prose)
    for fact in describe(ExpandOptions):
        value = getattr(options, fact.name)
        if fact.name not in ELSEWHERE and (fact.name in ALWAYS or value != fact.default):
            pairs[key(fact.name)] = encode(value) if fact.type is str else str(value)
    return pairs | {key(name): encode(value) for name, value in (extras or {}).items()}


def merge(images: Sequence[Mapping[str, str]]) -> dict[str, str | list[str | None]]:
    """Returns the pairs of a job from those of its images; a value that is not the same for all is a list."""
    names = dict.fromkeys(name for pairs in images for name in pairs)
    columns = {name: [pairs.get(name) for pairs in images] for name in names}
    return {name: values[0] if len(set(values)) == 1 else values for name, values in columns.items()}


def read(pairs: Mapping[str, Any]) -> Record | None:
    """Returns what the pairs of an infotext say, z-tipo-extension's among them; None where they say nothing.

    An infotext may come from anyone: a value that its option does not allow is left out.
    """
    if KEY in pairs:
        return _read_ours(pairs)
    if ZTIPO in pairs:
        return _read_ztipo(pairs)
    return None


def _read_ours(pairs: Mapping[str, Any]) -> Record:
    texts = {name: decode(value) for name, value in pairs.items() if is_ours(name) and isinstance(value, str)}
    said = {fact.name: _typed(fact, texts[key(fact.name)]) for fact in _facts() if key(fact.name) in texts}
    options = {name: value for name, value in said.items() if value is not None}
    known = {KEY, PROMPT, PROSE, *(key(fact.name) for fact in _facts())}
    extras = {
        name.removeprefix(f"{KEY} ").replace(" ", "_"): v for name, v in texts.items() if name not in known
    }
    return Record(_allowed(options), texts.get(PROMPT), texts.get(PROSE), extras)


def _read_ztipo(pairs: Mapping[str, Any]) -> Record:
    said = pairs[ZTIPO]
    if isinstance(said, str):
        try:
            said = json.loads(said.translate(_QUOTES_SWAPPED))
        except (ValueError, RecursionError):
            said = {}
    said = said if isinstance(said, Mapping) else {}
    facts = {fact.name: fact for fact in _facts()}
    options: dict[str, Any] = {"ban_mode": "substring"}
    for theirs, ours in _ZTIPO_NAMES.items():
        text = str(said.get(theirs, ""))
        text = text.replace(" ", "_") if theirs in _ZTIPO_LENGTHS else text
        value = _typed(facts[ours], text) if theirs in said else None
        if value is not None:
            options[ours] = model_name(value) if ours == "model" else value
    prompt, prose = pairs.get(ZTIPO_PROMPT), pairs.get(ZTIPO_PROSE)
    timing = {"timing": "before"} if said.get("timing") == "BEFORE" else {}
    return Record(_allowed(options), prompt, prose, timing)


def _facts() -> list[Option]:
    return [fact for fact in describe(ExpandOptions) if fact.name not in ELSEWHERE]


def _typed(fact: Option, text: str) -> Any:
    """Returns the value that a text states, None where it states none of that type."""
    if fact.type is str:
        return text
    if fact.type is bool:
        return {"True": True, "False": False}.get(text)
    try:
        return fact.type(text)
    except ValueError:
        return None


def _allowed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options whose values are in their bounds."""
    allowed = {}
    for name, value in options.items():
        try:
            validate(replace(ExpandOptions(), **{name: value}))
        except (ValueError, TypeError):
            continue
        allowed[name] = value
    return allowed
