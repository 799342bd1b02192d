"""`presample models`: which models of others are known, which are here, and how to get one.

Convention: results go to stdout, progress and errors to stderr. What can fit in 80 columns does; a path is
never cut.
"""

import argparse
import contextlib
import difflib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from ..fetching import download
from ..hub import (
    SCORERS,
    FoundModel,
    bundled_folder,
    find_models,
    find_scorer,
    scorer_folders,
    search_folders,
    told_by_hand,
    user_folder,
)
from ..published.known import Known, KnownFile
from ..published.scorers import KNOWN_SCORERS, KnownScorer, known_scorer
from ..published.tipo import KNOWN, KnownModel, known_model


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the subcommand `models` and returns its parser."""
    parser = subparsers.add_parser("models")
    _add_places(parser, json=False, folder=None, base=None)
    actions = parser.add_subparsers(metavar="ACTION", dest="action")
    parser.set_defaults(action="list", run=run)
    listing = actions.add_parser("list", help="what is known and what is here (the default)")
    where = actions.add_parser("where", help="the folders that are searched, and where downloads go")
    get = actions.add_parser("download", help="get a model from the Hugging Face hub")
    for action in (listing, where, get):
        # A default here would undo what was given before the action.
        _add_places(action, json=argparse.SUPPRESS, folder=argparse.SUPPRESS, base=argparse.SUPPRESS)
    get.add_argument(
        "name", metavar="NAME", help="a known model, such as TIPO-200M, or a scorer, such as pick"
    )
    get.add_argument("--format", choices=("gguf", "safetensors"), default="gguf", help="what to get [gguf]")
    get.add_argument(
        "--file", metavar="FILE", help="one GGUF file of the model by its name, such as the Q8_0"
    )
    get.add_argument("--to", type=Path, metavar="FOLDER", help="where to put it [as `models where` says]")
    return parser


def _add_places(parser: argparse.ArgumentParser, **default) -> None:
    parser.add_argument("--json", action="store_true", default=default["json"], help="print JSON")
    parser.add_argument(
        "--folder",
        type=Path,
        action="append",
        metavar="FOLDER",
        default=default["folder"],
        help="search this folder too; may be repeated",
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="ROOT",
        default=default["base"],
        help="root of a ComfyUI or WebUI: search its models/tipo, models/kgen and models/scorers too",
    )


def run(args: argparse.Namespace) -> int:
    """Does what the parsed `args` ask for and returns the exit code."""
    return {"list": _list, "where": _where, "download": _download}[args.action](args)


# List


def _list(args: argparse.Namespace) -> int:
    folders = _folders(args)
    found = find_models(folders)
    if args.json:
        shown = {
            "known": [_known_facts(known, found) for known in KNOWN],
            "scorers": [_scorer_facts(known, _scorer_folders(args)) for known in KNOWN_SCORERS],
            "found": [_found_facts(model) for model in found],
            **_where_facts(args, folders, found),
        }
        _say(json.dumps(shown, indent=2))
    else:
        parts = (
            _known_lines(found),
            _scorer_lines(_scorer_folders(args)),
            _found_lines(found),
            _folder_lines(folders, found),
            _advice(),
        )
        _say("\n\n".join("\n".join(lines) for lines in parts))
    return 0


def _folders(args: argparse.Namespace) -> tuple[Path, ...]:
    folders, base = _given(args)
    return search_folders(folders, base=base)


def _scorer_folders(args: argparse.Namespace) -> tuple[Path, ...]:
    folders, base = _given(args)
    return scorer_folders(folders, base=base)


def _given(args: argparse.Namespace) -> tuple[list[Path], Path | None]:
    """The folders and the root that were named, as whole paths."""
    folders = [Path(os.path.abspath(folder.expanduser())) for folder in args.folder or ()]
    return folders, Path(os.path.abspath(args.base.expanduser())) if args.base else None


def _known_lines(found: Sequence[FoundModel]) -> Iterator[str]:
    row = "  {:<18}  {:>6}  {:>7}  {:>7}  {:>11}  {:<10}  {}".format
    yield "Known models"
    yield row("name", "params", "context", "GGUF", "safetensors", "licence", "here").rstrip()
    for known in KNOWN:
        here = any(model.known is known for model in found)
        yield row(
            known.name,
            f"{known.parameters / 1e6:.0f} M" if known.parameters else "-",
            known.context or "-",
            _size(known.gguf[0].size) if known.gguf else "-",
            _total(known.safetensors) if known.repo else "bundled",
            known.licence,
            "yes" if here else "-",
        )


def _scorer_lines(folders: Sequence[Path]) -> Iterator[str]:
    row = "  {:<13}  {:<20}  {:>7}  {:<10}  {}".format
    yield "Scorers of pictures"
    yield row("name", "says", "size", "licence", "here")
    for known in KNOWN_SCORERS:
        here = "yes" if find_scorer(known, folders) else "-"
        yield row(known.name, known.says, _total(known.parts), known.licence, here)


def _found_lines(found: Sequence[FoundModel]) -> Iterator[str]:
    yield "On this machine"
    for model in found:
        yield f"  {model.name}  ({model.kind}, {_size(model.size)})"
        yield f"    {model.path}"
    if not found:
        yield "  none yet"


def _folder_lines(folders: Sequence[Path], found: Sequence[FoundModel]) -> Iterator[str]:
    yield "Searched, in this order"
    for folder in folders:
        count = sum(model.folder == folder for model in found)
        state = f"{count} found" if count else "nothing" if folder.is_dir() else "not there"
        yield f"  {state:<9}  {folder}"


def _advice() -> Iterator[str]:
    yield "Get one     presample models download TIPO-200M, or pick"
    yield "Read more   https://huggingface.co/KBlueLeaf/TIPO-200M, and so on for each name;"
    yield "            the Kohaku licence there limits what you may do with the files"


# Where


def _where(args: argparse.Namespace) -> int:
    folders = _folders(args)
    found = find_models(folders)
    if args.json:
        _say(json.dumps(_where_facts(args, folders, found), indent=2))
        return 0
    lines = [
        *_folder_lines(folders, found),
        "",
        "Downloads go to",
        f"  {_destination(args)}",
        "",
        "PRESAMPLE_MODELS names another folder, --to another one for once.",
        "HF_ENDPOINT names a mirror; HF_HOME and HF_HUB_CACHE move the hub's cache.",
    ]
    _say("\n".join(lines))
    return 0


def _destination(args: argparse.Namespace, known: Known | None = None) -> Path:
    """`--to`, else the folder of the ComfyUI or WebUI that was named, else the user's own."""
    scorer = isinstance(known, KnownScorer)
    own = user_folder() / SCORERS if scorer else user_folder()
    of_host = args.base / "models" / (SCORERS if scorer else "tipo") if args.base else own
    return Path(os.path.abspath((getattr(args, "to", None) or of_host).expanduser()))


# Download


def _download(args: argparse.Namespace) -> int:
    known = known_model(args.name) or known_scorer(args.name)
    if known is None:
        raise ValueError(_unknown(args.name))
    files = _chosen(known, args)
    folder = _destination(args, known)
    if known.repo:
        what = f"{len(files)} files" if len(files) > 1 else files[0].name
        _say(f"{known.name}: {what}, {_total(files)}, {known.licence}", sys.stderr)
        _say(f"from {known.page}\nto   {folder}", sys.stderr)
    try:
        with _bars() as progress:
            path = download(known, folder, files=files, progress=progress)
    except KeyboardInterrupt:
        _say("stopped; what has arrived is kept, and the same command goes on", sys.stderr)
        return 130
    if isinstance(known, KnownScorer) and known.by_hand and not find_scorer(known, [folder]):
        _say(told_by_hand(known, folder), sys.stderr)
    _say(json.dumps({"name": known.name, "path": str(path)}) if args.json else str(path))
    return 0


def _unknown(name: str) -> str:
    names = [known.name for known in (*KNOWN, *KNOWN_SCORERS)]
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in names], n=1)
    hint = f"; did you mean {next(each for each in names if each.lower() == near[0])}?" if near else "."
    known = ", ".join(each.name for each in (*KNOWN, *KNOWN_SCORERS) if each.repo)
    return f"no known model is called {name!r}{hint} Known are {known}"


def _chosen(known: Known, args: argparse.Namespace) -> tuple[KnownFile, ...]:
    if isinstance(known, KnownScorer):
        if args.file:
            raise ValueError(f"{known.name} is a scorer and comes with all of its files; leave out --file")
        return known.standard
    if args.file is None:
        return known.files(args.format) if known.repo else ()
    files = tuple(file for file in known.gguf if args.file in (file.name, file.path))
    if not files:
        names = ", ".join(file.name for file in known.gguf) or "none"
        raise ValueError(f"{known.name} has no GGUF file called {args.file!r}; it has {names}")
    return files


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A progress callback that draws a bar for each file on stderr, if that is a terminal."""
    from tqdm import tqdm

    look = {"unit": "B", "unit_scale": True, "file": sys.stderr, "disable": None}
    bars: dict[str, tqdm] = {}

    def progress(name: str, done: int, size: int) -> None:
        if name not in bars:
            bars[name] = tqdm(total=size, initial=done, desc=name, **look)
        bars[name].update(done - bars[name].n)

    try:
        yield progress
    finally:
        for bar in bars.values():
            bar.close()


# Words


def _known_facts(known: KnownModel, found: Sequence[FoundModel]) -> dict:
    return {
        "name": known.name,
        "repository": known.repo,
        "page": known.page,
        "architecture": known.architecture,
        "parameters": known.parameters,
        "context": known.context,
        "licence": known.licence,
        "tasks": list(known.tasks),
        "gguf": [_file_facts(file) for file in known.gguf],
        "safetensors": [_file_facts(file) for file in known.safetensors],
        "here": [model.name for model in found if model.known is known],
    }


def _scorer_facts(known: KnownScorer, folders: Sequence[Path]) -> dict:
    found = find_scorer(known, folders)
    return {
        "name": known.name,
        "repository": known.repo,
        "page": known.page,
        "licence": known.licence,
        "files": [{**_file_facts(part), "repository": part.repo or known.repo} for part in known.parts],
        "path": str(found) if found else None,
    }


def _file_facts(file: KnownFile) -> dict:
    return {"path": file.path, "saved_as": file.local, "size": file.size, "sha256": file.sha256}


def _found_facts(model: FoundModel) -> dict:
    known = model.known.name if model.known else None
    return {
        "name": model.name,
        "path": str(model.path),
        "kind": model.kind,
        "size": model.size,
        "known": known,
        "bundled": model.folder == bundled_folder(),
    }


def _where_facts(args: argparse.Namespace, folders: Sequence[Path], found: Sequence[FoundModel]) -> dict:
    searched = [
        {
            "folder": str(folder),
            "exists": folder.is_dir(),
            "models": sum(model.folder == folder for model in found),
        }
        for folder in folders
    ]
    return {"searched": searched, "downloads": str(_destination(args))}


def _size(size: int | None) -> str:
    """`406 MB`, `1.98 GB`: powers of ten, as the hub's pages count."""
    if size is None:
        return "-"
    for unit, scale, digits in (("GB", 1e9, 2), ("MB", 1e6, 0), ("kB", 1e3, 0)):
        if size >= scale:
            return f"{size / scale:.{digits}f} {unit}"
    return f"{size} B"


def _total(files: Sequence[KnownFile]) -> str:
    return _size(sum(file.size or 0 for file in files) or None)


def _say(text: str, file: TextIO | None = None) -> None:
    """Writes a line; what the terminal cannot show, or would obey, is shown as an escape."""
    out = file or sys.stdout
    plain = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    encoding = out.encoding or "utf-8"
    out.write(plain.encode(encoding, "backslashreplace").decode(encoding) + "\n")
