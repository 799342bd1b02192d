"""Sentences as an expansion joins and compares them."""

from collections.abc import Iterable

from ..prompt.sentences import ends_sentence


def join_sentences(sentences: Iterable[str]) -> str:
    """Returns the sentences as one text, each with a stop at its end."""
    return " ".join(s if ends_sentence(s) else s + "." for s in sentences)


def sentence_key(sentence: str) -> str:
    """Returns the key by which sentences are compared: letter case, blanks and the end make no difference."""
    return " ".join(sentence.casefold().split()).rstrip(" .!?…\"'”’)")


def stutters(text: str) -> bool:
    """Returns whether a text ends in words that were said right before: `a tree and a tree and`.

    Whole words are compared, exactly. A single word may stand there twice (`very very`), but no third time.
    """
    words = text.split()
    end = len(words)
    if end > 2 and words[-1] == words[-2] == words[-3]:
        return True
    repeats = (n for n in range(2, end // 2 + 1) if words[end - 2 * n : end - n] == words[end - n :])
    return next(repeats, None) is not None
