"""What Forge Couple makes of a job's prompt: with it, each line may be a region of the picture."""

import inspect
from typing import Any

TITLE = "Forge Couple"
TAKES_PROMPTS = "after_extra_networks_activate"  # its hook, whose parameters bear the names of its settings


def lines_are_regions(p: Any) -> bool:
    """Returns whether Forge Couple is on for a job and splits its prompts into lines."""
    for script in getattr(getattr(p, "scripts", None), "alwayson_scripts", None) or ():
        if script.title() == TITLE and hasattr(script, TAKES_PROMPTS):
            _, *names = inspect.signature(getattr(script, TAKES_PROMPTS)).parameters
            said = dict(zip(names, p.script_args[script.args_from : script.args_to], strict=False))
            separator = str(said.get("separator") or "").replace("\\n", "\n")  # as it is typed there
            return bool(said.get("enable")) and not separator.strip()
    return False
