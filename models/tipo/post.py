"""What of the model's answer is new, and fit to be added: tags and sentences.

Pure functions of text. The user's own words are never among what comes back, whatever the model repeats;
order is kept as drawn. Source: post-processing of TIPO requests in tipo-kgen 0.3.1, without its slips (the
limit of sentences applied to tags, sentences shuffled and split at every dot).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..prompt.document import canonical
from ..prompt.sentences import ends_sentence, split_sentences
from .tags import CATEGORIES
from .wire import METADATA, open_field

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Prose:
    """New prose: `finish` goes right behind the user's last sentence and completes it, `sentences` follow."""

    finish: str = ""
    sentences: tuple[str, ...] = ()


def added_tags(
    found: Mapping[str, Sequence[str]],
    *,
    known: Iterable[str],
    have: int = 0,
    max_tags: int | None = None,
    refuse: Callable[[str], bool] | None = None,
    order: "torch.Generator | None" = None,
) -> dict[str, tuple[str, ...]]:
    """Returns the new tags of an answer by category, each once.

    `known` are the user's terms and whatever else the model was shown, in any spelling. With `max_tags` the
    content tags (counts of people, then general) are clipped so that with the `have` that are there already
    they are not more. `refuse` says which may not be added. With `order`, a generator on the CPU, general
    tags are shuffled before they are clipped: training shuffles tags, so their order says nothing.
    """
    seen = {canonical(term) for term in known}
    new: dict[str, list[str]] = {}
    for category in CATEGORIES:
        for tag in found.get(category, ()):
            key = canonical(tag)
            if key and key not in seen and not (refuse and refuse(tag)):
                new.setdefault(category, []).append(tag)
            seen.add(key)
    if order is not None and "general" in new:
        new["general"] = _shuffled(new["general"], order)
    if max_tags is not None:
        room = max(0, max_tags - have)
        for category in ("special", "general"):
            new[category] = new.get(category, [])[:room]
            room -= len(new[category])
    return {category: tuple(new[category]) for category in CATEGORIES if new.get(category)}


def added_prose(
    text: str,
    *,
    user: str = "",
    max_sentences: int | None = None,
    refuse: Callable[[str], bool] | None = None,
) -> Prose:
    """Returns what a field of prose adds to the user's, which the field may begin with.

    Where the first new sentence begins with the user's last, only its end is new. Sentences that say the
    same are kept once, each on one line; those that `refuse` names are dropped; with `max_sentences` there
    are, the user's included, no more than that.
    """
    own = split_sentences(user) if user.strip() else []
    if user and text.startswith(user):
        text = user + remove_repeated_suffix(text[len(user) :])
    else:
        text = remove_repeated_suffix(text)
    seen = {_sentence_key(sentence) for sentence in own}
    new = [s for s in (split_sentences(text) if text.strip() else []) if s not in own]
    finish = ""
    if own and new and _continues(own[-1], new[0]):
        finish = re.sub(r"\s+", " ", new.pop(0)[len(own[-1]) :])
        if refuse and refuse(finish):
            finish = ""
    kept = []
    for sentence in (" ".join(s.split()) for s in new):
        key = _sentence_key(sentence)
        if key and key not in seen and not (refuse and refuse(sentence)):
            kept.append(sentence)
        seen.add(key)
    if max_sentences is not None:
        kept = kept[: max(0, max_sentences - len(own))]
    return Prose(finish, tuple(kept))


def drop_unfinished(text: str, *, given: str) -> str:
    """Returns an answer that ran into its token limit without the tag or sentence it broke off in.

    `text` begins with the request `given`, of which nothing is dropped. Only the field at the end is cut.
    """
    key, begin = open_field(text)
    begin = max(begin, len(given))
    new = text[begin:]
    if key in (*METADATA, "tag", "general", "special"):
        return text[:begin] + new[: max(new.rfind(","), 0)]
    sentences = split_sentences(new) if new.strip() else []
    if not sentences or ends_sentence(sentences[-1]):
        return text
    return text[: begin + new.rindex(sentences[-1])].rstrip(" \n") if len(sentences) > 1 else text[:begin]


def remove_repeated_suffix(text: str) -> str:
    """Returns the text with words that repeat at its end said once: `a tree a tree` -> `a tree`.

    Whole words are compared, exactly; the longest repetition goes first, until none is left.
    """
    words = re.findall(r"\S+\s*", text)
    end = len(words)
    longest = end // 2
    while longest:
        if _same(words[end - 2 * longest : end - longest], words[end - longest : end]):
            end -= longest
            longest = end // 2
        else:
            longest -= 1
    lead = text[: len(text) - len(text.lstrip())]
    return text if end == len(words) else lead + "".join(words[:end]).rstrip()


def count_sentences(text: str) -> int:
    """Returns how many sentences a text has; none when it is blank."""
    return len(split_sentences(text)) if text.strip() else 0


def join_sentences(sentences: Iterable[str]) -> str:
    """Returns the sentences as one text, each with a stop at its end."""
    return " ".join(s if ends_sentence(s) else s + "." for s in sentences)


def _same(one: Sequence[str], other: Sequence[str]) -> bool:
    return [word.rstrip() for word in one] == [word.rstrip() for word in other]


def _continues(sentence: str, longer: str) -> bool:
    """`A girl stands` is continued by `A girl stands in a field.`, `A cat` is not by `A cathedral.`"""
    if not longer.startswith(sentence) or len(longer) == len(sentence):
        return False
    return not (sentence[-1].isalnum() and longer[len(sentence)].isalnum())


def _sentence_key(sentence: str) -> str:
    return " ".join(sentence.casefold().split()).rstrip(" .!?…\"'”’)")


def _shuffled(tags: Sequence[str], order: "torch.Generator") -> list[str]:
    import torch

    return [tags[i] for i in torch.randperm(len(tags), generator=order).tolist()]
