"""Words of a prompt that a model with a small vocabulary never learned: it has to spell them."""

import re
from collections.abc import Iterable

from ..lm.tokenizer import Tokenizer

_WORD = re.compile(r"[^\W\d_]{3,}")


def unknown_words(texts: Iterable[str], tokenizer: Tokenizer) -> list[str]:
    """Returns the words of three letters or more that take more than one token, each once, in order."""
    start = len(tokenizer.encode(""))
    words = dict.fromkeys(word.lower() for text in texts for word in _WORD.findall(text))
    return [word for word in words if len(tokenizer.encode(word)) > start + 1]
