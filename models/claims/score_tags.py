"""Score tags in a caption and the quality of the picture, with the bundled tiny MMH-DiT and oracle.

Convention: the oracle sees three levels of quality; a picture's score is the level it expects, 0 to 2. The
little world says quality in words of its own, one of which stands here for each of oboro's score tags.
Source: spec 2.9, 5.8.

b batch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..mmh_dit.data.scores import ScoreOptions, score_tag
from ..mmh_dit.flow import SampleOptions
from ..tinyworld import bundled
from ..tinyworld.finish import LEVELS
from ..tinyworld.oracle import load_oracle, read
from ..tinyworld.pictures import HELD_OUT, Draw, draws, images_of, prompt
from ..tinyworld.pipeline import load_pipeline
from .drawn import bars
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Table
from .statistics import interval, paired

WORDS = {"average": "low quality", "good": "normal quality", "excellent": "best quality"}
MODELS = (bundled.MODEL, bundled.CLIP, bundled.AUTOENCODER, bundled.ORACLE)
READ = (*(f"{name}/model.safetensors" for name in MODELS), f"{bundled.WORDS}/tokenizer.json")


@dataclass(frozen=True)
class Settings:
    """How many pictures of each tag, and how they are made."""

    pictures: int = 48
    chunk: int = 16
    steps: int = 20
    cfg: float = 3.0


def scenes(job: Job) -> list[Draw]:
    """Returns square scenes whose paintings are excellent, which neither a training nor a card has seen; the
    same in every arm."""
    found = draws(2 * HELD_OUT + job.seed, 8 * job.settings.pictures, square=True)
    return [d for d in found if LEVELS[d.scene.quality] == "excellent"][: job.settings.pictures]


def asked(draw: Draw, word: str) -> str:
    """Returns a scene's tags without any word for quality, and `word` after them."""
    number = next(n for n in range(1000) if prompt(draw, number=n).tags)
    tags = [tag for tag in prompt(draw, number=number).tags if tag not in LEVELS]
    return ", ".join([*tags, word])


def measure(job: Job) -> dict:
    """Returns the mean score of pictures whose prompts say the arm's level, and of true paintings."""
    s, oracle, pipeline = job.settings, load_oracle(), load_pipeline()
    how = SampleOptions(steps=s.steps, cfg=s.cfg)
    these, made = scenes(job), []
    for begin in range(0, len(these), s.chunk):
        part = these[begin : begin + s.chunk]
        words = [asked(draw, WORDS[job.arm]) for draw in part]
        seeds = [draw.seed for draw in part]
        made.append(pipeline.pictures(words, seeds, width=part[0].width, height=part[0].height, options=how))
        job.on_step()
    return {"score": _score(torch.cat(made), oracle), "paintings": _score(_painted(these, job.arm), oracle)}


def _painted(these: Sequence[Draw], level: str) -> Tensor:
    """The scenes' own paintings, at a level."""
    from dataclasses import replace

    word = next(word for word, shown in LEVELS.items() if shown == level)
    return images_of([replace(d, scene=replace(d.scene, quality=word)) for d in these])


def _score(images: Tensor, oracle) -> float:
    levels = {"average": 0.0, "good": 1.0, "excellent": 2.0}
    chances = [reading.probabilities["quality"] for reading in read(images, oracle=oracle)]
    return sum(levels[level] * p for chance in chances for level, p in chance.items()) / len(chances)


def judge(s: Settings, found: Results) -> Judgement:
    """Asks for average < good < excellent, of pictures; of paintings as a control; and for the bounds."""
    checks = [_bounds()]
    for lower, higher in (("average", "good"), ("good", "excellent")):
        for key, what in (("score", "pictures"), ("paintings", "paintings")):
            gap = paired(found.values(higher, key), found.values(lower, key))
            name = f"score of {what}, {higher} minus {lower}"
            checks.append(
                Check(name, "above 0, the interval too", str(gap), gap.low > 0, control=key == "paintings")
            )
    rows = [
        (
            arm,
            WORDS[arm],
            str(interval(found.values(arm, "score"))),
            str(interval(found.values(arm, "paintings"))),
        )
        for arm in found.arms
    ]
    header = ("level", "word in the prompt", "pictures", "paintings")
    table = Table("What the oracle says of quality, 0 (average) to 2 (excellent)", header, tuple(rows))
    scores = {arm: interval(found.values(arm, "score")) for arm in found.arms}
    panel = bars("Quality of pictures by the tag in the prompt", "score", scores)
    return Judgement(tuple(checks), (table,), (panel,))


def _bounds() -> Check:
    """The published bounds, on both sides."""
    options, least = ScoreOptions(), 1e-6
    wanted = {6.0: "excellent score", 6.0 - least: "good score", 5.2: "good score"}
    wanted |= {5.2 - least: "average score", 4.0: "average score", 4.0 - least: None}
    wrong = [score for score, tag in wanted.items() if score_tag(score, options) != tag]
    return Check(
        "tags at the bounds 6, 5.2 and 4",
        "each bound belongs to the tag above it",
        f"{len(wrong)} wrong",
        not wrong,
    )


EXPERIMENTS = (
    Experiment(
        name="data-tags",
        group="data",
        title="Score tags",
        claim="Captions that end in a tag for their picture's score let a prompt choose quality (oboro).",
        how="The bundled tiny MMH-DiT paints the same held-out scenes from the same noise with three words "
        "for quality in the prompt; the bundled oracle reads quality off the pictures.",
        settings=Settings(),
        arms=tuple(WORDS),
        measure=measure,
        judge=judge,
        minutes=0.7,
        bundled=READ,
    ),
)
