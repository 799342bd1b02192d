"""Where published models live on this machine, and how a person gets one that is not here.

Convention: a name that comes from a workflow or an infotext only picks from what `find_models` lists, or from
the table of scorers; it is never joined to a path. Folders are searched in the order of `search_folders`, and
the first of a name wins. Finding only lists folders: no network, no import of huggingface_hub.
Source: the cache's layout and variables are huggingface_hub's (`constants.py`); `models/kgen` is KGen's.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .published.known import Known, KnownFile, page_of
from .published.scorers import KNOWN_SCORERS, KnownScorer, known_scorer
from .published.tipo import KnownModel, identify, known_model

Kind = Literal["folder", "gguf"]

DEPTH = 2  # a model may lie in a folder of a folder: models/tipo/KBlueLeaf/TIPO-200M
SCORERS = "scorers"  # the folder of scorers among other models
TIPO_FOLDERS = ("tipo", "kgen")  # of language models: ours, and the one that others' nodes use
WEIGHTS = (".safetensors", ".pt", ".pth", ".onnx")
BUNDLED = Path(__file__).resolve().parent / "bundled"
CACHED = ("models--", "datasets--", "spaces--")  # how the hub's cache calls its folders


class ModelNotFound(ValueError):
    """No model of that name is here; the message says where it was looked for and where to get it."""


@dataclass(frozen=True)
class Advice:
    """What a host tells its user to do: to `get` a known model, or to `choose` where none is meant."""

    get: str = "Get it with: presample models download {name}"
    choose: str = "Choose one of those, or see what can be had with: presample models"


COMMANDS = Advice()


@dataclass(frozen=True)
class FoundModel:
    """A model that is here, under the name to ask for it; `known` is the entry whose rules it follows."""

    name: str
    path: Path
    kind: Kind
    known: KnownModel | None
    folder: Path
    size: int

    @property
    def is_published(self) -> bool:
        """Whether it is that very model, by the name of its file; others only follow its rules."""
        return published_model(self.name) is not None


def published_model(name: str) -> KnownModel | None:
    """Returns the known model that a file, folder or repository called `name` is; None where it only follows
    one's rules, or none's."""
    known = identify(name)
    return known if known and name.rpartition("/")[2].lower() in known.local_names else None


# Where to look


def user_folder() -> Path:
    """Returns the folder when no host gives one: PRESAMPLE_MODELS, or ~/.cache/presample/models."""
    return _expand(os.environ.get("PRESAMPLE_MODELS") or "~/.cache/presample/models")


def bundled_folder() -> Path:
    """Returns the folder of the models that come with this package."""
    return BUNDLED


def bundled_weights(name: str, folder: Path | None = None) -> Path:
    """Returns the weights file of a model that comes with this package, or lies in `folder` in its place.

    Raises FileNotFoundError where the package is not whole.
    """
    path = (folder or bundled_folder()) / name / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there, and is not: install the package again, or train it")
    return path


def hub_cache() -> Path:
    """Returns where huggingface_hub keeps repositories, from the variables that it reads itself."""
    env = os.environ
    home = env.get("HF_HOME") or os.path.join(env.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return _expand(cache)


def scorer_folders(given: Sequence[Path] = (), *, base: Path | None = None) -> tuple[Path, ...]:
    """Returns every folder of scorers, in order and once each: those given, `models/scorers` below `base`
    (the root of a ComfyUI or a WebUI), and the user's own. The hub's cache is looked through besides."""
    below = [Path(base) / "models" / SCORERS] if base else []
    return tuple(dict.fromkeys([*map(Path, given), *below, user_folder() / SCORERS]))


def _expand(text: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(text)))


def search_folders(given: Sequence[Path] = (), *, base: Path | None = None) -> tuple[Path, ...]:
    """Returns every folder to search, in order and once each.

    First the bundled models, so that their names mean the same everywhere; then the folders a host gives,
    `models/tipo` and `models/kgen` below `base` (the root of a ComfyUI or a WebUI), the user's own folder
    and the hub's cache.
    """
    below = [Path(base) / "models" / name for name in TIPO_FOLDERS] if base else []
    folders = [bundled_folder(), *map(Path, given), *below, user_folder(), hub_cache()]
    return tuple(dict.fromkeys(folders))


# What is there


def find_models(folders: Iterable[Path]) -> list[FoundModel]:
    """Returns the models in `folders` in their order, the first of each name; a missing folder is empty.

    A model is a folder with `config.json` and safetensors weights, or a `.gguf` file; weights alone cannot
    run. Among what is bundled and in the hub's cache only known models count. Links are followed, for people
    keep models on other disks, and no workflow can make one.
    """
    found: dict[str, FoundModel] = {}
    for folder in map(Path, folders):
        known_only = folder == bundled_folder()
        for name, path, kind in (*_in_folder(folder), *_in_cache(folder)):
            known = identify(name)
            if known or not known_only:
                found.setdefault(name, FoundModel(name, path, kind, known, folder, _size(path)))
    return list(found.values())


def _in_folder(folder: Path) -> Iterator[tuple[str, Path, Kind]]:
    """What lies in `folder` and up to DEPTH folders below, by its place relative to `folder`."""
    if _is_model(folder):
        yield folder.name, folder, "folder"
    for path in _below(folder, DEPTH):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            if _is_model(path):
                yield name, path, "folder"
        elif path.suffix.lower() == ".gguf":
            yield name, path, "gguf"


def _in_cache(cache: Path) -> Iterator[tuple[str, Path, Kind]]:
    """Known repositories in a cache of huggingface_hub, under the names they would have elsewhere."""
    for repository in _entries(cache):
        tail = repository.name.rpartition("--")[2]
        if not repository.name.startswith("models--") or not identify(tail):
            continue
        for snapshot in _snapshots(repository):
            if _is_model(snapshot):
                yield tail, snapshot, "folder"
            for path in _below(snapshot, DEPTH):
                if path.suffix.lower() == ".gguf" and path.is_file():
                    yield f"{tail}_{path.name}", path, "gguf"


def _snapshots(repository: Path) -> list[Path]:
    """The current snapshot first, then from the newest to the oldest; any of them may be incomplete."""
    current = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        current = (repository / "refs" / "main").read_text(encoding="ascii").strip()
    snapshots = [path for path in _entries(repository / "snapshots") if path.is_dir()]
    return sorted(snapshots, key=lambda path: (path.name != current, -path.stat().st_mtime))


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """Files and folders to `depth` levels below, a folder before what is in it; not the hub's cache and no
    scorers."""
    for path in _entries(folder):
        if path.name.startswith(CACHED) or path.name == SCORERS:
            continue
        if path.is_dir():
            yield path
            yield from _below(path, depth - 1) if depth else ()
        elif path.is_file():
            yield path


def _entries(folder: Path) -> list[Path]:
    """The entries of a folder in the order of their names, hidden ones left out."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(
        path.suffix == ".safetensors" and path.is_file() for path in _entries(folder)
    )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in _entries(path) if p.suffix == ".safetensors"]
    return sum(file.stat().st_size for file in files if file.is_file())


# Which one is meant


def resolve(name: str, folders: Iterable[Path], *, advice: Advice = COMMANDS) -> Path:
    """Returns the path of the model called `name` among those found in `folders`.

    `name` is a name in that list, or a known model ("TIPO-200M", "KBlueLeaf/TIPO-200M"), which stands for
    its published files in whichever format is found first. It is compared, never used as a path: it may
    come from anyone. Raises ModelNotFound, with the host's own `advice`, and TypeError when it is not text.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a model must be text, got {type(name).__name__}")
    folders = [Path(folder) for folder in folders]
    found = find_models(folders)
    known = known_model(name)
    for model in found:
        if model.name == name:
            return model.path
    for model in found:
        if known and model.known is known and model.is_published:
            return model.path
    raise ModelNotFound(_not_found(name, folders, found, advice))


def _not_found(name: str, folders: list[Path], found: list[FoundModel], advice: Advice) -> str:
    lines = [f"no model named {_shown(name)} is here.", "Looked in:"]
    lines += [f"  {folder}" for folder in folders]
    lines += ["Found there: " + (", ".join(model.name for model in found) or "no model at all")]
    known = known_model(name) or identify(name)
    if known and known.repo:
        files = [file for file in known.gguf if name in (file.name, file.local)] or known.gguf[:1]
        own = [folder for folder in folders if folder not in (bundled_folder(), hub_cache())]
        lines += [advice.get.format(name=known.name)]
        lines += [by_hand(known, files, own[0] if own else user_folder())]
    else:
        lines += [advice.choose]
    return "\n".join(lines)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")


def by_hand(known: Known, files: Sequence[KnownFile], folder: Path) -> str:
    """Returns how a person gets files of a published model and where to put them."""
    lines, before = [], "Or by hand:"
    for repo in dict.fromkeys(file.repo or known.repo for file in files):
        lines += [f"{before} from {page_of(repo)}/tree/main"]
        before = "and"
        for file in files:
            if (file.repo or known.repo) == repo:
                lines += [f"  get {file.path}", f"  save it as {file.place(folder)}"]
    return "\n".join(lines)


# Scorers


def find_scorer(known: KnownScorer, folders: Iterable[Path]) -> Path | None:
    """Returns where a scorer lies that is whole: `<name>` in one of the folders, or the hub's cache; None.

    A folder with weights of another name in it is somebody's own, and counts as whole.
    """
    own = (Path(folder) / known.name for folder in folders)
    found = next((folder for folder in own if _is_scorer(known, folder)), None) or _scorer_in_cache(known)
    if found and len(known.parts) == 1:
        own = found / known.parts[0].name
        return own if own.is_file() else next(p for p in _entries(found) if p.suffix in WEIGHTS)
    return found


def _is_scorer(known: KnownScorer, folder: Path) -> bool:
    here = {path.name for path in _entries(folder) if path.is_file()}
    parts = [*known.parts, *([known.by_hand] if known.by_hand else [])]
    names = [part.local.rpartition("/")[2] for part in parts]
    last = names[len(known.parts) - 1 :]
    return here.issuperset(last) or any(Path(name).suffix in WEIGHTS for name in here.difference(names))


def _scorer_in_cache(known: KnownScorer) -> Path | None:
    """A snapshot, or a folder in it, that has all files of a scorer which come from one place."""
    places = {(part.repo or known.repo, part.path.rpartition("/")[0]) for part in known.parts}
    if len(places) > 1 or known.by_hand:
        return None
    ((repo, inside),) = places
    for snapshot in _snapshots(hub_cache() / f"models--{repo.replace('/', '--')}"):
        if all((snapshot / part.path).is_file() for part in known.parts):
            return snapshot / inside
    return None


def resolve_scorer(name: str, folders: Iterable[Path]) -> Path:
    """Returns the folder of the scorer called `name`, or its file where it is only one.

    Raises ModelNotFound, whose message says where it was looked for and how to get it.
    """
    known, folders = known_scorer(name), [Path(folder) for folder in folders]
    if known is None:
        raise ModelNotFound(
            f"no scorer is called {_shown(name)}. Known are {', '.join(k.name for k in KNOWN_SCORERS)}"
        )
    found = find_scorer(known, folders)
    if found is None:
        raise ModelNotFound("\n".join(_no_scorer(known, folders)))
    return found


def _no_scorer(known: KnownScorer, folders: Sequence[Path]) -> Iterator[str]:
    yield f"the scorer {known.name!r} is not here, or not whole. Looked in:"
    yield from (f"  {folder / known.name}" for folder in folders)
    yield f"  {hub_cache()}"
    yield COMMANDS.get.format(name=known.name)
    place = folders[0] if folders else user_folder() / SCORERS
    yield by_hand(known, known.parts, place)
    if known.by_hand:
        yield told_by_hand(known, place)


def told_by_hand(known: KnownScorer, folder: Path) -> str:
    """Returns what is left to a person of a scorer with a file that is on no hub."""
    file = known.by_hand
    return f"And by hand: from {file.page}\n  get {file.name}\n  save it as {folder / file.local}"
