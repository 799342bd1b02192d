"""More noise for larger pictures: EDM at 64x64 with the noise of 32x32, and with twice as much.

Convention: what is compared is the low frequencies of pictures, their means over a grid of CELLS x CELLS.
Source: spec 4.5, 5.6; the world and the network are those of `solid`.

b batch  H, W pixels
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional

from ..metrics.frechet import frechet_distance
from ..playground.contrast import shrink
from ..playground.edm import EDM
from ..playground.shift import scale, shift_edm
from . import solid, toy
from .drawn import bars
from .experiment import Experiment, Job, Results
from .judgement import Check, Judgement, Panel, Table
from .statistics import interval, paired

TITLES = {"unshifted": "noise of 32x32", "shifted": "shifted for 64x64"}
CELLS = 4


@dataclass(frozen=True)
class Settings:
    """The tiny model, the noise at `base` pixels, and how near the data have to be to themselves."""

    model: toy.Toy
    base: int = 32
    solid: float = 0.2
    pictures: int = 512
    truths: int = 4096
    steps: int = 40
    cfg: float = 1.0
    sigma_max: float = 80.0
    p_mean: float = 0.0
    p_std: float = 1.8
    floor: float = 0.25


def noise_of(s: Settings, arm: str) -> EDM:
    """Returns an arm's EDM: that of the base, or shifted by the side of the pictures over it."""
    how = EDM(sigma_max=s.sigma_max, p_mean=s.p_mean, p_std=s.p_std)
    by = scale(s.model.width, s.model.height, base=s.base)
    return shift_edm(how, by) if arm == "shifted" else how


def low(images: Tensor) -> Tensor:
    """Returns the low frequencies (b, 3·CELLS²) of pictures (b, 3, H, W)."""
    return functional.adaptive_avg_pool2d(images.float(), CELLS).flatten(1).double()


def measure(job: Job) -> dict:
    """Returns the Fréchet distance of low frequencies to the world, that of the world to itself, and R."""
    s = job.settings
    arm = solid.edm_way(noise_of(s, job.arm), s.steps)
    model = solid.trained(job, arm)
    said = solid.world(_of(s, s.pictures), job.generator(5), drop=0.0)[1]
    made = solid.pictures(model, arm, said, job)
    blank = solid.pictures(model, arm, [""] * s.pictures, job).mean((1, 2, 3))
    truth, other = (solid.world(_of(s, n), job.generator(6, n), drop=0.0)[0] for n in (s.truths, s.pictures))
    bright = truth.mean((1, 2, 3))
    return {
        "distance": frechet_distance(low(made), low(truth)),
        "floor": frechet_distance(low(other), low(truth)),
        "ratio": float(blank.std() / bright.std()),
        "formula": shrink(truth[0].numel(), float(bright.var()), float(arm.sigmas[0])),
    }


def _of(s: Settings, count: int) -> Settings:
    """The same for so many pictures of the world."""
    return replace(s, model=replace(s.model, batch=count))


def judge(s: Settings, found: Results) -> Judgement:
    """Asks that shifted noise brings low frequencies nearer to the world's."""
    before, after = (found.values(arm, "distance") for arm in ("unshifted", "shifted"))
    gap, mean = paired(after, before), interval(before).mean
    floor = interval(found.values("unshifted", "floor")).mean
    checks = (
        Check(
            "distance of low frequencies, shifted minus unshifted",
            "below 0, the interval too",
            f"{gap}, {interval(after).mean / mean - 1:+.0%}",
            gap.high < 0,
        ),
        Check(
            "distance of the world to itself over that of unshifted pictures",
            f"at most {s.floor:.0%}",
            f"{floor / mean:.1%}",
            floor <= s.floor * mean,
            control=True,
        ),
    )
    return Judgement(checks, (_table(s, found),), (_panel(found),))


def _table(s: Settings, found: Results) -> Table:
    rows = []
    for arm in found.arms:
        how = noise_of(s, arm)
        numbers = [str(interval(found.values(arm, key))) for key in ("distance", "ratio", "formula")]
        rows.append((TITLES[arm], f"{how.sigma_max:g}", f"{how.p_mean:.2f}", *numbers))
    header = ("", "sigma_max", "mean of ln sigma", "distance, low frequencies", "R", "R, formula")
    return Table("Pictures of 64x64", header, tuple(rows))


def _panel(found: Results) -> Panel:
    distances = {TITLES[arm]: interval(found.values(arm, "distance")) for arm in found.arms}
    return bars("Fréchet distance, low frequencies", "", distances)


EXPERIMENTS = (
    Experiment(
        name="shift",
        group="playground",
        title="Noise shifted for larger pictures",
        claim="Larger pictures need more noise, or their large forms are seen through it: twice the side, "
        "twice sigma_max and ln 2 more in the mean of ln sigma (Playground v2.5, after Hoogeboom).",
        how="The world of *Solid black and white* at 64x64 and one tiny network, trained and sampled by EDM "
        "with the noise of 32x32, and with shifted noise. Pictures are compared with the world by their "
        "means over 4x4 cells.",
        settings=Settings(toy.Toy(hidden=128, patch=8, width=64, height=64, steps=500, batch=48)),
        arms=tuple(TITLES),
        measure=measure,
        judge=judge,
        minutes=3.5,
    ),
)
