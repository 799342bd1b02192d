"""Prompt expansion: the user's prompt in, the same prompt with what TIPO adds to it out.

Every region (BREAK, AND, optionally lines) is read into tags and prose, `plan` says which passes of the
language model it needs, guides write them, and a layout puts the additions in. The result depends on the
request and the seed alone: variation k of seed s is the expansion of seed s + k. With the variety "tree" it
depends on the number of variations too.
Source: TIPO, arXiv 2411.08127; the wire format and the rules in `wire`, `plan` and `lengths`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..hub import resolve, search_folders
from ..lm.checkpoint import LanguageModel, load_language_model
from ..lm.decode import Row, Session, decode
from ..lm.sampling import Sampling
from ..options import validate
from ..prompt.layout import find_layout
from .bans import compile_bans
from .branches import Branch, Branches, GroupGuide
from .draft import Draft, Rules, closed, shortened
from .expansion import (
    Expansion,
    OnProgress,
    PassReport,
    Progress,
    Refusal,
    Request,
    ShouldStop,
)
from .guide import ProseGuide, TagGuide
from .layouts import lay_out_regions, read_request
from .lengths import limits
from .options import MAX_SEED
from .plan import TRAINED, Inputs, Pass, plan, plan_task
from .registry import KnownModel, identify
from .tags import TagTable, load_tags
from .tree import search
from .wire import Fields, find_task, render

ROOM = 48  # tokens of the context that a request leaves free for the answer, at least


@dataclass(frozen=True, eq=False)
class Tipo:
    """A language model, the rules of that model if it is a known one, and the categories of tags."""

    language: LanguageModel
    tags: TagTable
    rules: KnownModel | None = None


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
    return _Expander(request, count, tipo, on_progress, should_stop).run()


class _Expander:
    """One request on its way through all its regions and passes."""

    def __init__(self, request: Request, count: int, tipo: Tipo, on_progress, should_stop):
        self.request, self.options, self.tipo = request, request.options, tipo
        self.on_progress, self.should_stop = on_progress, should_stop
        find_layout(self.options.layout)  # a wrong one is named before anything is written
        mode = "substring" if self.options.compat != "none" else self.options.ban_mode
        bans = compile_bans(self.options.ban, mode=mode, exact=request.drop)
        rules = Rules(self.options, tipo.tags, bans, tipo.rules)
        self.document = read_request(request, tipo.tags)
        seeds = [(self.options.seed + k) % (MAX_SEED + 1) for k in range(count)]
        self.drafts = [[Draft(region, seed, rules) for seed in seeds] for region in self.document.regions]
        for place in self.places():
            for draft in self.drafts[place]:
                draft.keep(request.kept(place, first=place == self.places()[0]))
        self.reports: list[PassReport] = []
        self.session: Session | None = None

    def run(self) -> tuple[Expansion, ...]:
        start = time.perf_counter()
        for place, passes in self.planned().items():
            for step in range(len(passes)):
                self.run_pass(place, passes, step)
        seconds = time.perf_counter() - start
        return tuple(self.expansion(k, seconds) for k in range(len(self.drafts[0])))

    def places(self) -> list[int]:
        """Returns the regions to expand: those that say something; the first where none does.

        An empty part, such as the line between two others, is there for a reason and stays empty.
        """
        regions = self.document.regions
        return [i for i, region in enumerate(regions) if region.tags or region.prose] or [0]

    def planned(self) -> dict[int, tuple[Pass, ...]]:
        """Returns the passes of each region; one that a chosen task has nothing to do with stays as it is.

        Raises ValueError where that is so of all of them.
        """
        planned, reasons = {}, []
        for place in self.places():
            try:
                planned[place] = self.passes(self.drafts[place][0])
            except ValueError as error:
                reasons.append(error)
                for draft in self.drafts[place]:
                    draft.notes.append(f"part {place + 1} of the prompt stays as it is: {error}")
        if not planned:
            raise reasons[0]
        return planned

    def passes(self, draft: Draft) -> tuple[Pass, ...]:
        """Returns the passes of a region; a pass that writes two fields becomes two, for two guides."""
        inputs = Inputs.from_lengths(
            has_tags=draft.tag_count > 0,
            has_prose=bool(draft.user_prose),
            tag_length=self.options.tag_length,
            prose_length=self.options.prose_length,
        )
        tasks = self.tipo.rules.tasks if self.tipo.rules else TRAINED
        if self.options.task != "auto":
            return plan_task(self.options.task, inputs, tasks=tasks)
        steps = []
        for step in plan(inputs, tasks=tasks, compat=self.options.compat):
            if step.also:
                prose = replace(step, writes="prose", length=self.options.prose_length, also="")
                steps += [prose, replace(step, fresh=True, start="tag", also="")]
            elif step.fresh or step.field in step.given:
                steps.append(step)
            else:  # nothing there to go on with
                steps.append(replace(step, fresh=True, start=step.field))
        return tuple(steps)

    def run_pass(self, place: int, passes: Sequence[Pass], number: int) -> None:
        """Runs one pass for all variations of a region and lets their drafts take what was written."""
        step, drafts = passes[number], self.drafts[place]
        start = time.perf_counter()
        rows = [
            Row(self.prompt(draft, step), self.guide(draft, step), draft.generator(place, number))
            for draft in drafts
        ]
        if self.may_branch(place, step, rows):
            tokens = self.grow(place, passes, number)
        else:
            self.decode(step, rows, lambda: self.report(place, passes, number, rows))
            for draft, row in zip(drafts, rows, strict=True):
                self.take(draft, step, row)
            tokens = sum(row.draws for row in rows)
        seconds = time.perf_counter() - start
        self.reports.append(PassReport(place, step.task or "tags", step.writes, tokens, seconds))

    def may_branch(self, place: int, step: Pass, rows: Sequence[Row]) -> bool:
        """Returns whether the variations of a pass grow as a tree; notes where that is wanted in vain."""
        if self.options.variety != "tree" or step.writes != "tags" or len(rows) == 1 or rows[0].guide.done:
            return False
        alike = all(row.prompt == rows[0].prompt for row in rows)
        for draft in () if alike else self.drafts[place]:
            draft.notes.append("the tags follow prose of each variation's own, so there was no tree to share")
        return alike

    def grow(self, place: int, passes: Sequence[Pass], number: int) -> int:
        """Grows the tags of all variations of a region as a tree; returns how many tokens were drawn."""
        step, drafts = passes[number], self.drafts[place]
        root = drafts[0]
        branches = Branches(
            self.prompt(root, step),
            guide=lambda draft: self.guide(draft, step, GroupGuide),
            write=lambda rows: self.decode(step, rows, on_step),
            generator=lambda group: root.generator(place, number, "group", group),
        )

        def on_step() -> None:
            self.tell(place, passes, number, [("", "")], branches.finished / len(drafts))

        leaves = search(Branch(root), branches.grow, len(drafts))
        for variation, draft in enumerate(drafts):
            leaf = leaves[variation % len(leaves)]
            drafts[variation] = leaf.draft.fork()
            drafts[variation].seed = draft.seed
            self.take(drafts[variation], step, leaf.row)
            if len(leaves) < len(drafts):
                drafts[variation].notes.append(
                    f"only {len(leaves)} different lists of tags were found for {len(drafts)} variations;"
                    " a higher temperature gives more"
                )
        texts = [", ".join(tag for tags in draft.added.values() for tag in tags) for draft in drafts]
        self.tell(place, passes, number, [(text, text) for text in texts], 1.0)
        return branches.draws

    def decode(self, step: Pass, rows: Sequence[Row], on_step: Callable[[], None]) -> None:
        """Writes the rows; where nothing is to be written there is one call of `on_step` all the same."""
        options = self.options
        tags, prose = options.tag_repetition_penalty, options.prose_repetition_penalty
        penalty = tags if step.writes == "tags" else prose
        if all(row.guide.done for row in rows):
            return on_step()
        return decode(
            self.room_for(max(len(row.prompt) for row in rows)),
            rows,
            Sampling(options.temperature, options.top_k, options.top_p, options.min_p, penalty),
            unpenalized=self.tipo.language.separators,
            max_new_tokens=options.max_new_tokens,
            should_stop=self.should_stop,
            on_step=on_step,
        )

    def prompt(self, draft: Draft, step: Pass) -> list[int]:
        """Returns the tokens of a request; one too long for the model is shortened, with a note."""
        fields = draft.fields(find_task(step.task).prose_field)
        room = self.tipo.language.config.context - ROOM
        share, tokens = 1.0, self.request_tokens(fields, step, room)
        while tokens is None:
            share /= 2
            shown = shortened(fields, share) if share > 1e-6 else Fields(aspect_ratio=fields.aspect_ratio)
            tokens = self.request_tokens(shown, step, room)
            note = f"the prompt is longer than the model's {room + ROOM} tokens; it was shown a part of it"
            draft.notes.extend([] if note in draft.notes else [note])
        return tokens

    def request_tokens(self, fields: Fields, step: Pass, room: int) -> list[int] | None:
        """Returns the tokens of a request, or None when they are more than `room`."""
        given = fields.content_tags if step.writes == "tags" else getattr(fields, step.field)
        fresh = step.fresh or not given
        start = step.start if step.fresh else step.field
        text = render(fields, task=step.task, length=step.length, fresh=fresh, start=start)
        text = text if fresh else closed(text, step)
        if len(text) > 16 * room:  # a token is at most some 16 letters: it need not be counted
            return None
        tokens = self.tipo.language.tokenizer.encode(text)
        return tokens if len(tokens) <= room else None

    def guide(self, draft: Draft, step: Pass, tags: type[TagGuide] = TagGuide) -> TagGuide | ProseGuide:
        bounds = limits(step.length, self.options.compat)
        if step.writes == "tags":
            return tags(
                self.tipo.language, draft, have=draft.tag_count, least=bounds.min_tags, most=bounds.max_tags
            )
        have = 0 if step.fresh else len(draft.sentences) + draft.user_sentences
        return ProseGuide(
            self.tipo.language, draft, have=have, least=bounds.min_sentences, most=bounds.max_sentences
        )

    def room_for(self, prompt: int) -> Session:
        """Returns the session of this request, made larger when a prompt needs it."""
        language = self.tipo.language
        length = min(language.config.context, prompt + self.options.max_new_tokens)
        if self.session is None or self.session.length < length:
            length = min(language.config.context, -(-length // 256) * 256)
            # What a row knows must not depend on how long the others are, or its numbers would, too.
            new = self.session.grown if self.session else partial(Session, language, len(self.drafts[0]))
            self.session = new(length)
        return self.session

    def take(self, draft: Draft, step: Pass, row: Row) -> None:
        """Lets a draft have what was written, and notes where that is less than was asked for."""
        guide, what = row.guide, "tags" if step.writes == "tags" else "sentences"
        draft.refused.update(guide.refused)
        if isinstance(guide, ProseGuide):
            (draft.caption if step.fresh and not draft.user_prose else draft.sentences).extend(guide.found)
        if not row.draws:
            have = f"the prompt has {guide.count} already, and {step.length} allows {guide.most}"
            draft.notes.append(f"no {what} were added: {have}")
        elif guide.count < guide.least:
            limit = f"max_new_tokens {self.options.max_new_tokens} or the context of the model was reached"
            why = limit if guide.stopped else "the model found no more"
            draft.notes.append(f"{guide.count} {what} of at least {guide.least} for {step.length}: {why}")
        elif not (draft.added if step.writes == "tags" else guide.found):
            draft.notes.append(f"no {what} were added: {guide.count} is enough for {step.length}")

    def report(self, place: int, passes: Sequence[Pass], number: int, rows: Sequence[Row]) -> None:
        if self.on_progress is None:
            return
        guides = [row.guide for row in rows]
        part = sum(1.0 if g.done else min(g.count / max(g.most, 1), 1.0) for g in guides) / len(guides)
        self.tell(place, passes, number, [(guide.text, guide.settled) for guide in guides], part)

    def tell(self, place: int, passes: Sequence[Pass], number: int, texts, part: float) -> None:
        """Reports a pass, of which `part` is done: what is written and what of it stays, by variation."""
        if self.on_progress is None:
            return
        places = self.places()
        fraction = (places.index(place) + (number + min(part, 1.0)) / len(passes)) / len(places)
        for variation, (text, settled) in enumerate(texts):
            self.on_progress(Progress(variation, place, passes[number].writes, text, settled, fraction))

    def expansion(self, variation: int, seconds: float) -> Expansion:
        drafts = [of_region[variation] for of_region in self.drafts]
        laid_out = lay_out_regions(
            self.request, self.document, [draft.result() for draft in drafts], seed=drafts[0].seed
        )
        return replace(
            laid_out,
            seed=self.options.seed if self.options.variety == "tree" else drafts[0].seed,
            refusals=tuple(Refusal(*item) for draft in drafts for item in draft.reasons()),
            notes=tuple(dict.fromkeys(note for draft in drafts for note in draft.notes)),
            passes=tuple(self.reports),
            seconds=seconds,
        )
