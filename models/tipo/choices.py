"""The models as a list to choose from: those that are here, then the published ones that could be had.

Convention: a label is the name of a model and, where it is not here, what a download of it means. Whoever
stored a label may open it where the model is here by now, so only the name in it counts.
"""

import re
from collections.abc import Iterable, Sequence

from ..hub import FoundModel
from ..published.tipo import KNOWN, KnownModel

_NOT_HERE = re.compile(r" \(not downloaded\b.*\)\Z")
_KGEN = re.compile(r"(?:[^/|]+/)?([^/|]+) \| ([^/|]+\.gguf)")  # repository | file, as z-tipo-extension writes

# What it calls a task, and the one of ours that writes the same and perhaps a longer description too.
_THEIR_TASKS = {
    "None": "tags",
    "tag_to_short": "tag_to_short_to_long",
    "tag_to_long_to_short": "tag_to_short_to_long",
}


def model_labels(found: Iterable[FoundModel]) -> list[str]:
    """Returns the labels to show, in order: bundled and found models, then known ones that are not here."""
    found = list(found)
    here = {model.known.name for model in found if model.known}
    return [model.name for model in found] + [_label(known) for known in KNOWN if _is_missing(known, here)]


def model_name(label: str) -> str:
    """Returns the name of the model that a label stands for, z-tipo-extension's labels among them."""
    theirs = _KGEN.fullmatch(label)
    return theirs[1] if theirs else _NOT_HERE.sub("", label)


def task_name(label: str) -> str:
    """Returns the task that a label stands for, z-tipo-extension's names among them."""
    return _THEIR_TASKS.get(label, label)


def _is_missing(known: KnownModel, here: Sequence[str] | set[str]) -> bool:
    return known.repo is not None and known.name not in here


def _label(known: KnownModel) -> str:
    sizes = [file.size for file in known.files("gguf") if file.size]
    size = f"{sum(sizes) / 1e6:,.0f} MB".replace(",", " ") if sizes else "size unknown"
    return f"{known.name} (not downloaded, {size}, {known.licence})"
