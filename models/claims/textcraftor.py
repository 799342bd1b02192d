"""The claims about TextCraftor: an exact world, and ColourShapes with trained models.

Source: specification 5.5. Thresholds are in the settings of both.
"""

from __future__ import annotations

from ..metrics.ranks import spearman
from ..textcraftor.training.gallery import GRID
from . import textcraftor_exact as exact
from . import textcraftor_trained as trained
from .drawn import curve
from .experiment import Experiment, Results
from .judgement import Check, Judgement, Panel, Table
from .statistics import interval, paired
from .textcraftor_shapes import KINDS
from .textcraftor_trained import ARMS, MIX, REWARD, ShapesSettings

KS = {"k1": 1, "k3": 3, "saturation": 5, "k10": 10, "k25": 25}


def judge(settings: ShapesSettings, results: Results) -> Judgement:
    """Returns what the numbers of the trained version come to."""
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
        (_table(results),),
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
            Check(f"gain of {kind}", f"at least {s.least_gain}", str(gain), gain.low >= s.least_gain)
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
    title = f"{what} lost {'without' if least else 'with'} the constraint"
    met = found.low >= bound if least else found.high <= bound
    return Check(title, f"{'at least' if least else 'at most'} {bound:.0%}", str(found), met)


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
        checks.append(
            Check(f"captions at w = 1, of those at 0 ({kind})", "at least 95 %", str(kept), kept.mean >= 0.95)
        )
    return checks


def _direct(s: ShapesSettings, results: Results) -> Check:
    """(d)."""
    ours, direct = results.values("saturation", "gain"), results.values("direct", "gain")
    share = interval(direct).mean / max(1e-6, interval(ours).mean)
    found = f"{interval(direct)}, {share:.0%}; difference {paired(ours, direct)}"
    return Check(
        "gain of direct fine-tuning", f"less than {s.most_direct:.0%} of it", found, share < s.most_direct
    )


def _mixed(s: ShapesSettings, results: Results) -> list[Check]:
    """(e): the first encoder's weight is w, the second's 1 - w."""
    checks = []
    for kind, weights in zip(KINDS, (GRID, GRID[::-1]), strict=True):
        order = interval([spearman(weights, c) for c in results.raw(MIX, f"{REWARD} {kind}")])
        title = f"rank correlation of {kind} and its own weight in a mix"
        checks.append(Check(title, f"at least {s.least_order}", str(order), order.mean >= s.least_order))
    return checks


def _table(results: Results) -> Table:
    keys = ("gain", "judged", "lost captions", "lost diversity")
    rows = tuple((arm, *(str(interval(results.values(arm, key))) for key in keys)) for arm in ARMS)
    return Table("All arms", ("arm", "gain", "gain, other network", *keys[2:]), rows)


def _panels(results: Results) -> tuple[Panel, ...]:
    over_w = [
        Panel(
            title,
            "w",
            title,
            tuple(curve(name, GRID, results.raw(arm, key)) for name, arm, key in lines),
        )
        for title, lines in (
            ("reward", [(kind, kind, f"{REWARD} {kind}") for kind in KINDS]),
            ("captions followed", [(arm, arm, "captions") for arm in ("both", "both-free")]),
            ("mix: reward", [(kind, MIX, f"{REWARD} {kind}") for kind in KINDS]),
        )
    ]
    gains = zip(*(results.values(arm, "gain") for arm in KS), strict=True)
    line = curve("saturation", [float(k) for k in KS.values()], gains)
    return (*over_w, Panel("gain by K", "K", "gain", (line,), log_x=True))


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
        how="A small noise-predicting transformer under SD's schedule with a transformer as text encoder; "
        "rewards are networks trained on saturation and size, the CLIP is contrastive, and captions are read "
        "back by rules. All arms tune the same base with the trainer's own loss, steps and noise; `free` is "
        "without the constraint, `direct` judges what one step foresees, `denoiser` tunes that instead, `k` "
        "is the number of steps with gradients. The base begins 40 % of the steps. Rewards are measured on "
        "held-out captions by the network that was to be pleased and by one of another seed.",
        settings=ShapesSettings(),
        arms=(*ARMS, MIX),
        measure=trained.measure,
        judge=judge,
        minutes=0.8,
        together=True,
    ),
)
