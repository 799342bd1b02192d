"""`presample build THING`: makes a file that is shipped from its sources.

Convention: `locales/nodes.json` names what each node has, `locales/<language>.json` says it in that language,
once for all nodes that share it; ComfyUI reads `nodeDefs.json` and `main.json` in `locales/<language>/`.
"""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..tipo import build_tags

LOCALES = Path(__file__).parents[2] / "locales"
NODES = "nodes.json"
# The page reads these as its own signs and would not show them.
SIGNS = "{}@|"

log = logging.getLogger("presample")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command `build` with all that it can build."""
    build = subparsers.add_parser("build")
    things = build.add_subparsers(dest="thing", required=True)
    build_tags.add_parser(things)
    locales = things.add_parser("locales", help="make what ComfyUI shows in other languages")
    locales.add_argument("--folder", type=Path, default=LOCALES, help="folder of the sources [locales]")
    locales.set_defaults(run=run_locales)


def run_locales(args: argparse.Namespace) -> int:
    """Writes every language's files and logs how many nodes they name."""
    for path, content in locale_files(args.folder).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        log.info("%s written", path)
    return 0


def locale_files(folder: Path) -> dict[Path, str]:
    """Returns the content of every file that is made of the sources in a folder.

    Raises ValueError, naming the place, for a text that is missing or has a sign that the page cannot show.
    """
    nodes = _read(folder / NODES)
    made = {}
    for source in sorted(folder.glob("*.json")):
        if source.name == NODES:
            continue
        texts, target = _read(source), folder / source.stem
        made[target / "main.json"] = _written({"nodeCategories": texts["categories"]})
        if "nodes" in texts:
            said = {name: _node(texts, name, parts, source.name) for name, parts in nodes.items()}
            made[target / "nodeDefs.json"] = _written(said)
    return made


def _node(texts: Mapping, name: str, parts: Mapping[str, list[str]], file: str) -> dict[str, Any]:
    own = texts["nodes"].get(name, {})
    said = {
        fact: _shown(own.get(fact, ""), f"{file}: {name} {fact}") for fact in ("display_name", "description")
    }
    for group in ("inputs", "outputs"):
        known = {**texts[group], **own.get(group, {})}
        said[group] = {}
        for number, part in enumerate(parts[group]):
            title, tooltip = known.get(part, ("", ""))
            place = f"{file}: {name} {group} {part}"
            key = part if group == "inputs" else str(number)
            said[group][key] = {"name": _shown(title, place), "tooltip": _shown(tooltip, place)}
    return said


def _shown(text: str, place: str) -> str:
    if not text.strip():
        raise ValueError(f"{place} must have a text, got none; write one")
    if any(sign in text for sign in SIGNS):
        raise ValueError(f"{place} must be without {' '.join(SIGNS)}, got {text!r}; say it in words")
    return text


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
