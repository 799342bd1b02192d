"""Random prompts in the grammar of the hosts: tags, weights, networks, prose, regions, and broken ones."""

import re

from hypothesis import strategies

ATOMS = [
    "1girl",
    "long hair",
    "(red hair:1.2)",
    "((smile))",
    "[hat]",
    "(a, b:1.1)",
    "(a BREAK b)",
    "\\(",
    "\\)",
    "\\\\",
]
ATOMS += [
    "[a:b:0.5]",
    "[cat:0.3]",
    "[x|y]",
    "<lora:foo:0.8>",
    "<lora:bar:1:0.5>",
    "embedding:x",
    "(embedding:y:1.1)",
]
ATOMS += [
    "{a|b}",
    "__w__",
    "/* c */",
    ":)",
    ":(",
    ">_<",
    ":3",
    "o_o",
    "\\||/",
    "A girl stands in the rain.",
    "a cat, black",
]
OPEN = ["(", "[", "{", "<lora:z", "/* d", "#1", "https://x.y", ")", "]", "}", ":", "|", ":1.2)", "<", "."]
LINES = ["# note\n", "\n", "\r\n", "\n\n"]
SEPARATORS = [" BREAK ", " AND ", " :0.7 AND ", "\nBREAK\n"]
COMMAS = strategies.sampled_from([", ", ",", " , ", ",\n"])


def prompts(*atoms):
    item = strategies.tuples(strategies.sampled_from([*atoms, *LINES, *SEPARATORS]), COMMAS)
    return strategies.lists(item.map("".join), max_size=9).map("".join)


SOUND = prompts(*ATOMS)
WITHOUT_BRACES = prompts(*[atom for atom in ATOMS + OPEN if not re.search(r"[{}]|/\*|//", atom)])
ANY = prompts(*ATOMS, *OPEN) | strategies.text(max_size=40)
