"""The models as a list to choose from: those that are here, then the published ones that could be had.

Convention: a label is the name of a model and, where it is not here, what a download of it means. Whoever
stored a label may open it where the model is here by now, so only the name in it counts.
"""

import re
from collections.abc import Iterable, Sequence

from ..hub import FoundModel
from ..published.tipo import KNOWN, KnownModel, known_model

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
    return [model.name for model in found] + [_label(known) for known in KNOWN if _is_missing(known, found)]


def missing_model(label: str, found: Sequence[FoundModel]) -> KnownModel | None:
    """Returns the published model that a label stands for, where it could be had and is not here."""
    known = known_model(model_name(label))
    return known if known and _is_missing(known, found) else None


def label_now(label: str, found: Sequence[FoundModel]) -> str:
    """Returns the label that the same model has among those found now; the label itself where it is not."""
    known = known_model(model_name(label))
    if known is None or any(model.name == label for model in found):
        return label
    return next((model.name for model in found if model.known is known and model.is_published), label)


def cost(known: KnownModel) -> str:
    """Returns what a download of a model means: its size and its licence."""
    sizes = [file.size for file in known.files("gguf") if file.size]
    size = f"{sum(sizes) / 1e6:,.0f} MB".replace(",", " ") if sizes else "size unknown"
    return f"{size}, {known.licence}"


def model_name(label: str) -> str:
    """Returns the name of the model that a label stands for, z-tipo-extension's labels among them."""
    theirs = _KGEN.fullmatch(label)
    return theirs[1] if theirs else _NOT_HERE.sub("", label)


def task_name(label: str) -> str:
    """Returns the task that a label stands for, z-tipo-extension's names among them."""
    return _THEIR_TASKS.get(label, label)


def _is_missing(known: KnownModel, found: Sequence[FoundModel]) -> bool:
    return known.repo is not None and not any(model.known is known for model in found)


def _label(known: KnownModel) -> str:
    return f"{known.name} (not downloaded, {cost(known)})"
