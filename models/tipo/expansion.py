"""What goes into a prompt expansion and what comes out of it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from .options import ExpandOptions


@dataclass(frozen=True)
class Request:
    """A prompt to expand. `prose` is natural language that the user wrote in a box of its own.

    `comments` says whose comments the prompt may have: "webui" (`#`), "comfyui" (`//`, `/* */`), "auto" or
    "none".
    `keep` are additions of an earlier expansion that are to come again, each a tag or a pair of the number of
    its region and the tag; `drop` are tags that are not to come again, as they stand, without patterns.
    """

    prompt: str
    prose: str = ""
    options: ExpandOptions = field(default_factory=ExpandOptions)
    comments: str = "auto"
    keep: tuple[str | tuple[int, str], ...] = ()
    drop: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("prompt", "prose"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be text, got {type(getattr(self, name)).__name__}")

    def kept(self, region: int, *, first: bool) -> list[str]:
        """Returns the tags that region keeps; the `first` one has those for which no region is named."""
        pairs = ((None, item) if isinstance(item, str) else item for item in self.keep)
        return [tag for number, tag in pairs if number == region or (number is None and first)]


@dataclass(frozen=True)
class PassReport:
    """One run of the model: its task, what it wrote for the user, tokens drawn (those taken back too)."""

    region: int
    task: str
    writes: str
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Refusal:
    """An addition that the model wanted and that was taken back, with the reason."""

    text: str
    reason: str


@dataclass(frozen=True)
class RegionExpansion:
    """One region: the user's tags and the added ones by category, the user's prose, the added sentences.

    `continued` are sentences that go on with the user's prose, `caption` those written afresh.
    """

    text: str
    user_tags: Mapping[str, tuple[str, ...]]
    added_tags: Mapping[str, tuple[str, ...]]
    user_prose: str
    continued: tuple[str, ...] = ()
    caption: tuple[str, ...] = ()

    @property
    def added_prose(self) -> tuple[str, ...]:
        """All added sentences."""
        return (*self.continued, *self.caption)


@dataclass(frozen=True)
class Expansion:
    """An expanded prompt.

    `original` is the request's prompt, without the prose of its own box; `prompt` is what to give to the
    image model; `user_prompt` is the same layout without additions, `added` the additions alone; `tags` and
    `prose` are the user's, as they were written, and the added together. All are spelled for a prompt, with
    brackets escaped; what `regions` and `refusals` hold is plain text.
    """

    request: Request
    original: str
    prompt: str
    user_prompt: str
    added: str
    tags: str
    prose: str
    seed: int
    regions: tuple[RegionExpansion, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    passes: tuple[PassReport, ...] = ()
    seconds: float = 0.0

    def as_dict(self) -> dict:
        """Returns the expansion as JSON knows it."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """Where an expansion is: what a pass has written so far for one variation, and 0..1 of it all.

    `text` may end in an unfinished word that is taken back later; `settled` stays.
    """

    variation: int
    region: int
    writes: str
    text: str
    settled: str
    fraction: float


OnProgress = Callable[[Progress], None]
ShouldStop = Callable[[], bool]
