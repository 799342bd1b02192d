"""Finds pictures and their captions: in folders, and in tar shards as webdataset writes them.

Convention: an item's key is its path inside its source, `cats/1.jpg` or `00000.tar/1.jpg`; sources are walked
in the order of names, so the same files give the same items. Nothing of a tar is ever unpacked: an item keeps
the place of its bytes. Shards are read with `tarfile`, as the library webdataset does, which would also run
the commands of `pipe:` addresses.
Source: webdataset's file layout; the `metadata.jsonl` of Hugging Face's imagefolder.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ...files import within
from ...pictures import SUFFIXES

# Named as left out, since people would wonder; other files are passed over.
NOT_READ = {
    **dict.fromkeys(
        (".gif", ".tif", ".tiff", ".avif", ".heic", ".heif", ".jxl"), "a format that is not read"
    ),
    **dict.fromkeys((".gz", ".tgz", ".bz2", ".xz", ".zst"), "a compressed shard: unpack it to .tar"),
}
FIELDS = ("caption", "captions", "text", "prompt")
MOST_TEXT = 1 << 20  # bytes of a file of captions beside a picture
METADATA = ("metadata.jsonl", "metadata.json")

Problem = Callable[[str, str], None]  # called with a key and why it is left out


@dataclass(frozen=True)
class Item:
    """A picture: its key, where its bytes are (source, file, in a tar also offset and size), its captions."""

    key: str
    source: int
    file: str
    captions: tuple[str, ...] = ()
    offset: int = 0
    size: int = -1


def find(sources: list[Path], *, field: str = "", on_problem: Problem) -> Iterator[Item]:
    """Yields the items of all sources; `field` is where JSON keeps the caption, else the first of `FIELDS`.

    Raises:
        ValueError: a source is no folder and no tar.
    """
    for number, source in enumerate(sources):
        prefix = f"{number}/" if len(sources) > 1 else ""
        if source.is_dir():
            yield from _folder(source, number, prefix, field, on_problem)
        elif source.is_file() and source.suffix == ".tar":
            yield from _shard(source, Place(number, source.name, prefix), field, on_problem)
        else:
            raise ValueError(f"a source must be a folder or a .tar file, got {source}; check the path")


@dataclass(frozen=True)
class Place:
    """A tar file: the number of its source, its path inside that, and what its keys begin with."""

    source: int
    file: str
    prefix: str


def _folder(root: Path, number: int, prefix: str, field: str, on_problem: Problem) -> Iterator[Item]:
    inside = os.path.realpath(root)
    told: dict[str, tuple[str, ...]] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for linked in (Path(folder, name) for name in folders if Path(folder, name).is_symlink()):
            on_problem(prefix + linked.relative_to(root).as_posix(), "a linked folder: give it as a source")
        told |= _metadata(root, Path(folder), names, field, on_problem)
        for name in sorted(names):
            path = Path(folder, name)
            file = path.relative_to(root).as_posix()
            suffix = path.suffix.lower()
            if name.startswith(".") or suffix not in (*SUFFIXES, ".tar"):
                if suffix in NOT_READ and not name.startswith("."):
                    on_problem(prefix + file, NOT_READ[suffix])
                continue
            if path.is_symlink() and not within(path, inside):
                on_problem(prefix + file, "a link that leaves its folder")
            elif suffix == ".tar":
                yield from _shard(path, Place(number, file, prefix), field, on_problem)
            else:
                try:
                    captions = _beside(path, inside, field) or told.get(file, ())
                except ValueError as error:
                    on_problem(prefix + file, str(error))
                    continue
                yield Item(prefix + file, number, file, captions)


def _beside(picture: Path, root: str, field: str) -> tuple[str, ...]:
    """Captions of `a.txt` or `a.json` beside `a.jpg`."""
    for suffix in (".txt", ".json"):
        path = picture.with_suffix(suffix)
        if path.is_file() and within(path, root):
            try:
                with open(path, "rb") as file:
                    data = file.read(MOST_TEXT + 1)
            except OSError as error:
                raise ValueError(f"a caption that {_unread(error)}") from error
            if captions := captions_of(data, suffix, field):
                return captions
    return ()


def _unread(error: OSError) -> str:
    return f"cannot be read: {error.strerror or 'input or output error'}"


def captions_of(data: bytes, suffix: str, field: str = "") -> tuple[str, ...]:
    """Returns the captions of a `.txt` or `.json` file.

    Raises:
        ValueError: it is too long, no UTF-8, no JSON, or has captions that are no text.
    """
    if len(data) > MOST_TEXT:
        raise ValueError("a caption file of more than 1 MiB")
    try:
        text = data.decode("utf-8-sig")
        return _captions(json.loads(text), field) if suffix == ".json" else _cleaned([text])
    except UnicodeError as error:
        raise ValueError("a caption that is no UTF-8 text") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError("a caption file that is no JSON") from error


def _captions(record: Any, field: str) -> tuple[str, ...]:
    """A record's captions: a text, or several in a list."""
    if isinstance(record, Mapping):
        record = next((record[name] for name in ([field] if field else FIELDS) if name in record), [])
    texts = [record] if isinstance(record, str) else record
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("a caption that is no text")
    return _cleaned(texts)


def _cleaned(texts: list[str]) -> tuple[str, ...]:
    for text in texts:
        text.encode()  # JSON can say half a character, which nothing takes
    return tuple(filter(None, (" ".join(text.split()) for text in texts)))


def _metadata(root: Path, folder: Path, names: list[str], field: str, on_problem: Problem) -> dict:
    """Captions by path from the root, of a folder's `metadata.jsonl` or `metadata.json`."""
    told: dict[str, tuple[str, ...]] = {}
    here, inside = folder.relative_to(root), os.path.realpath(root)
    for name in sorted(set(METADATA) & set(names)):
        key, path = (here / name).as_posix(), folder / name
        if not (path.is_file() and within(path, inside)):
            on_problem(key, "no plain file of its folder")
            continue
        try:
            for number, (picture, record) in enumerate(_records(path), 1):
                try:
                    if record is None:
                        raise ValueError("a record that is no JSON object with a file_name")
                    told[os.path.normpath(here / picture).replace(os.sep, "/")] = _captions(record, field)
                except UnicodeEncodeError:
                    on_problem(f"{key}:{number}", "a caption that is no UTF-8 text")
                except ValueError as error:
                    on_problem(f"{key}:{number}", str(error))
        except OSError as error:
            on_problem(key, _unread(error))
    return told


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Pairs of file name and record, of lines, of a list, or of a mapping; None is a broken record."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for record in file if path.suffix == ".jsonl" else [file.read()]:
            try:
                value = json.loads(record)
            except (ValueError, RecursionError):
                yield "", None
                continue
            if isinstance(value, Mapping) and path.suffix == ".json":
                yield from value.items()
                continue
            for one in value if isinstance(value, list) else [value]:
                named = isinstance(one, Mapping) and isinstance(one.get("file_name"), str)
                yield (one["file_name"], one) if named else ("", None)


class _Bytes(io.BufferedReader):
    """A shard's bytes for `tarfile`, which would make room at once for whatever length a header claims."""

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= 2 * MOST_TEXT:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


def _shard(path: Path, place: Place, field: str, on_problem: Problem) -> Iterator[Item]:
    """Items of a tar: neighbours with the same name up to the first dot of the file belong together."""
    sample: dict[str, tarfile.TarInfo] = {}
    stem = ""
    try:
        with _Bytes(open(path, "rb", buffering=0)) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in _members(tar, place, on_problem):
                name, _, suffix = _split(member.name)
                if name != stem:
                    yield from _sample(tar, sample, place, field, on_problem)
                    sample, stem = {}, name
                sample[suffix] = member
            yield from _sample(tar, sample, place, field, on_problem)
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError) as error:
        on_problem(place.prefix + place.file, f"a shard that ends early or is no tar: {error}")


def _members(tar: tarfile.TarFile, place: Place, on_problem: Problem) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        tar.members = []  # a long shard need not stay in memory
        parts = PurePosixPath(member.name).parts
        if member.size < 0:  # the next header would be one from before, without end
            raise ValueError("a member of negative size")
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            on_problem(f"{place.prefix}{place.file}/{member.name}", "no plain file")
        elif member.name.startswith("/") or ".." in parts or "\\" in member.name:
            on_problem(f"{place.prefix}{place.file}/{member.name}", "a name that leaves its folder")
        else:
            yield member


def _split(name: str) -> tuple[str, str, str]:
    """`a/b.c.jpg` -> `a/b`, `.`, `.c.jpg`: webdataset's key and extension."""
    folder, slash, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return folder + slash + stem, dot, dot + suffix.lower()


def _sample(
    tar: tarfile.TarFile, sample: Mapping[str, tarfile.TarInfo], place: Place, field: str, on_problem: Problem
) -> Iterator[Item]:
    suffix = next((suffix for suffix in SUFFIXES if suffix in sample), None)
    if suffix is None:
        if sample:
            name = next(iter(sample.values())).name
            on_problem(f"{place.prefix}{place.file}/{name}", "a sample without a picture that is read")
        return
    member = sample[suffix]
    key = f"{place.prefix}{place.file}/{member.name}"
    try:
        captions: tuple[str, ...] = ()
        told = next((s for s in (".txt", ".json") if s in sample), None)
        if told:
            captions = captions_of(tar.extractfile(sample[told]).read(MOST_TEXT + 1), told, field)
    except ValueError as error:
        on_problem(key, str(error))
        return
    yield Item(key, place.source, place.file, captions, member.offset_data, member.size)
