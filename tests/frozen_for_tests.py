"""Prompts as one text, as the button Freeze stores them and `frozen_expansions` reads them."""

import re

_LOOKS_PARTED = re.compile(r"^([ \t]*)(\\*---[ \t]*\r?)$", re.MULTILINE)
_BLANK = re.compile(r"(\\*)[ \t\r\n]*")


def freeze(prompts):
    return "\n---\n".join(
        f"\\{prompt}" if _BLANK.fullmatch(prompt) else _LOOKS_PARTED.sub(r"\1\\\2", prompt)
        for prompt in prompts
    )
