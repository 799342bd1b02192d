"""More noise for larger pictures: neighbours in them are alike, so the same noise hides less.

Convention: `by` is d / d_0, the side of a picture over that of the resolution that a schedule is for, as
square roots of areas; 1 changes nothing. All forms move the logarithm of the SNR by -2 ln(by): sigmas are
multiplied. In training the smallest stay as they are, since they are of what no noise hides at any size.
Sources: Hoogeboom et al. 2023 (arXiv 2301.11093) eq. 3; Esser et al. 2024 (arXiv 2403.03206) eq. 23;
spec 4.5.
"""

import dataclasses
import math
from dataclasses import dataclass

from torch import Tensor

from ..options import option, validate
from .edm import EDM

BASE = 512  # pixels; d_0 of EDM's own training noise


def scale(width: int, height: int, *, base: int = BASE) -> float:
    """Returns d / d_0 of a picture of width x height pixels where a schedule is for base x base.

    Off for the size that a model was trained at: then `base` is that size.
    """
    if min(width, height, base) < 1:
        raise ValueError(f"width, height and base must be at least 1, got {width}, {height} and {base}")
    return math.sqrt(width * height) / base


def shift_edm(edm: EDM, by: float) -> EDM:
    """Returns EDM for larger pictures: sigma_max·by, and training noise with p_mean + ln(by)."""
    return dataclasses.replace(edm, sigma_max=edm.sigma_max * _above_0(by), p_mean=edm.p_mean + math.log(by))


def shift_flow(sigmas: Tensor, by: float) -> Tensor:
    """Returns sigmas in 0..1 of x = (1 - sigma)·x_0 + sigma·noise for larger pictures.

    by·sigma / (1 + (by - 1)·sigma): sigma / (1 - sigma), the noise over the data, becomes `by` times as much.
    """
    return _above_0(by) * sigmas / (1 + (by - 1) * sigmas)


def _above_0(by: float) -> float:
    if not by > 0:
        raise ValueError(f"a shift must be above 0, got {by}; 1 changes nothing")
    return by


@dataclass(frozen=True)
class ShiftOptions:
    """For which size of picture a model's noise is shifted."""

    width: int = option(1024, "Width of the picture in pixels.", low=16, high=16384, step=8)
    height: int = option(1024, "Height of the picture in pixels.", low=16, high=16384, step=8)
    base: int = option(
        1024,
        "Side of the square that the model was trained at; there nothing changes.",
        low=16,
        high=16384,
        step=8,
    )

    def __post_init__(self):
        validate(self)
