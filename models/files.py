"""Files that are there whole or not at all, text that people write, folders of one program, links, headers.

Convention: a file is written beside its place under another name, put on the disk and moved in, so whoever
kills a program, or a machine, finds the old file or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 1 << 18  # bytes at each place of a file that its fingerprint is of


def open_text(path: Path) -> TextIO:
    """Opens a file of JSON for writing; bytes of file names that are no UTF-8 are written as JSON escapes."""
    return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n")


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """Gives the name to write a file under that becomes `path` at the end, or goes where there is an error.

    Programs that write the same file at once have a name each. The file's folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield half
        half.chmod(0o644)  # safetensors gives its files to their owner alone
        flush(half)
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Returns when a file, or what names stand in a folder, is on the disk and outlives a power cut."""
    folder = path.is_dir()
    if folder and os.name == "nt":
        return  # Windows opens no folders, and sees to them itself
    opened = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_text(path: Path, text: str) -> None:
    """Writes a file of text in one move."""
    with written(path) as half, open_text(half) as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file in one move."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Returns the content of a JSON file."""
    return json.loads(read_text(path))


def read_text(path: Path) -> str:
    """Returns the content of a file of text, as `text_of` does."""
    with open(path, encoding="utf-8") as file:
        return text_of(file, str(path))


def text_of(file: TextIO, name: str) -> str:
    """Returns the text of an open file, without the mark (BOM) that some editors put first.

    Raises:
        ValueError: it is no UTF-8.
    """
    try:
        return file.read().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be UTF-8 text: {error}; save it as UTF-8") from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} must be a whole safetensors file, got: {error}; get it again") from error


def lines_of(text: str) -> list[str]:
    """Returns the lines that an editor shows; `splitlines` would cut at U+2028 and form feeds too."""
    return text.removesuffix("\n").split("\n") if text else []


def check_same(path: Path, asked: Mapping[str, Any]) -> None:
    """Raises ValueError, naming what differs, where a file of settings does not say what is asked."""
    made = read_json(path)
    other = [name for name in asked if made.get(name) != json.loads(json.dumps(asked[name]))]
    if other:
        said = (_difference(name, made.get(name), asked[name]) for name in other)
        raise ValueError(
            f"{path.parent} was made with {', '.join(said)}; choose another folder, or remove this one"
        )


def _difference(name: str, made: Any, asked: Any) -> str:
    if not (isinstance(made, Mapping) and isinstance(asked, Mapping)):
        return f"{name} {made!r}, now {asked!r}"
    other = [key for key in {**made, **asked} if made.get(key) != asked.get(key)]
    return ", ".join(_difference(f"{name}.{key}", made.get(key), asked.get(key)) for key in other)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps a second program from writing to a folder at the same time.

    Raises:
        ValueError: another program is at work there.
    """
    refusal = ValueError(f"another program is at work in {folder}; wait for it to end")
    with locked(folder / ".lock", refusal):
        yield


@contextlib.contextmanager
def locked(file: Path, refusal: Exception, *, remove: bool = False) -> Iterator[None]:
    """Keeps a second program out, which gets the `refusal`, and may `remove` the lock's file afterwards.

    A network disk that knows no locks keeps nobody out.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(str(file))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise refusal from error
    except RuntimeError:  # the disk knows no locks
        yield
        return
    try:
        yield
    finally:
        if remove:
            with contextlib.suppress(OSError):  # Windows keeps an open file; then it stays, empty
                file.unlink()
        lock.release()


def within(path: Path, root: str) -> bool:
    """Returns whether a file is in a folder when links are followed; `root` is that folder's real path."""
    return Path(os.path.realpath(path)).is_relative_to(root)


def tensor_names(path: Path) -> tuple[str, ...]:
    """Returns the names of a safetensors file's tensors; none of a file that is no such thing."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return ()
    try:
        with safe_open(path, "pt") as file:
            return tuple(file.keys())
    except SafetensorError:
        return ()


def fingerprint(path: Path) -> str:
    """Returns what tells a model's files from others: a hash of names, sizes, and 17 places of each file."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise FileNotFoundError(f"{path} must be a file or a folder with files; check the path")
    digest = hashlib.sha256()
    for file in files:
        name = file.name if file == path else file.relative_to(path).as_posix()
        size = file.stat().st_size
        digest.update(f"{name} {size}\n".encode())
        with open(file, "rb") as stream:
            for begin in sorted({max(0, size - BLOCK) * i // 16 for i in range(17)}):
                stream.seek(begin)
                digest.update(stream.read(BLOCK))
    return digest.hexdigest()[:16]
