"""A host's own way of writing and reading infotexts: the functions of a checkout, or a copy of their rules.

Of a checkout only the few definitions that read and quote are run, without the host around them.
"""

import ast
import contextlib
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

NAMES = {"re_param_code", "re_param", "re_imagesize", "re_hypernet_hash", "quote", "unquote"}
NAMES |= {"parse_generation_parameters", "restore_old_hires_fix_params"}


class Rules:
    """The rules, written down by hand: JSON where a value has a comma, a colon or a line break."""

    def quote(self, text):
        return json.dumps(text, ensure_ascii=False) if set(",:\n") & set(str(text)) else text

    def read(self, infotext):
        *lines, last = infotext.strip().split("\n")
        found = {"Prompt": "\n".join(line.strip() for line in lines)}
        for name, value in re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last):
            if not value:
                continue  # hosts stumble over it
            if value[0] == value[-1] == '"':
                with contextlib.suppress(ValueError):
                    value = json.loads(value)
            size = re.match(r"^(\d+)x(\d+)$", value)
            found |= {f"{name}-1": size[1], f"{name}-2": size[2]} if size else {name: value}
        return found


class Checkout:
    """The functions of a checkout."""

    def __init__(self, path):
        source = (Path(path) / "modules" / "infotext_utils.py").read_text(encoding="utf-8")
        wanted = [node for node in ast.parse(source).body if NAMES & _named(node)]
        opts = SimpleNamespace(
            infotext_skip_pasting=[],
            infotext_styles="Ignore",
            use_old_hires_fix_width_height=False,
            sd_model_checkpoint="",
            forge_additional_modules=[],
        )
        self.names = {
            "json": json,
            "re": re,
            "os": os,
            "annotations": None,
            "shared": SimpleNamespace(opts=opts),
            "prompt_parser": SimpleNamespace(parse_prompt_attention=lambda text: []),
            "infotext_versions": MagicMock(),
            "main_entry": SimpleNamespace(module_list={}),
            "print": lambda *words: None,
        }
        code = ast.Module([ast.ImportFrom("__future__", [ast.alias("annotations")], 0), *wanted], [])
        exec(compile(ast.fix_missing_locations(code), "infotext_utils.py", "exec"), self.names)

    def quote(self, text):
        return self.names["quote"](text)

    def read(self, infotext):
        return self.names["parse_generation_parameters"](infotext)


def _named(node):
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    return {target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)}


def write(host, prompt, pairs):
    """Returns the infotext as `create_infotext` puts it together."""
    words = ["Steps: 1", "Sampler: Euler", "CFG scale: 5", "Seed: 1", "Size: 64x64"]
    for name, value in pairs.items():
        words += [] if value is None else [name if name == value else f"{name}: {host.quote(value)}"]
    return f"{prompt}\n{', '.join(words)}, Version: v1".strip()
