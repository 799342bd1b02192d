"""Prompt expansion: the user's prompt in, the same prompt with what TIPO adds to it out.

Every region (BREAK, AND, optionally lines) is read into tags and prose, `plan` says which passes of the
language model it needs, guides write them, and a layout puts the additions in. The result depends on the
request and the seed alone: variation k of seed s is the expansion of seed s + k. With the variety "tree" it
depends on the number of variations too.
Source: TIPO, arXiv 2411.08127; the wire format and the rules in `wire`, `plan` and `lengths`.
"""

from collections.abc import Sequence
from pathlib import Path

from ..hub import resolve, search_folders
from ..lm.checkpoint import load_language_model
from ..options import validate
from ..published.tipo import identify
from .expander import Expander, Hooks, Tipo
from .expansion import Expansion, OnProgress, Request, ShouldStop
from .tags import load_tags
from .writer import Writer

# Options that all rows of one batch share.
TOGETHER = ("temperature", "top_k", "top_p", "min_p", "max_new_tokens")


def load_tipo(
    name: str = "tipo-tiny",
    *,
    folders: Sequence[Path] = (),
    base: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    tag_lists: Sequence[Path] = (),
) -> Tipo:
    """Returns the model called `name` from `folders`, the folders of a host below `base`, or the usual ones.

    Nothing is downloaded. Raises ModelNotFound with the folders and the page, or ValueError for a bad file.
    """
    path = resolve(name, search_folders(folders, base=base))
    language = load_language_model(path, device=device, precision=precision)
    return Tipo(language, load_tags(tag_lists), identify(name))


def expand(request: Request, tipo: Tipo, **hooks) -> Expansion:
    """Returns the expansion of one prompt; see `expand_many`."""
    return expand_many(request, 1, tipo, **hooks)[0]


def expand_many(
    request: Request,
    count: int,
    tipo: Tipo,
    *,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> tuple[Expansion, ...]:
    """Returns `count` expansions, decoded in one batch; number k has the seed of the request plus k.

    With the variety "tree" all have the seed of the request: number k is another for another `count`.

    Raises ValueError for wrong options or ban patterns, and Interrupted within a token of `should_stop`.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    validate(request.options)
    hooks = Hooks(on_progress, should_stop)
    return _together([Expander(request, count, tipo, hooks)], tipo, hooks)[0].found


def expand_each(
    requests: Sequence[Request],
    tipo: Tipo,
    *,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> tuple[Expansion, ...]:
    """Returns one expansion for each request, those of different prompts decoded together.

    Each is what `expand` returns for its request alone. `Progress.variation` is the number of the request.
    Raises as `expand_many` does, before anything is written where options are wrong.
    """
    for request in requests:
        validate(request.options)
    hooks = Hooks(on_progress, should_stop)
    expanders = [Expander(request, 1, tipo, hooks, first=k) for k, request in enumerate(requests)]
    alike: dict[tuple, list[Expander]] = {}
    for expander in expanders:
        alike.setdefault(tuple(getattr(expander.options, name) for name in TOGETHER), []).append(expander)
    for group in alike.values():
        _together(group, tipo, hooks)
    return tuple(expander.found[0] for expander in expanders)


def _together(expanders: list[Expander], tipo: Tipo, hooks: Hooks) -> list[Expander]:
    """Runs requests, all their rows in one batch."""
    size = sum(expander.count for expander in expanders)
    writer = Writer(tipo.language, expanders[0].options, size, hooks.should_stop)
    writer.run([expander.run() for expander in expanders])
    return expanders
