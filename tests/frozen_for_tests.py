"""Prompts as one text, as the button Freeze stores them and `frozen_expansions` reads them."""

import re

_LOOKS_PARTED = re.compile(r"^([ \t]*)(\\*---[ \t]*\r?)$", re.MULTILINE)


def freeze(prompts):
    return "\n---\n".join(_LOOKS_PARTED.sub(r"\1\\\2", prompt) for prompt in prompts)
