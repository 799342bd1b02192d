"""Text presampling with trained models: a tiny MMH-DiT and a tiny language model in TIPO's format.

Convention: a short prompt names the shape alone, with the true share of each shape; what pictures of it
should look like is the world itself. All arms of a seed share both models, prompts and noise.
Source: spec 1.1, 5.2 (trained version).

b batch
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..metrics.frechet import frechet_distance
from ..mmh_dit import flow
from . import presampling_lm as writing
from . import toy
from .drawn import panels
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Panel, Table
from .shapes import ATTRIBUTES, SIZES, draw, joint, render
from .shapes_oracle import RandomNet, read
from .shapes_text import captions
from .statistics import counts, coverage, interval, paired, total_variation

TITLES = {
    "simple": "short prompt",
    "tipo": "presampled",
    "oracle": "true distribution",
    "uniform": "evenly",
    "mode": "the likeliest only",
}


@dataclass(frozen=True)
class Settings:
    """Both models, how many pictures, and the thresholds."""

    model: toy.Toy
    writer: writing.Writer
    pictures: int = 512
    truths: int = 4096
    steps: int = 20
    guidance: tuple[float, ...] = (1.0, 3.0, 5.0)
    fall: float = 0.1
    near_oracle: float = 0.25
    length: float = 0.9
    order: float = 0.99
    learned: float = 0.6


def painter(job: Job) -> torch.nn.Module:
    """Returns the seed's trained model of pictures."""
    s = job.settings
    model = toy.make(s.model, job.generator(0), device=job.device)

    def train() -> Mapping[str, Tensor]:
        def loss(step: int) -> Tensor:
            generator = job.generator(1, step)
            given = toy.batch(s.model, generator, device=job.device)
            return toy.flow_loss(model, given, flow.FlowOptions(sigma=0.0), generator)

        toy.train(model, s.model, loss, on_step=lambda step: job.on_step())
        return model.state_dict()

    model.load_state_dict(job.tensors("painter", train))
    return model.eval()


def writer(job: Job):
    """Returns the seed's trained language model and its tokenizer."""
    s = job.settings
    words = writing.tokenizer(job.folder / "tokenizer.json", s.writer)
    lm = writing.model(s.writer, words.get_vocab_size(), job.seed)

    def train() -> Mapping[str, Tensor]:
        def loss(step: int) -> Tensor:
            ids, labels = writing.batch(words, s.writer, job.generator(20, step))
            return lm(input_ids=ids, labels=labels).loss

        toy.train(lm, s.writer, loss, on_step=lambda step: job.on_step())
        return lm.state_dict()

    lm.load_state_dict(job.tensors("writer", train))
    return lm.eval(), words


def prompts(job: Job) -> tuple[list[str], dict[str, float]]:
    """Returns an arm's prompts, and what is to be said of the language model where it wrote them."""
    s = job.settings
    scenes = draw(s.pictures, job.generator(30)).attributes()  # short prompts: their shapes
    named = torch.zeros(s.pictures, len(ATTRIBUTES), dtype=torch.bool)
    named[:, 0] = True
    if job.arm == "simple":
        return captions(scenes, named), {}
    if job.arm == "oracle":
        return captions(scenes, torch.ones_like(named)), {}
    if job.arm == "uniform":
        columns = [torch.randint(size, (s.pictures,), generator=job.generator(31)) for size in SIZES[1:]]
        return captions(torch.stack((scenes[:, 0], *columns), 1), torch.ones_like(named)), {}
    lm, words = writer(job)
    shapes = [ATTRIBUTES["shape"][i] for i in scenes[:, 0].tolist()]
    texts = _written(lm, words, shapes, job)
    found = [writing.understood(text) for text in texts]
    attributes, said = (torch.tensor([each[i] for each in found]) for i in (0, 1))
    kept = [writing.keeps_tag(text, shape) for text, shape in zip(texts, shapes, strict=True)]
    facts = {f"nll_{name}": value for name, value in writing.likelihood(lm, words, job.seed).items()}
    facts["order"] = writing.keeps_order(lm, words, job.generator(33))
    facts["length"] = sum(map(writing.keeps_length, texts)) / len(texts)
    facts["kept"] = sum(kept) / len(kept)
    facts["useless"] = sum(each[2] for each in found) / len(found)
    facts["whole"] = float(said.all(1).float().mean())
    return captions(attributes, said), facts


def _written(lm, words, shapes: list[str], job: Job) -> list[str]:
    """Texts for each shape; requests of one shape have equally many tokens."""
    texts = [""] * len(shapes)
    for number, shape in enumerate(ATTRIBUTES["shape"]):
        rows = [i for i, each in enumerate(shapes) if each == shape]
        asked = [writing.request(shape)] * len(rows)
        made = writing.answers(lm, words, asked, job.generator(32, number), greedy=job.arm == "mode")
        for row, text in zip(rows, made, strict=True):
            texts[row] = text
    return texts


def measure(job: Job) -> dict:
    """Returns Fréchet distances by both features, total variation and coverage at each guidance."""
    s, model = job.settings, painter(job)
    said, facts = prompts(job)
    asked = draw(s.pictures, job.generator(30)).shape
    truth = render(draw(s.truths, job.generator(40)), width=s.model.width, height=s.model.height)
    net = RandomNet()
    wanted = read(truth).features(), net(truth)
    found: dict = {key: [] for key in ("distance", "random", "variation", "coverage", "shapes")}
    for guidance in s.guidance:
        how = flow.SampleOptions(steps=s.steps, cfg=guidance)
        made = toy.pictures(model, said, s.model, job.generator(41), options=how)
        reading = read(made)
        table = counts(*reading.attributes().unbind(1)[:2], sizes=SIZES[:2])
        found["distance"].append(frechet_distance(reading.features(), wanted[0]))
        found["random"].append(frechet_distance(net(made), wanted[1]))
        found["shapes"].append(float((reading.shape == asked).float().mean()))
        found["variation"].append(total_variation(table, joint().sum((2, 3))))
        found["coverage"].append(coverage(table, joint().sum((2, 3))))
    return found | facts


def judge(s: Settings, found: Results) -> Judgement:
    """Asks that presampled prompts bring pictures nearer to the truth under guidance."""
    at = {guidance: place for place, guidance in enumerate(s.guidance)}

    def distance(arm: str, guidance: float) -> list[float]:
        return [row[at[guidance]] for row in found.raw(arm, "distance")]

    checks = []
    for guidance in (g for g in s.guidance if g >= 3):
        before, after, best = (distance(arm, guidance) for arm in ("simple", "tipo", "oracle"))
        gap, means = paired(after, before), [interval(each).mean for each in (before, after, best)]
        checks += [
            Check(
                f"distance at guidance {guidance:g}, presampled minus short prompt",
                f"below 0, the interval too, and a fall of {s.fall:.0%}",
                f"{gap}, {means[1] / means[0] - 1:+.0%}",
                gap.high < 0 and means[1] <= (1 - s.fall) * means[0],
            ),
            Check(
                f"distance at guidance {guidance:g} over that of prompts from the true distribution",
                f"at most {1 + s.near_oracle:g} times",
                f"{means[1] / means[2]:.2f}",
                means[1] <= (1 + s.near_oracle) * means[2],
            ),
        ]
        for arm in ("uniform", "mode"):
            worse = paired(distance(arm, guidance), after)
            what = f"distance at guidance {guidance:g}, {TITLES[arm]} minus presampled"
            checks.append(Check(what, "not below 0", str(worse), worse.mean >= 0))
    shapes = interval([row[-1] for row in found.raw("oracle", "shapes")])
    learned = f"share of {s.learned:g} or more"
    checks.append(
        Check("pictures show the shape", learned, str(shapes), shapes.mean >= s.learned, control=True)
    )
    checks += _written_checks(s, found)
    return Judgement(tuple(checks), (_table(s, found),), _panels(s, found), _notes(found))


def _written_checks(s: Settings, found: Results) -> list[Check]:
    """What is asked of the language model itself."""
    keys = ("nll_model", "nll_unigram", "length", "kept", "order")
    nll, unigram, length, kept, order = (interval(found.values("tipo", key)).mean for key in keys)
    words = f"{nll:.2f} and {unigram:.2f} nats a token"
    return [
        Check("language model: held-out answers, against unigrams", "below", words, nll < unigram),
        Check(
            "language model: as many tags as it learned",
            f"at least {s.length:.0%}",
            f"{length:.1%}",
            length >= s.length,
        ),
        Check(
            "language model: the user's shape, and no other",
            f"at least {s.order:.0%}",
            f"{kept:.1%}",
            kept >= s.order,
        ),
        Check(
            "language model: fields in the task's order",
            f"at least {s.order:.0%}",
            f"{order:.1%}",
            order >= s.order,
        ),
    ]


def _notes(found: Results) -> tuple[str, ...]:
    gap = paired(*([row[0] for row in found.raw(arm, "distance")] for arm in ("tipo", "simple")))
    whole, useless = (interval(found.values("tipo", key)) for key in ("whole", "useless"))
    return (
        f"At the first guidance, presampled minus short prompt: {gap}; an ideal sampler without guidance "
        "gains nothing.",
        f"The language model named all four attributes in a share of {whole} of its prompts, with {useless} "
        "tags a prompt that contradict another or mean nothing.",
    )


def _table(s: Settings, found: Results) -> Table:
    rows = []
    for place, guidance in enumerate(s.guidance):
        for arm in found.arms:
            keys = ("distance", "random", "variation", "coverage")
            numbers = [interval([row[place] for row in found.raw(arm, key)]) for key in keys]
            rows.append((f"{guidance:g}, {TITLES[arm]}", *map(str, numbers)))
    header = ("guidance, prompts", "distance, oracle", "distance, random net", "variation", "coverage")
    return Table("Pictures against the world", header, tuple(rows))


def _panels(s: Settings, found: Results) -> tuple[Panel, ...]:
    titles = {"distance": "Fréchet distance, oracle", "random": "Fréchet distance, random net"}
    return panels(found, titles, s.guidance, "guidance", TITLES.__getitem__)


EXPERIMENTS = (
    Experiment(
        name="presampling",
        group="tipo",
        title="Presampling with trained models",
        claim="Pictures of prompts that a language model has detailed are nearer to what a short prompt "
        "means than pictures of the short prompt (TIPO).",
        how="A tiny MMH-DiT learns coloured shapes with captions that name any of four attributes, a LLaMA "
        "of two layers learns the same captions in TIPO's format. A short prompt names the shape; arms add "
        "nothing, what the language model writes, draws from the true distribution, even draws, or the "
        "language model's likeliest tags.",
        settings=Settings(toy.Toy(steps=1600), writing.Writer()),
        arms=tuple(TITLES),
        measure=measure,
        judge=judge,
        minutes=1.4,
        together=True,
    ),
)
