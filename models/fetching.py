"""Fetches a published model when a person asks for it by name, in that moment.

Convention: what has arrived is verified and stays, so that the next time goes on from there. Finding what is
here is `hub`'s, and moving one file is `transfer`'s.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from .hub import by_hand
from .published.known import Known, KnownFile
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
    wanted = {file: file.place(folder) for file in files if not _is_here(file.place(folder), file)}
    remotes = {file: _announced(known, file, by_hand(known, files, folder)) for file in wanted}
    wanted = {file: path for file, path in wanted.items() if not _has(path, remotes[file].checksum)}
    _check_space(folder, {path: remotes[file] for file, path in wanted.items()})
    for file, path in wanted.items():
        if should_stop and should_stop():
            raise DownloadStopped(f"stopped before {file.name}; download it again to go on from there")
        fetch(remotes[file], path, progress=progress, should_stop=should_stop)
    last = files[-1].place(folder)
    return last if last.suffix == ".gguf" else last.parent


def _is_here(path: Path, file: KnownFile) -> bool:
    return file.sha256 is not None and _has(path, file.sha256)


def _has(path: Path, checksum: str) -> bool:
    return path.is_file() and matches(path, checksum)


def _announced(known: Known, file: KnownFile, how: str) -> Remote:
    """What the hub says of a file, compared with what the table knows; raises DownloadError.

    huggingface_hub gives the address, the token and whether it is told to stay offline; these three are the
    same from 0.19 to 2.x.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    endpoint, repo = _endpoint(), file.repo or known.repo
    url = hf_hub_url(repo, file.path, revision="main", endpoint=endpoint)
    if constants.HF_HUB_OFFLINE:
        raise DownloadError(f"HF_HUB_OFFLINE is set, so {url} is not asked for; unset it.\n{how}")
    token = build_hf_headers()
    try:
        facts = announced(url, token)
        exact = hf_hub_url(repo, file.path, revision=facts.commit, endpoint=endpoint)
        remote = Remote(file.name, exact, int(facts.size), facts.checksum, token)
    except Lost as lost:
        raise DownloadError(f"{_reason(lost, url)}\n{how}") from lost
    except ValueError as error:
        raise DownloadError(
            f"{url} does not say how large it is or which checksum it has, so it cannot be verified; "
            f"try again without a mirror or proxy.\n{how}"
        ) from error
    if file.sha256 and remote.checksum != file.sha256:
        raise DownloadError(
            f"{url} is not the file that this version of Presample knows: its checksum must be "
            f"{file.sha256}, the server says {remote.checksum}. Update Presample.\n{how}"
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
