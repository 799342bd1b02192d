"""One request on its way: regions are read, passes planned, rows prepared, and what was written is taken.

Convention: an Expander writes nothing itself. It yields Work, whoever runs it writes the rows, and then it
goes on; so the passes of several requests can be written together.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..lm.checkpoint import LanguageModel
from ..lm.decode import Row
from ..prompt.layout import find_layout
from ..published.tipo import KnownModel
from .branches import Branch, Branches, GroupGuide
from .conflicts import Picture
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
from .layouts import expandable, lay_out_regions, of_one_picture, read_request, request_bans
from .lengths import limits
from .options import seed_after, variation_seed
from .plan import TRAINED, Inputs, Pass, plan, plan_task
from .tags import TagTable
from .tree import search
from .unknown_words import unknown_words
from .wire import Fields, find_task, render
from .writer import Work, Writer

ROOM = 48  # tokens of the context that a request leaves free for the answer, at least
TAG, SENTENCE = 6, 32  # tokens that one takes, about
SHORTER = 0.8  # the share of a request that is too long that is tried next
MOST_DRAFTS = 16_384  # regions times variations of one request


@dataclass(frozen=True, eq=False)
class Tipo:
    """A language model, the rules of that model if it is a known one, and the categories of tags."""

    language: LanguageModel
    tags: TagTable
    rules: KnownModel | None = None


@dataclass(frozen=True)
class Hooks:
    """Whom an expansion tells how far it is, and who may stop it."""

    on_progress: OnProgress | None = None
    should_stop: ShouldStop | None = None


class Expander:
    """One request on its way through all its regions and passes, `count` variations of it at once.

    `first` is the number that the first variation has in what is reported.
    """

    def __init__(self, request: Request, count: int, tipo: Tipo, hooks: Hooks, *, first: int = 0):
        self.request, self.options, self.tipo = request, request.options, tipo
        self.hooks, self.first, self.count = hooks, first, count
        find_layout(self.options.layout)  # a wrong one is named before anything is written
        rules = Rules(self.options, tipo.tags, request_bans(request), tipo.rules)
        self.document = read_request(request, tipo.tags)
        parts = len(self.document.regions)
        if parts * count > MOST_DRAFTS:
            raise ValueError(
                f"parts of a prompt times variations must be at most {MOST_DRAFTS}, got {parts} parts and "
                f"{count} variations; ask for fewer variations at once, or join parts"
            )
        seeds = [seed_after(self.options.seed, k) for k in range(count)]
        self.drafts = [[Draft(region, seed, rules) for seed in seeds] for region in self.document.regions]
        self.join_parts()
        for place in self.places:
            for draft in self.drafts[place]:
                draft.keep(request.kept(place, first=place == self.places[0]))
        self.plan = self.planned()
        self.note_unknown_words()
        self.reports: list[PassReport] = []
        self.found: tuple[Expansion, ...] = ()

    def run(self) -> Iterator[Work]:
        """Yields what is to be written, one pass after the other; in the end `found` has the expansions."""
        start = time.perf_counter()
        for place, passes in self.plan.items():
            for step in range(len(passes)):
                yield from self.run_pass(place, passes, step)
        seconds = time.perf_counter() - start
        self.found = tuple(self.expansion(k, seconds) for k in range(self.count))

    def join_parts(self) -> None:
        """Lets the parts of one picture heed what the user says in the others, and what was added there.

        What the variations of a tree add to a part differs, while their next part may share a tree again: it
        heeds the user's words alone.
        """
        parts = of_one_picture(self.document)
        if self.options.avoid_conflicts and len(parts) > 1:
            for k in range(self.count):
                Picture([self.drafts[part][k].conflicts for part in parts])

    @cached_property
    def places(self) -> list[int]:
        """The regions to expand; raises ValueError where AND takes all of them away."""
        places = expandable(self.document)
        if not places:
            raise ValueError(
                "a part of the prompt must be wanted, and AND takes all away: give one a weight above 0"
            )
        return places

    def planned(self) -> dict[int, tuple[Pass, ...]]:
        """Returns the passes of each region; one that a chosen task has nothing to do with stays as it is.

        Raises ValueError where that is so of all of them.
        """
        planned, reasons = {}, []
        for place in self.places:
            try:
                planned[place] = self.passes(self.drafts[place][0])
            except ValueError as error:
                reasons.append(error)
                for draft in self.drafts[place]:
                    draft.notes.append(f"part {place + 1} of the prompt stays as it is: {error}")
        if not planned:
            raise reasons[0]
        return planned

    def note_unknown_words(self) -> None:
        """Notes the words of the prompt that a model of one small world never learned."""
        rules = self.tipo.rules
        if rules is None or not rules.world:
            return
        for drafts in self.drafts:
            texts = (*drafts[0].region.tags, drafts[0].user_prose)
            if words := unknown_words(texts, self.tipo.language.tokenizer):
                named = ", ".join(words[:5]) + (", ..." if len(words) > 5 else "")
                note = f"{rules.name} knows {rules.world} only, and nothing of {named}; choose another model"
                for draft in drafts:
                    draft.notes.append(note)

    def passes(self, draft: Draft) -> tuple[Pass, ...]:
        """Returns the passes of a region; a pass that writes two fields becomes two, for two guides."""
        chosen = self.options.task != "auto"
        inputs = Inputs.from_lengths(
            has_tags=draft.tag_count > 0 or (chosen and any(draft.user.values())),
            has_prose=bool(draft.user_prose),
            tag_length=self.options.tag_length,
            prose_length=self.options.prose_length,
        )
        tasks = self.tipo.rules.tasks if self.tipo.rules else TRAINED
        if chosen:
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

    def run_pass(self, place: int, passes: Sequence[Pass], number: int) -> Iterator[Work]:
        """Runs one pass for all variations of a region and lets their drafts take what was written."""
        step, drafts = passes[number], self.drafts[place]
        start = time.perf_counter()
        rows = [
            Row(
                self.prompt(draft, step),
                self.guide(draft, step),
                draft.generator(place, number),
                repetition_penalty=self.penalty(step),
            )
            for draft in drafts
        ]
        if self.may_branch(place, step, rows):
            tokens = self.grow(place, passes, number)
        else:
            yield Work(rows, lambda: self.report(place, passes, number, rows))
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
        root, writer = drafts[0], Writer(self.tipo.language, self.options, self.count, self.hooks.should_stop)
        branches = Branches(
            self.prompt(root, step),
            guide=lambda draft: self.guide(draft, step, GroupGuide),
            write=lambda rows: writer.write(rows, on_step),
            generator=lambda group: root.generator(place, number, "group", group),
            repetition_penalty=self.penalty(step),
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

    def penalty(self, step: Pass) -> float:
        """Returns the penalty on tokens that a pass repeats."""
        options = self.options
        return options.tag_repetition_penalty if step.writes == "tags" else options.prose_repetition_penalty

    def prompt(self, draft: Draft, step: Pass) -> list[int]:
        """Returns the tokens of a request; one too long for the model is shortened, with a note.

        Raises ValueError where the model has no room for one that says nothing.
        """
        fields = draft.fields(find_task(step.task).prose_field)
        context = self.tipo.language.config.context
        room = context - self.room(draft, step)
        share, tokens = 1.0, self.request_tokens(fields, step, room)
        while tokens is None:
            if share <= 1e-6:
                raise ValueError(
                    f"the model must have room for a request and an answer, got {context} tokens in all; "
                    "its config is damaged, or it is no TIPO: get it again, or choose another one"
                )
            share *= SHORTER
            shown = shortened(fields, share) if share > 1e-6 else Fields(aspect_ratio=fields.aspect_ratio)
            tokens = self.request_tokens(shown, step, room)
            note = f"the prompt is longer than the model's {context} tokens; it was shown a part of it"
            draft.notes.extend([] if note in draft.notes else [note])
        return tokens

    def room(self, draft: Draft, step: Pass) -> int:
        """Returns how many tokens of the context are left free for the answer: enough for the least of it."""
        if self.options.compat != "none":
            return ROOM
        bounds, context = limits(step.length), self.tipo.language.config.context
        if step.writes == "tags":
            wanted = TAG * (bounds.min_tags - self.have(draft, step))
        else:
            wanted = SENTENCE * (bounds.min_sentences - self.have(draft, step))
        return max(ROOM, min(wanted, self.options.max_new_tokens, context // 3))

    def have(self, draft: Draft, step: Pass) -> int:
        """Returns how many tags, or sentences, a pass counts before it writes any."""
        if step.writes == "tags":
            return draft.tag_count
        return 0 if step.fresh else len(draft.sentences) + draft.user_sentences

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
        bounds, have = limits(step.length, self.options.compat), self.have(draft, step)
        if step.writes == "tags":
            return tags(self.tipo.language, draft, have=have, least=bounds.min_tags, most=bounds.max_tags)
        return ProseGuide(
            self.tipo.language, draft, have=have, least=bounds.min_sentences, most=bounds.max_sentences
        )

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
        if self.hooks.on_progress is None:
            return
        guides = [row.guide for row in rows]
        part = sum(1.0 if g.done else min(g.count / max(g.most, 1), 1.0) for g in guides) / len(guides)
        self.tell(place, passes, number, [(guide.text, guide.settled) for guide in guides], part)

    def tell(self, place: int, passes: Sequence[Pass], number: int, texts, part: float) -> None:
        """Reports a pass, of which `part` is done: what is written and what of it stays, by variation."""
        if self.hooks.on_progress is None:
            return
        done = self.places.index(place) + (number + min(part, 1.0)) / len(passes)
        fraction = done / len(self.places)
        for variation, (text, settled) in enumerate(texts):
            progress = Progress(self.first + variation, place, passes[number].writes, text, settled, fraction)
            self.hooks.on_progress(progress)

    def expansion(self, variation: int, seconds: float) -> Expansion:
        drafts = [of_region[variation] for of_region in self.drafts]
        laid_out = lay_out_regions(
            self.request, self.document, [draft.result() for draft in drafts], seed=drafts[0].seed
        )
        return replace(
            laid_out,
            seed=variation_seed(self.options, variation),
            refusals=tuple(Refusal(*item) for draft in drafts for item in draft.reasons()),
            notes=(*dict.fromkeys(note for draft in drafts for note in draft.notes), *laid_out.notes),
            passes=tuple(self.reports),
            seconds=seconds,
        )
