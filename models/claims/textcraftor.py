"""The claims about TextCraftor: an exact world, and ColourShapes with trained models.

Source: specification 5.5. Thresholds are in the settings of both.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.ranks import spearman
from ..textcraftor.training.gallery import GRID
from . import textcraftor_exact as exact
from . import textcraftor_trained as trained
from .drawn import curve
from .experiment import Experiment, Results
from .judgement import Check, Judgement, Panel, Table
from .statistics import interval, paired
from .textcraftor_shapes import KINDS
from .textcraftor_trained import ARMS, MIX, PAIRS, REWARD, ShapesSettings

KS = {"k1": 1, "k3": 3, "saturation": 5, "k10": 10, "k25": 25}
LEAST_POINTS = 3  # of weights that an order is asked of


def judge(settings: ShapesSettings, results: Results) -> Judgement:
    """Returns what the numbers of the trained version come to.

    Thresholds are for means over the seeds; where two things are to differ, the interval of their difference
    must lie on one side too.
    """
    checks = (
        _base(settings, results),
        *_pleased(settings, results),
        *_collapse(settings, results),
        *_orders(settings, results),
        _direct(settings, results),
        *_mixed(settings, results),
    )
    return Judgement(
        checks,
        (_table(results), _mixes(results)),
        _panels(results),
        ("Gains are in standard deviations of the base's pictures.",),
    )


def _base(s: ShapesSettings, results: Results) -> Check:
    found = interval([values[0] for values in results.raw("saturation", "captions")])
    wanted = f"at least {s.least_captions:.0%}"
    return Check(
        "captions that the untuned base follows",
        wanted,
        f"{found}",
        found.mean >= s.least_captions,
        control=True,
    )


def _pleased(s: ShapesSettings, results: Results) -> list[Check]:
    """(a), and the check against reward hacking."""
    checks = []
    for kind in KINDS:
        gain = interval(results.values(kind, "gain"))
        judged = interval(results.values(kind, "judged"))
        share = judged.mean / gain.mean if gain.mean > 0 else 0.0
        checks.append(
            Check(
                f"gain of {kind}",
                f"at least {s.least_gain}, the interval above 0",
                str(gain),
                gain.mean >= s.least_gain and gain.low > 0,
            )
        )
        checks.append(
            Check(
                f"gain of {kind} by a network of another seed",
                f"at least {s.least_judged:.0%} of that",
                f"{judged}, {share:.0%}",
                share >= s.least_judged,
            )
        )
    return checks


def _collapse(s: ShapesSettings, results: Results) -> list[Check]:
    """(b)."""
    return [
        _loss(results, "both-free", "captions", s.collapsed_captions, least=True),
        _loss(results, "both-free", "diversity", s.collapsed_diversity, least=True),
        _loss(results, "both", "captions", s.kept_captions, least=False),
        _loss(results, "both", "diversity", s.kept_diversity, least=False),
    ]


def _loss(results: Results, arm: str, what: str, bound: float, *, least: bool) -> Check:
    found = interval(results.values(arm, f"lost {what}"))
    if not least:
        wanted, met = f"at most {bound:.0%}", found.mean <= bound
        return Check(f"{what} lost with the constraint", wanted, str(found), met)
    wanted, met = f"at least {bound:.0%}, the interval above 0", found.mean >= bound and found.low > 0
    return Check(f"{what} lost without the constraint", wanted, str(found), met)


def _orders(s: ShapesSettings, results: Results) -> list[Check]:
    """(c)."""
    checks = []
    for kind in KINDS:
        order = interval([spearman(GRID, c) for c in results.raw(kind, f"{REWARD} {kind}")])
        checks.append(
            Check(
                f"rank correlation of {kind} and w",
                f"at least {s.least_order}",
                str(order),
                order.mean >= s.least_order,
            )
        )
        kept = interval([c[-1] / max(1e-6, c[0]) for c in results.raw(kind, "captions")])
        title, wanted = f"captions at w = 1, of those at 0 ({kind})", f"at least {s.kept_at_one:.0%}"
        checks.append(Check(title, wanted, str(kept), kept.mean >= s.kept_at_one))
    return checks


def _direct(s: ShapesSettings, results: Results) -> Check:
    """(d)."""
    ours, direct = results.values("saturation", "gain"), results.values("direct", "gain")
    share = s.most_direct
    more, whole = paired([share * gain for gain in ours], direct), interval(ours)
    return Check(
        f"{share:.0%} of the chain's gain minus that of direct fine-tuning",
        "above 0, the interval too, and the chain's own as well",
        f"{more}; gains {whole} and {interval(direct)}",
        more.low > 0 and whole.low > 0,
    )


def _mixed(s: ShapesSettings, results: Results) -> list[Check]:
    """(e): an encoder's reward grows with its weight, whatever the other's is."""
    checks = []
    for place, kind in enumerate(KINDS):
        order = interval([least_order(row, place) for row in results.raw(MIX, f"{REWARD} {kind}")])
        checks.append(
            Check(
                f"least rank correlation of {kind} and its own weight in a mix, the other's fixed",
                f"at least {s.least_order}",
                str(order),
                order.mean >= s.least_order,
            )
        )
    return checks


def least_order(values: Sequence[float], place: int) -> float:
    """Returns the least rank correlation of values at `PAIRS` with the weight at `place` of a pair, over the
    other weights that leave enough points."""
    return min(
        spearman([w for w, _ in line], [values[i] for _, i in line]) for line in _at_fixed(place).values()
    )


def _at_fixed(place: int) -> dict[float, list[tuple[float, int]]]:
    """For every weight of the other encoder those at `place`, each with the place of its pair in `PAIRS`."""
    lines: dict[float, list[tuple[float, int]]] = {}
    for i, pair in enumerate(PAIRS):
        lines.setdefault(pair[1 - place], []).append((pair[place], i))
    return {other: line for other, line in lines.items() if len(line) >= LEAST_POINTS}


def _table(results: Results) -> Table:
    keys = ("gain", "judged", "lost captions", "lost diversity")
    rows = tuple((arm, *(str(interval(results.values(arm, key))) for key in keys)) for arm in ARMS)
    return Table("All arms", ("arm", "gain", "gain, other network", *keys[2:]), rows)


def _mixes(results: Results) -> Table:
    keys = (*(f"{REWARD} {kind}" for kind in KINDS), "captions")
    columns = [zip(*results.raw(MIX, key), strict=True) for key in keys]
    rows = tuple(
        (f"{pair[0]:g}, {pair[1]:g}", *(str(interval(found)) for found in row))
        for pair, *row in zip(PAIRS, *columns, strict=True)
    )
    return Table("Mixes of two encoders", (f"weights of {' and '.join(KINDS)}", *keys), rows)


def _panels(results: Results) -> tuple[Panel, ...]:
    over_w = [
        Panel(title, "w", title, tuple(curve(name, GRID, results.raw(name, key)) for name, key in lines))
        for title, lines in (
            ("reward", [(kind, f"{REWARD} {kind}") for kind in KINDS]),
            ("captions followed", [(arm, "captions") for arm in ("both", "both-free")]),
        )
    ]
    gains = zip(*(results.values(arm, "gain") for arm in KS), strict=True)
    line = curve("saturation", [float(k) for k in KS.values()], gains)
    mixes = (_mix_panel(results, place) for place in range(len(KINDS)))
    return (*over_w, *mixes, Panel("gain by K", "K", "gain", (line,), log_x=True))


def _mix_panel(results: Results, place: int) -> Panel:
    """The reward of one encoder of the mix over its weight, a line for each weight of the other."""
    kind, other = KINDS[place], KINDS[1 - place]
    rows = results.raw(MIX, f"{REWARD} {kind}")
    lines = (
        curve(f"{other} {w:g}", [x for x, _ in line], [[row[i] for _, i in line] for row in rows])
        for w, line in _at_fixed(place).items()
    )
    return Panel(f"mix: reward {kind}", f"w of {kind}", f"reward {kind}", tuple(lines))


EXPERIMENTS = (
    Experiment(
        name="textcraftor-exact",
        group="textcraftor",
        title="TextCraftor, exactly",
        claim="Tuning the text encoder alone raises a reward, and the CLIP constraint keeps pictures apart.",
        how="Six prompts whose pictures are points around six means; the denoiser is exact, the encoder a "
        "table. DDIM of 25 steps, guidance 7.5, K = 5 in training, the last 15 steps in use. The reward is x "
        "whatever the prompt, so alone it asks for collapse; alignment is the cosine to the prompt's mean.",
        settings=exact.ExactSettings(),
        arms=(exact.CONSTRAINED, exact.FREE),
        measure=exact.measure,
        judge=exact.judge,
        minutes=0.04,
    ),
    Experiment(
        name="textcraftor-shapes",
        group="textcraftor",
        title="TextCraftor on ColourShapes",
        claim="Rewards rise by tuning the text encoder, nothing collapses under the constraint, and weights "
        "between encoders act monotonically.",
        how="A small noise-predicting transformer under SD's schedule with a transformer as text encoder;"
        " rewards are networks trained on saturation and size, the CLIP is contrastive, and captions "
        "are read back by rules. All arms tune the same base with the trainer's own loss, steps and "
        "noise; `free` is without the constraint, `direct` judges what one step foresees, `denoiser` "
        "tunes that instead, `k` is the number of steps with gradients. The base begins 40 % of the "
        "steps; `mix` is the tuned encoders of both rewards and the base's, at 15 pairs of weights. "
        "Rewards are measured on held-out captions by the network that was to be pleased and by one "
        "of another seed.",
        settings=ShapesSettings(),
        arms=(*ARMS, MIX),
        measure=trained.measure,
        judge=judge,
        minutes=1.2,
        together=True,
    ),
)
