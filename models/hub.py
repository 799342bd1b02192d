"""Where published models live on this machine, and how one is fetched when a person asks for it by name.

Convention: a name that comes from a workflow or an infotext only picks from what `find_models` lists, or from
the table of scorers; it is never joined to a path. Folders are searched in the order of `search_folders`, and
the first of a name wins. Finding only lists folders: no network, no import of huggingface_hub.
Source: the cache's layout and variables are huggingface_hub's (`constants.py`); `models/kgen` is KGen's.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .metrics.registry import KNOWN_SCORERS, KnownScorer, known_scorer
from .published import Known, KnownFile, page_of
from .tipo.registry import KnownModel, identify, known_model
from .transfer import (
    DownloadError,
    DownloadStopped,
    Lost,
    Progress,
    Remote,
    ShouldStop,
    announced,
    fetch,
    matches,
    missing_bytes,
)

__all__ = [
    "DownloadError",
    "DownloadStopped",
    "FoundModel",
    "ModelNotFound",
    "bundled_folder",
    "download",
    "find_models",
    "find_scorer",
    "hub_cache",
    "resolve",
    "resolve_scorer",
    "scorer_folders",
    "search_folders",
    "user_folder",
]

Kind = Literal["folder", "gguf", "safetensors"]

DEPTH = 2  # a model may lie in a folder of a folder: models/tipo/KBlueLeaf/TIPO-200M
SCORERS = "scorers"  # the folder of scorers among other models
WEIGHTS = (".safetensors", ".pt", ".pth", ".onnx")


class ModelNotFound(ValueError):
    """No model of that name is here; the message says where it was looked for and where to get it."""


@dataclass(frozen=True)
class FoundModel:
    """A model that is here, under the name to ask for it; `known` is the entry whose rules it follows."""

    name: str
    path: Path
    kind: Kind
    known: KnownModel | None
    folder: Path
    size: int


# Where to look


def user_folder() -> Path:
    """Returns the folder when no host gives one: PRESAMPLE_MODELS, or ~/.cache/presample/models."""
    return _expand(os.environ.get("PRESAMPLE_MODELS") or "~/.cache/presample/models")


def bundled_folder() -> Path:
    """Returns the folder of the models that come with this package."""
    return Path(__file__).resolve().parent / "bundled"


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
    below = [Path(base) / "models" / name for name in ("tipo", "kgen")] if base else []
    folders = [bundled_folder(), *map(Path, given), *below, user_folder(), hub_cache()]
    return tuple(dict.fromkeys(folders))


# What is there


def find_models(folders: Iterable[Path]) -> list[FoundModel]:
    """Returns the models in `folders` in their order, the first of each name; a missing folder is empty.

    A model is a folder with `config.json` and safetensors weights, a `.gguf` file, or a `.safetensors`
    file named after a known model. Among what is bundled and in the hub's cache only known models count.
    Links are followed, for people keep models on other disks, and no workflow can make one.
    """
    found: dict[str, FoundModel] = {}
    for folder in map(Path, folders):
        known_only = folder == bundled_folder()
        for name, path, kind in (*_in_folder(folder), *_in_cache(folder)):
            known = identify(name)
            if known or not (known_only or kind == "safetensors"):
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
        elif path.suffix.lower() == ".safetensors" and not _is_model(path.parent):
            yield name, path, "safetensors"


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
        if path.name.startswith("models--") or path.name == SCORERS:
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


def resolve(name: str, folders: Iterable[Path]) -> Path:
    """Returns the path of the model called `name` among those found in `folders`.

    `name` is a name in that list, or a known model ("TIPO-200M", "KBlueLeaf/TIPO-200M"), which stands for
    its published files in whichever format is found first. It is compared, never used as a path: it may
    come from anyone. Raises ModelNotFound, and TypeError when it is not text.
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
        if known and model.known is known and model.name.rpartition("/")[2].lower() in known.local_names:
            return model.path
    raise ModelNotFound(_not_found(name, known, folders, found))


def _not_found(name: str, known: KnownModel | None, folders: list[Path], found: list[FoundModel]) -> str:
    lines = [f"no model named {_shown(name)} is here.", "Looked in:"]
    lines += [f"  {folder}" for folder in folders]
    lines += ["Found there: " + (", ".join(model.name for model in found) or "no model at all")]
    known = known or identify(name)
    if known and known.repo:
        files = [file for file in known.gguf if name in (file.name, file.local)] or known.gguf[:1]
        own = [folder for folder in folders if folder not in (bundled_folder(), hub_cache())]
        lines += [f"Get it with: presample models download {known.name}"]
        lines += [_by_hand(known, files, own[0] if own else user_folder())]
    else:
        lines += ["Choose one of those, or see what can be had with: presample models"]
    return "\n".join(lines)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")


def _by_hand(known: Known, files: Sequence[KnownFile], folder: Path) -> str:
    lines, before = [], "Or by hand:"
    for repo in dict.fromkeys(file.repo or known.repo for file in files):
        lines += [f"{before} from {page_of(repo)}/tree/main"]
        before = "and"
        for file in files:
            if (file.repo or known.repo) == repo:
                lines += [f"  get {file.path}", f"  save it as {_target(folder, file)}"]
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
    yield f"Get it with: presample models download {known.name}"
    place = folders[0] if folders else user_folder() / SCORERS
    yield _by_hand(known, known.parts, place)
    if known.by_hand:
        yield told_by_hand(known, place)


def told_by_hand(known: KnownScorer, folder: Path) -> str:
    """Returns what is left to a person of a scorer with a file that is on no hub."""
    file = known.by_hand
    return f"And by hand: from {file.page}\n  get {file.name}\n  save it as {folder / file.local}"


# Fetching


def download(
    known: Known,
    folder: Path,
    *,
    files: Sequence[KnownFile] | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Path:
    """Returns the model's path in `folder` once its `files` (the standard ones unless given) are there and
    verified.

    Files that are there already are checked and kept; one that does not match becomes `<name>.replaced`, or
    `<name>.replaced-2` where that is taken, too.
    It goes to HF_ENDPOINT when that is set. `progress` is called with a file's name, its bytes here and its
    size. Raises DownloadError, whose message says what to do (no connection, full disk, wrong checksum, no
    such file), and DownloadStopped when `should_stop` says so; KeyboardInterrupt passes. What has arrived is
    kept and resumed the next time. Raises ValueError for a model that is bundled.
    """
    if known.repo is None:
        raise ValueError(f"{known.name} comes with this package; there is nothing to download")
    files = tuple(files or known.standard)
    folder = Path(os.path.abspath(os.path.expanduser(folder)))
    wanted = {file: _target(folder, file) for file in files if not _is_here(_target(folder, file), file)}
    remotes = {file: _announced(known, file, _by_hand(known, files, folder)) for file in wanted}
    wanted = {file: path for file, path in wanted.items() if not _has(path, remotes[file].checksum)}
    _check_space(folder, {path: remotes[file] for file, path in wanted.items()})
    for file, path in wanted.items():
        if should_stop and should_stop():
            raise DownloadStopped(f"stopped before {file.name}; download it again to go on from there")
        fetch(remotes[file], path, progress=progress, should_stop=should_stop)
    target = _target(folder, files[-1])
    return target if target.suffix == ".gguf" else target.parent


def _target(folder: Path, file: KnownFile) -> Path:
    return folder.joinpath(*file.local.split("/"))


def _is_here(path: Path, file: KnownFile) -> bool:
    return file.sha256 is not None and _has(path, file.sha256)


def _has(path: Path, checksum: str) -> bool:
    return path.is_file() and matches(path, checksum)


def _announced(known: Known, file: KnownFile, by_hand: str) -> Remote:
    """What the hub says of a file, compared with what the registry knows; raises DownloadError.

    huggingface_hub gives the address, the token and whether it is told to stay offline; these three are the
    same from 0.19 to 2.x.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    endpoint, repo = _endpoint(), file.repo or known.repo
    url = hf_hub_url(repo, file.path, revision="main", endpoint=endpoint)
    if constants.HF_HUB_OFFLINE:
        raise DownloadError(f"HF_HUB_OFFLINE is set, so {url} is not asked for; unset it.\n{by_hand}")
    token = build_hf_headers()
    try:
        facts = announced(url, token)
        exact = hf_hub_url(repo, file.path, revision=facts.commit, endpoint=endpoint)
        remote = Remote(file.name, exact, int(facts.size), facts.checksum, token)
    except Lost as lost:
        raise DownloadError(f"{_reason(lost, url)}\n{by_hand}") from lost
    except ValueError as error:
        raise DownloadError(
            f"{url} does not say how large it is or which checksum it has, so it cannot be verified; "
            f"try again without a mirror or proxy.\n{by_hand}"
        ) from error
    if file.sha256 and remote.checksum != file.sha256:
        raise DownloadError(
            f"{url} is not the file that this version of Presample knows: its checksum must be "
            f"{file.sha256}, the server says {remote.checksum}. Update Presample.\n{by_hand}"
        )
    return remote


def _endpoint() -> str | None:
    """The mirror that HF_ENDPOINT names now; huggingface_hub itself read it when it was imported."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if endpoint and not endpoint.startswith(("https://", "http://")):
        raise DownloadError(f"HF_ENDPOINT must be an address like https://huggingface.co, got {endpoint!r}")
    return endpoint or None


def _reason(lost: Lost, url: str) -> str:
    if lost.status == 404:
        return f"{url} does not exist (any more)."
    if lost.status in (401, 403):
        return f"{url} is not open to you or gone; if its page asks for terms, accept them and log in."
    if lost.status:
        return f"{url} cannot be had just now: {lost}; try again later."
    return f"cannot reach {url}: {lost}"


def _check_space(folder: Path, remotes: Mapping[Path, Remote]) -> None:
    needed = sum(missing_bytes(remote, path) for path, remote in remotes.items())
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DownloadError(
            f"the disk that holds {folder} must have {needed / 1e6:,.1f} MB free, it has "
            f"{free / 1e6:,.1f} MB; free some or choose another folder. Nothing was downloaded"
        )
