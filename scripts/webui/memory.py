"""What a session knows of its expansions: which texts are some, what they added, which pictures have them."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...models.tipo.expansion import Expansion, Request
from ...models.tipo.held import Made, holds, made_words, prompt_words
from ...models.tipo.infotext import read
from ...models.tipo.tags import load_tags

REMEMBERED = 1024
SAME_IMAGE = 63  # more expansions of one prompt for one seed of an image, such as those of a grid's cells
# How much of an expansion a changed text must still hold: half of one that was in the prompt box, to be
# changed there; most of one that only pictures have, for prompts of one subject share much with these many.
SHARE_IN_BOX, SHARE_IN_PICTURES = 0.5, 0.8

Pairs = Mapping[str, str]


@dataclass(frozen=True)
class Done:
    """What was made of a job: of which requests, its prompts afterwards, and what its infotexts say.

    `made` has their expansions, None for a prompt that stayed as it was.
    """

    requests: tuple[Request, ...]
    extras: Mapping[str, str]
    after: tuple[str, ...]
    pairs: Mapping[str, str | list[str | None]]
    made: tuple[Expansion | None, ...]


@dataclass(eq=False)
class Memory:
    """Expansions of this session: a text that is one already is not expanded again, nor a job made twice.

    `texts` has what the infotext says of each; `added` what it was made of, and how much of that a changed
    text must hold; `images` the expansions of a prompt for the seed of an image, the latest last; `pictures`
    the expansions of a job by the infotexts of its pictures; `previews` what the prompt box has in the end,
    by what it had while that was written; `last` is the last job, which comes again for every cell of a grid
    and every tile of a picture.
    """

    texts: OrderedDict[str, Pairs] = field(default_factory=OrderedDict)
    added: OrderedDict[str, tuple[Made, float]] = field(default_factory=OrderedDict)
    images: OrderedDict[tuple[str, int], tuple[str, ...]] = field(default_factory=OrderedDict)
    pictures: OrderedDict[str, tuple[Expansion, ...]] = field(default_factory=OrderedDict)
    previews: OrderedDict[str, str] = field(default_factory=OrderedDict)
    last: Done | None = None

    def said(self, text: str) -> Pairs | None:
        """Returns what the infotext says of an expansion; None for a text that is none."""
        return self.texts.get(bare(text))

    def before(self, text: str) -> str:
        """Returns what a text was before it was expanded, the text itself where it is no expansion."""
        record = read(self.said(text) or {})
        return record.prompt if record and record.prompt is not None else text

    def holds(self, request: Request) -> bool:
        """Returns whether a prompt still holds what an expansion added, though it was changed since."""
        if not self.added:
            return False
        said = prompt_words(request, tags=load_tags())
        return any(holds(said, made, share=share) for made, share in self.added.values())

    def made(self, infotexts: Sequence[str]) -> list[Expansion]:
        """Returns what the jobs made that pictures with these infotexts come from."""
        jobs = {id(made): made for made in map(self.pictures.get, infotexts) if made}
        return [expansion for made in jobs.values() for expansion in made]

    def add(self, before: str, after: str, pairs: Pairs, images: Sequence[int] = ()) -> None:
        """Remembers a text as an expansion, unless it is what it was, and for the seeds of which images."""
        if before != after:
            self.texts[bare(after)] = pairs
        for image in images:
            others = [text for text in self.images.pop((before, image), ()) if text != after]
            self.images[before, image] = (*others[-SAME_IMAGE:], after)
        self._forget()

    def of_image(self, before: str, image: int, infotext: str) -> str | None:
        """Returns the expansion of a prompt for the seed of an image: of several that with which its infotext
        begins, or the latest; None where there is none."""
        known = self.images.get((before, image), ())
        said = [text for text in known if bare(infotext).startswith(bare(text))]
        return max(said, key=len) if said else next(reversed(known), None)

    def add_words(self, made: Expansion, share: float) -> None:
        """Remembers what an expansion added; a changed text that holds this share of it is still that one."""
        text = bare(made.prompt)
        _, least = self.added.get(text, (None, share))
        self.added[text] = made_words(made, tags=load_tags()), min(share, least)
        self._forget()

    def add_pictures(self, infotexts: Sequence[str], made: Sequence[Expansion]) -> None:
        """Remembers what the pictures of a job were made with."""
        self.pictures.update(dict.fromkeys(infotexts, tuple(made)))
        self._forget()

    def add_previews(self, previews: Sequence[str], whole: str) -> None:
        """Remembers what the prompt box has while a text is written: the whole is that, or what it was."""
        self.previews.update(dict.fromkeys(previews, whole))
        self.previews.pop(whole, None)
        self._forget()

    def _forget(self) -> None:
        for each in (self.texts, self.added, self.images, self.pictures, self.previews):
            while len(each) > REMEMBERED:
                each.popitem(last=False)


def has_comments() -> bool:
    """Returns whether the host takes comments out of prompts; some can be told not to."""
    from modules import shared

    return bool(getattr(shared.opts, "enable_prompt_comments", True))


def bare(text: str) -> str:
    """Returns a text as it comes back from a picture: hosts drop comments and blanks around lines."""
    return " ".join((re.sub(r"#[^\n]*", " ", text) if has_comments() else text).split())
