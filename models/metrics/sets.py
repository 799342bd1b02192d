"""Sets of picture files with their prompts and categories: plain folders, and MJHQ-30K.

Convention: a picture's id is its file name without its ending. MJHQ-30K has `meta_data.json`, from id to
prompt and category, and a folder for each category (`mjhq30k_imgs/people/<id>.jpg`); what was generated for
it may lie in such folders too, or all in one.
Source: spec 4.7; https://huggingface.co/datasets/playgroundai/MJHQ-30K.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..files import lines_of, read_json, read_text
from .features import find_pictures

# In the order of the data set's labels.
CATEGORIES = (
    "animals",
    "art",
    "fashion",
    "food",
    "indoor",
    "landscape",
    "logo",
    "people",
    "plants",
    "vehicles",
)
META = "meta_data.json"


@dataclass(frozen=True)
class Wanted:
    """What is known of a picture by its id."""

    prompt: str
    category: str = ""


def by_id(folder: Path) -> dict[str, Path]:
    """Returns the pictures of a folder by their ids; raises ValueError where two have one."""
    found: dict[str, Path] = {}
    for path in find_pictures(folder):
        if path.stem in found:
            raise ValueError(f"ids must differ, got {found[path.stem]} and {path}; rename one")
        found[path.stem] = path
    return found


def read_mjhq(root: Path) -> dict[str, Wanted]:
    """Returns what meta_data.json says of every id.

    Raises:
        FileNotFoundError: there is no meta_data.json.
        ValueError: an entry has no prompt that is text, or a category that is none of the ten.
    """
    path = root / META
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there; get it from playgroundai/MJHQ-30K")
    found = {}
    for name, entry in read_json(path).items():
        found[name] = _wanted(path, name, entry)
        if found[name].category not in CATEGORIES:
            raise ValueError(f"{path}: {name} must have one of the ten categories, got {entry}")
    return found


def read_prompts(path: Path) -> dict[str, Wanted]:
    """Returns prompts by id, of a JSON object (id to prompt, or to an object with `prompt`), or of JSON lines
    with `id` and `prompt`.

    Raises:
        ValueError: the file is neither, or an entry has no prompt that is text.
    """
    text = read_text(path)
    try:
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in lines_of(text) if line.strip()]
            entries = {str(row["id"]): row for row in rows}
        else:
            entries = dict(json.loads(text).items())
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} must map ids to prompts, or have lines with id and prompt: {error}"
        ) from error
    return {name: _wanted(path, name, entry) for name, entry in entries.items()}


def _wanted(path: Path, name: str, entry: object) -> Wanted:
    """What a file says of an id: its prompt, or an object with `prompt` and, where it has one, `category`."""
    facts = entry if isinstance(entry, Mapping) else {"prompt": entry}
    prompt, category = facts.get("prompt"), facts.get("category")
    if not isinstance(prompt, str):
        raise ValueError(f"{path}: the prompt of {name} must be text, got {entry!r}; write one")
    return Wanted(prompt, "" if category is None else str(category))


def prompts_of(ids: Iterable[str], wanted: Mapping[str, Wanted]) -> list[str]:
    """Returns the prompts of pictures; raises ValueError, naming some, where one is missing."""
    ids = list(ids)
    missing = [name for name in ids if name not in wanted]
    if missing:
        raise ValueError(f"every picture needs a prompt; {len(missing)} have none, such as {missing[0]}")
    return [wanted[name].prompt for name in ids]


def groups(ids: Iterable[str], wanted: Mapping[str, Wanted]) -> dict[str, list[str]]:
    """Returns the ids of each category that has some, categories by name, which is MJHQ-30K's order."""
    found: dict[str, list[str]] = {}
    for name in ids:
        if name in wanted and wanted[name].category:
            found.setdefault(wanted[name].category, []).append(name)
    return dict(sorted(found.items()))
