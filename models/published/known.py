"""What is known of a published model before any of it is here: its name, its page and its files.

Convention: sizes are bytes, exact where a Git LFS pointer was seen and rounded where only a page's figure
("406 MB") was; they are shown and never verified. `sha256` is what the file's page or Git LFS pointer states;
None where no public copy of that page was found, and then the checksum that the hub announces with the file
is the one a download is verified against.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KnownFile:
    """One file of a repository; `path` is its place there and `local` its place in a model folder.

    `repo` is the repository where that is not its model's own.
    """

    path: str
    local: str
    size: int | None
    sha256: str | None = None
    repo: str | None = None

    @property
    def name(self) -> str:
        """The last part of `path`, which is what a person sees on the page."""
        return self.path.rpartition("/")[2]

    def place(self, folder: Path) -> Path:
        """Returns where it belongs in a folder of models."""
        return folder.joinpath(*self.local.split("/"))


@dataclass(frozen=True)
class Known:
    """A published model; without a repository it comes with this package."""

    name: str
    repo: str | None

    @property
    def page(self) -> str | None:
        """The model's page, with its licence and its files."""
        return page_of(self.repo) if self.repo else None

    @property
    def standard(self) -> tuple[KnownFile, ...]:
        """What a download consists of when nobody names its files, the weights last."""
        raise NotImplementedError


def page_of(repo: str) -> str:
    """Returns the address of a repository's page."""
    return f"https://huggingface.co/{repo}"
