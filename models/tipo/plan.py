"""Which passes of the language model a request needs, from what is given and what is wanted.

Every training sample produces one kind of output, so tags, a continued text and a fresh caption take a pass
each. Source: `parse_tipo_request` of tipo-kgen 0.3.1, followed to the letter with compat="kgen-0.3.1"; ours
differ from it where it repeats a pass, uses the length of the other kind, ignores what was asked, or
crashes.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from .lengths import check_compat
from .wire import TASKS, find_task

TRAINED = tuple(name for name in TASKS if name)


@dataclass(frozen=True)
class Inputs:
    """What the user gave and wants; `caption` asks for a caption written afresh."""

    has_tags: bool
    has_prose: bool
    expand_tags: bool
    expand_prose: bool
    caption: bool = False
    tag_length: str = "long"
    prose_length: str = "long"
    tags_first: bool = True

    @classmethod
    def from_lengths(cls, *, has_tags: bool, has_prose: bool, tag_length: str, prose_length: str, **others):
        """Returns inputs where the length "none" means not wanted; prose from nothing is a caption."""
        wanted = prose_length != "none"
        others.setdefault("caption", wanted and not has_prose)
        return cls(
            has_tags=has_tags,
            has_prose=has_prose,
            expand_tags=tag_length != "none",
            expand_prose=wanted,
            tag_length=tag_length,
            prose_length=prose_length,
            **others,
        )


@dataclass(frozen=True)
class Pass:
    """One run of the model.

    `given` are the content fields that have text, in their order. A pass that is not `fresh` goes on in the
    last of them; a fresh one writes `start` anew. `writes` is what the user gets of it, "tags" or "prose",
    in the field `field`; `also` is "prose" where the user's prose is continued before the tags are written.
    """

    task: str | None
    length: str
    fresh: bool
    writes: str
    given: tuple[str, ...] = ()
    start: str | None = None
    also: str = ""

    @property
    def field(self) -> str:
        """The content field whose text the user gets."""
        if self.writes == "tags":
            return "tag"
        if self.fresh or self.prose_field not in self.given:
            return "long"
        return self.prose_field

    @property
    def prose_field(self) -> str:
        """The content field in which the user's prose is given."""
        return find_task(self.task).prose_field


def plan(inputs: Inputs, *, tasks: Collection[str] = TRAINED, compat: str = "none") -> tuple[Pass, ...]:
    """Returns the passes in their order; none when nothing is wanted, and then the prompt stays as it is.

    `tasks` are those the model was trained on: another is replaced by its nearest relative. With
    compat="kgen-0.3.1" they are KGen's passes, which take no notice of `tasks`.
    Raises ValueError for an unknown `compat`.
    """
    check_compat(compat)
    if compat == "none":
        rows = [_allowed(row, tasks) for row in _ours(inputs)]
    else:
        rows = _kgen(inputs)
    return _with_given(rows, inputs)


def plan_task(name: str, inputs: Inputs, *, tasks: Collection[str] = TRAINED) -> tuple[Pass, ...]:
    """Returns the passes of one task alone: one for each field that it writes. "tags" goes on with tags.

    Raises ValueError where the field that the task starts from is empty, where nothing that it writes is
    wanted, and for a task that the model was not trained on.
    """
    task = None if name == "tags" else name
    fields = find_task(task).fields
    if task is not None and task not in tasks:
        raise ValueError(f"the task must be one the model knows ({', '.join(tasks)}), got {name}")
    if fields[0] != "tag" and not inputs.has_prose:
        raise ValueError(f"the task {name} starts from prose, and the prompt has none; write a sentence")
    if task and fields[0] == "tag" and not inputs.has_tags:
        raise ValueError(f"the task {name} starts from tags, and the prompt has none; write a tag")
    rows = [_written(task, key, inputs) for key in (fields[1:] if task else fields)]
    wanted = {"tags": inputs.expand_tags, "prose": inputs.expand_prose}
    rows = [row for row in rows if wanted[row.writes]]
    if not rows:
        raise ValueError(f"the task {name} must have something to write, but the length of it is none")
    return _with_given(rows, inputs)


def _written(task: str | None, key: str, inputs: Inputs) -> Pass:
    """The pass that writes one field of a task; tags go on where there are some."""
    if key == "tag":
        return _tags(task, inputs, fresh=not inputs.has_tags)
    return replace(_prose(task, inputs, fresh=True), start=key)


def _tags(task: str | None, inputs: Inputs, *, fresh: bool = False) -> Pass:
    return Pass(task, inputs.tag_length, fresh, "tags")


def _prose(task: str | None, inputs: Inputs, *, fresh: bool = False) -> Pass:
    return Pass(task, inputs.prose_length, fresh, "prose")


def _ours(inputs: Inputs) -> list[Pass]:
    rows: list[Pass] = []
    if inputs.has_tags and inputs.has_prose:
        rows = _both(inputs)
    elif inputs.has_prose:
        if inputs.expand_tags:
            row = _tags("long_to_tag", inputs, fresh=not inputs.expand_prose)
            rows = [replace(row, also="prose" if inputs.expand_prose else "")]
        elif inputs.expand_prose:
            rows = [_prose("long_to_tag", inputs)]  # the tags that would follow are not wanted
    elif inputs.expand_tags:
        rows = [_tags(None, inputs)]
    if inputs.caption:
        rows.append(_caption(inputs))
    return rows


def _both(inputs: Inputs) -> list[Pass]:
    """Tags and prose given: whichever comes second already sees what the first has added."""
    if inputs.tags_first or not (inputs.expand_tags and inputs.expand_prose):
        rows = [_tags("short_to_tag", inputs), _prose("tag_to_long", inputs)]
    else:
        rows = [_prose("tag_to_long", inputs), _tags("long_to_tag", inputs)]
    wanted = {"tags": inputs.expand_tags, "prose": inputs.expand_prose}
    return [row for row in rows if wanted[row.writes]]


def _caption(inputs: Inputs) -> Pass:
    """The pass that writes a caption afresh from all there is by then."""
    if not inputs.has_prose:
        return _prose("tag_to_long", inputs, fresh=inputs.has_tags)
    if not inputs.has_tags and not inputs.expand_tags:
        return _prose("short_to_long", inputs, fresh=True)
    prose_last = inputs.has_tags and inputs.expand_prose and (not inputs.expand_tags or not inputs.tags_first)
    return _prose("tag_to_short_to_long" if prose_last else "short_to_tag_to_long", inputs, fresh=True)


def _allowed(row: Pass, tasks: Collection[str]) -> Pass:
    """The row, or its nearest relative: v2 models have no short_to_long and write tags on the way."""
    if row.task is None or row.task in tasks:
        return row
    if row.task == "short_to_long" and "short_to_tag_to_long" in tasks:
        return replace(row, task="short_to_tag_to_long", start="tag")
    raise ValueError(
        f"a model must know the task {row.task} or a relative of it, got {', '.join(tasks) or 'none'}"
    )


def _kgen(inputs: Inputs) -> list[Pass]:
    """`parse_tipo_request` of tipo-kgen 0.3.1; no passes where that ends in an exception for want of them."""
    inputs = replace(
        inputs,
        tag_length="long" if inputs.tag_length in ("", "none") else inputs.tag_length,
        prose_length="long" if inputs.prose_length in ("", "none") else inputs.prose_length,
    )
    rows: list[Pass] = []
    caption = _prose("short_to_tag_to_long", inputs, fresh=True)
    if not inputs.has_tags and not inputs.has_prose:
        rows, caption = [_tags(None, inputs)], _prose("tag_to_long", inputs)
    elif not inputs.has_prose:
        rows = [_tags(None, inputs)] if inputs.expand_tags else []
        caption = _prose("tag_to_long", inputs, fresh=True)
    elif not inputs.has_tags:
        row = _tags("long_to_tag", inputs, fresh=not inputs.expand_prose)
        rows = [replace(row, also="prose" if inputs.expand_prose else "")]
    elif inputs.expand_tags != inputs.expand_prose:
        rows, caption = _kgen_one(inputs)
    elif inputs.expand_tags:
        rows = _both(inputs)
        caption = caption if inputs.tags_first else replace(caption, task="tag_to_short_to_long")
    return [*rows, caption] if inputs.caption else rows


def _kgen_one(inputs: Inputs) -> tuple[list[Pass], Pass]:
    """One kind expanded of two given: a caption is always written, and again when one is asked for."""
    if inputs.expand_tags:
        caption = _prose("short_to_tag_to_long", inputs, fresh=True)
        return [_tags("short_to_tag", inputs), caption], caption
    caption = _prose("tag_to_short_to_long", inputs, fresh=True)
    return [replace(_prose("tag_to_long", inputs), length=inputs.tag_length), caption], caption


def _with_given(rows: list[Pass], inputs: Inputs) -> tuple[Pass, ...]:
    """The rows with the fields each has text for, counting what the passes before it wrote."""
    tags, prose = inputs.has_tags, inputs.has_prose
    passes = []
    for row in rows:
        there = {"tag": tags, row.prose_field: prose}
        start = (row.start or find_task(row.task).fields[-1]) if row.fresh else None
        order = find_task(row.task).fields
        before = order if start is None else order[: order.index(start)]
        passes.append(replace(row, start=start, given=tuple(key for key in before if there.get(key))))
        tags = tags or row.writes == "tags"
        prose = prose or row.writes == "prose"
    return tuple(passes)
