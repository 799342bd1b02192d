"""Fetches one file over HTTP: resumable, stoppable at any moment, verified before it gets its name.

Convention: bytes gather in `<file>.<first 12 of the checksum>.part` beside the final name and stay there
when anything interrupts, so the next call goes on where this one ended. A checksum is 64 hex digits
(SHA-256, for the hub's Git LFS files) or 40 (the Git blob SHA-1, for its small ones).
Source: huggingface_hub comes close, but 2.x writes each download to a new file that it deletes when
interrupted, no version compares checksums afterwards, 0.36 keeps trying for 23 seconds without a
connection, and both its errors and its way to report progress differ from version to version.
"""

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from .files import locked

if TYPE_CHECKING:  # hosts import this file when they start, and only a download needs these
    import ssl
    import urllib.request
    from http.client import HTTPResponse

Progress = Callable[[str, int, int], None]
ShouldStop = Callable[[], bool]

TIMEOUT = 20.0  # seconds without a byte before a connection counts as lost
CHUNK = 1 << 20


class DownloadError(RuntimeError):
    """A download failed for a reason that its message explains, together with what to do."""


class DownloadStopped(RuntimeError):
    """A download was stopped by its caller; what had arrived is kept."""


class Lost(Exception):
    """There was no connection, it broke, or the server refused with `status`."""

    def __init__(self, reason: str, status: int | None = None):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Remote:
    """One file as its server announces it: where, how many bytes, which checksum, what to send along."""

    name: str
    url: str
    size: int
    checksum: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", self.checksum):
            raise ValueError(f"checksum must be 40 or 64 hex digits, got {self.checksum!r}")


class Facts(NamedTuple):
    """What a hub says of a file: its bytes and its checksum ("" where it does not) and its revision."""

    size: str
    checksum: str
    commit: str


def announced(url: str, headers: Mapping[str, str]) -> Facts:
    """Returns what a hub says of the file at `url`, without going to the storage it points to.

    Raises Lost. As huggingface_hub does, it follows a redirect only while that stays on the hub.
    """
    from urllib.parse import urljoin, urlsplit

    for _ in range(5):
        with contextlib.closing(_answer(_request(url, "HEAD", headers), redirects=False)) as response:
            location = urlsplit(response.headers.get("Location", ""))
            if response.status < 300 or not location.path or location.scheme or location.netloc:
                return _facts(response.headers)
            url = urljoin(url, location.geturl())
    raise Lost("it points from one place to the next without end")


def _facts(headers: Mapping[str, str]) -> Facts:
    """Large files are linked from the hub, which then speaks of the link's target in headers of its own."""
    etag = headers.get("X-Linked-Etag") or headers.get("ETag") or ""
    return Facts(
        size=headers.get("X-Linked-Size") or headers.get("Content-Length") or "",
        checksum=etag.removeprefix("W/").strip('"'),
        commit=headers.get("X-Repo-Commit") or "main",
    )


def _request(url: str, method: str, headers: Mapping[str, str]) -> "urllib.request.Request":
    import urllib.request

    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"}, method=method)
    for name, value in headers.items():
        request.add_unredirected_header(name, value)  # a token is for the hub, not for its storage
    return request


def _answer(request: "urllib.request.Request", *, redirects: bool = True) -> "HTTPResponse":
    """The server's answer below 400, or one that redirects; raises Lost."""
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    handlers: list[urllib.request.BaseHandler] = []
    if request.type == "https":
        handlers.append(urllib.request.HTTPSHandler(context=_certificates()))
    if not redirects:
        stay = urllib.request.HTTPRedirectHandler()
        stay.redirect_request = lambda *args: None
        handlers.append(stay)
    try:
        return urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code < 400:
            return error
        error.close()
        raise Lost(f"the server answered {error.code} {error.reason}", error.code) from error
    except (OSError, HTTPException, ValueError) as error:  # no connection, nonsense, a bad address
        raise Lost(_words(error)) from error


def _words(error: Exception) -> str:
    return str(getattr(error, "reason", error)) or type(error).__name__


def part_path(remote: Remote, target: Path) -> Path:
    """Returns where an unfinished `target` is kept; another version of the file has another name."""
    return target.with_name(f"{target.name}.{remote.checksum[:12]}.part")


def missing_bytes(remote: Remote, target: Path) -> int:
    """Returns how many bytes are still to come, given what an earlier call left behind."""
    with contextlib.suppress(OSError):
        return max(0, remote.size - part_path(remote, target).stat().st_size)
    return remote.size


def matches(path: Path, checksum: str) -> bool:
    """Whether the file at `path` has this checksum (SHA-256, or Git's for a blob). Raises OSError."""
    if len(checksum) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == checksum


def fetch(
    remote: Remote,
    target: Path,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Path:
    """Returns `target` once it holds the whole remote file, verified; another file of that name is set aside.

    `progress` is called with the name, the bytes that are here and the size. Raises DownloadStopped when
    `should_stop` says so and DownloadError otherwise; what `progress` raises passes through, unless it is an
    OSError, which counts as the disk's. What has arrived survives all of these and a killed process too,
    except when the complete file fails its checksum.
    """
    part = part_path(remote, target)
    busy = f"another program is downloading {part.name} just now; wait for it to end and try again"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(Path(f"{part}.lock"), DownloadError(busy), remove=True):
            _receive(remote, part, progress=progress or _quiet, should_stop=should_stop or _never)
            _verify(remote, part)
            _set_aside(target)
            os.replace(part, target)
    except OSError as error:
        raise DownloadError(_disk_message(error, remote, part)) from error
    return target


def _quiet(name: str, done: int, size: int) -> None:
    pass


def _never() -> bool:
    return False


def _receive(remote: Remote, part: Path, *, progress: Progress, should_stop: ShouldStop) -> None:
    """Appends to `part` until it is complete; a lost connection is taken up again if it brought anything."""
    with part.open("ab", buffering=0) as file:  # unbuffered: a killed process loses nothing
        done = file.tell() if file.tell() <= remote.size else _restart(file)
        progress(remote.name, done, remote.size)
        while done < remote.size:
            before, reason = done, "the connection ended early"
            try:
                with contextlib.closing(_stream(remote, file, done)) as counts:
                    for count in counts:
                        done = count
                        progress(remote.name, done, remote.size)
                        if should_stop():
                            raise DownloadStopped(f"stopped: {remote.name}, {_kept(remote, done)}")
            except Lost as lost:
                reason = str(lost)
            if done <= before and done < remote.size:
                raise DownloadError(f"cannot fetch {remote.url}: {reason}; {_kept(remote, done)}")
        os.fsync(file.fileno())


def _kept(remote: Remote, done: int) -> str:
    return f"{done} of {remote.size} bytes are here; download it again to go on from there"


def _stream(remote: Remote, file: BinaryIO, done: int) -> Iterator[int]:
    """Writes what one request brings and yields how many bytes are here each time; raises Lost."""
    with contextlib.closing(_open(remote, done)) as response:
        if done and not _continues(response, done):
            done = _restart(file)
        while done < remote.size and (chunk := _read(response, min(CHUNK, remote.size - done))):
            _write(file, chunk)
            done += len(chunk)
            yield done


def _write(file: BinaryIO, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[file.write(chunk) :]


def _restart(file: BinaryIO) -> int:
    file.truncate(0)
    return 0


def _continues(response: "HTTPResponse", done: int) -> bool:
    """A server may answer a request for the rest with the whole file."""
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")


def _open(remote: Remote, done: int) -> "HTTPResponse":
    request = _request(remote.url, "GET", remote.headers)
    if done:
        request.add_header("Range", f"bytes={done}-")
    return _answer(request)


def _read(response: "HTTPResponse", size: int) -> bytes:
    from http.client import HTTPException

    try:
        return response.read1(size)
    except (OSError, HTTPException) as error:
        raise Lost(_words(error)) from error


def _certificates() -> "ssl.SSLContext":
    """The system's certificates, certifi's where it is installed, and those a company's variable names."""
    import ssl

    context = ssl.create_default_context()
    with contextlib.suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.path.isfile(os.environ.get(variable, "")):
            context.load_verify_locations(os.environ[variable])
    return context


def _verify(remote: Remote, part: Path) -> None:
    if matches(part, remote.checksum):
        return
    part.unlink()
    raise DownloadError(
        f"{remote.url} arrived damaged: its checksum must be {remote.checksum}, and is not. "
        "It was removed; download it again, and if that does not help, without a mirror or proxy"
    )


def _set_aside(target: Path) -> None:
    """Renames a file of that name to the first free one of `.replaced`, `.replaced-2` and so on."""
    if not target.exists():
        return
    aside, number = target.with_name(f"{target.name}.replaced"), 2
    while os.path.lexists(aside):
        aside, number = target.with_name(f"{target.name}.replaced-{number}"), number + 1
    os.replace(target, aside)


def _disk_message(error: OSError, remote: Remote, part: Path) -> str:
    left = missing_bytes(remote, part.with_name(part.name.removesuffix(f".{remote.checksum[:12]}.part")))
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return (
            f"the disk that holds {part.parent} is full: {remote.name} needs {left} more bytes. Free them or "
            "choose another folder; what has arrived is kept, download again to go on from there"
        )
    reason = error.strerror or error
    return f"cannot write {remote.name} in {part.parent}: {reason}; choose a folder that you may write to"
