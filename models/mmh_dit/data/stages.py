"""Resolution stages: which size a picture is trained at, and what is cut off for it.

Convention: sizes are (width, height) in pixels, multiples of 64 for the full-size model and of 16 for any; a
picture is scaled until it covers its size, then cropped, never enlarged unless asked for. Where a random crop
lies follows from seed and key, so it is the same on every machine.
Source: spec 2.8 and 2.9.6: 256x256 random crop after a resize of the short edge; then about 512x512 with an
aspect of at most 1.3.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...playground.buckets import LISTS, make_buckets, nearest
from .images import LeftOut

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
MULTIPLE = 16  # patch 2 of latents at an eighth of the size


@dataclass(frozen=True)
class Stage:
    """Sizes to choose from, where to crop (random, centre), and the largest share that a crop may cut off."""

    sizes: tuple[Size, ...]
    crop: str = "centre"
    most_cut: float = 0.3
    enlarge: bool = False

    def __post_init__(self):
        bad = [size for size in self.sizes if min(size) < MULTIPLE or any(side % MULTIPLE for side in size)]
        if bad or not self.sizes:
            raise ValueError(f"sizes must be multiples of {MULTIPLE} pixels, got {self.sizes}; name others")
        if self.crop not in ("random", "centre"):
            raise ValueError(f"crop must be random or centre, got {self.crop!r}")
        if not 0 <= self.most_cut < 1:
            raise ValueError(f"most_cut must lie in 0 to 1, got {self.most_cut}")


STAGES = {
    "256": Stage(((256, 256),), crop="random", most_cut=0.99),
    "512": Stage(((512, 512), (576, 448), (448, 576))),
}


def parse_sizes(text: str) -> tuple[Size, ...]:
    """Returns the sizes of `512x512,576x448`, width before height, of a list as `sdxl`, or of `512step64`.

    The last is all sizes with the area of 512 x 512 whose sides are multiples of 64.

    Raises:
        ValueError: the text has another form.
    """
    if text in LISTS:
        return LISTS[text]
    if match := re.fullmatch(r"(\d{1,5})step(\d{1,3})", text):
        return make_buckets(int(match[1]) ** 2, step=int(match[2]))
    found = [re.fullmatch(r"\s*(\d{1,5})x(\d{1,5})\s*", part) for part in text.split(",")]
    if not all(found):
        raise ValueError(
            f"sizes must look like 512x512,576x448, or {', '.join(LISTS)}, or 512step64, got {text!r}"
        )
    return tuple((int(match[1]), int(match[2])) for match in found)


@dataclass(frozen=True)
class Cut:
    """How a picture is cut: its part `box` (left, top, right, bottom; in its pixels) becomes `size`."""

    size: Size
    box: tuple[float, float, float, float]


def plan(width: int, height: int, stage: Stage, *, key: str = "", seed: int = 0) -> Cut:
    """Returns how a picture of `width` x `height` is cut for a stage: to the size with the nearest aspect.

    Raises:
        LeftOut: it is too small, or the nearest size would cut off too much.
    """
    size = nearest(width, height, stage.sizes)
    scale = max(size[0] / width, size[1] / height)
    if scale > 1 and not stage.enlarge:
        raise LeftOut("too small")
    kept = min(size[0] / scale, width), min(size[1] / scale, height)  # in pixels of the picture
    if 1 - kept[0] * kept[1] / (width * height) > stage.most_cut:
        raise LeftOut("too wide or too high")
    where = _random(seed, key) if stage.crop == "random" else (0.5, 0.5)
    left, top = (width - kept[0]) * where[0], (height - kept[1]) * where[1]
    right, bottom = min(left + kept[0], width), min(top + kept[1], height)
    return Cut(size, (left, top, right, bottom))


def _random(seed: int, key: str) -> tuple[float, float]:
    digest = hashlib.sha256(f"{seed} {key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48, int.from_bytes(digest[6:12], "big") / 2**48


def cut(image: Image, how: Cut) -> Image:
    """Returns the picture, cut and scaled with Lanczos' filter."""
    from PIL import Image

    # A gap of 3 halves the time for photographs; values differ by 2 of 255 at most.
    return image.resize(how.size, Image.Resampling.LANCZOS, box=how.box, reducing_gap=3.0)
