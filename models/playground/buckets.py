"""Aspect buckets: the sizes that pictures are trained and made at, and which of them a picture belongs to.

Convention: sizes are (width, height) in pixels, lists go from tall to wide, and aspects are compared as
ln(width / height), so 4:1 is as far from a square as 1:4.
Sources: NovelAI's aspect ratio bucketing 2022; SDXL (arXiv 2307.01952) appendix I; spec 4.6.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..options import option, validate

Size = tuple[int, int]


def aspect(size: Size) -> float:
    """Returns ln(width / height)."""
    return math.log(size[0] / size[1])


def make_buckets(
    area: int, *, step: int = 64, shortest: int | None = None, longest: int | None = None
) -> tuple[Size, ...]:
    """Returns the buckets of an area: for every width the largest height that fits in it, and the mirrored.

    Sides are multiples of `step` from `shortest` to `longest`, by default a half and twice the side of a
    square of that area. Source: NovelAI's rule.

    Raises:
        ValueError: no bucket fits.
    """
    if min(area, step) < 1:
        raise ValueError(f"area and step must be at least 1, got {area} and {step}")
    side = math.sqrt(area)
    low = math.ceil((shortest or side / 2) / step) * step
    high = int((longest or side * 2) // step) * step
    found = set()
    for width in range(max(low, step), high + 1, step):
        height = min(high, area // width // step * step)
        if height >= max(low, step):
            found |= {(width, height), (height, width)}
    if not found:
        raise ValueError(
            f"no sides from {low} to {high} in steps of {step} fit an area of {area}; widen them"
        )
    return _sorted(found)


def _sorted(sizes: Iterable[Size]) -> tuple[Size, ...]:
    return tuple(sorted(sizes, key=lambda size: (aspect(size), size)))


def _sdxl() -> Iterator[Size]:
    """The 40 of SDXL: heights, each with its widths; 1344x704 is there, 704x1344 is not."""
    widths = {
        512: (2048, 1984, 1920, 1856),
        576: (1792, 1728, 1664),
        640: (1600, 1536),
        704: (1472, 1408, 1344),
    }
    widths |= {768: (1344, 1280), 832: (1216, 1152), 896: (1152, 1088), 960: (1088, 1024), 1024: (1024, 960)}
    widths |= {1088: (960, 896), 1152: (896, 832), 1216: (832,), 1280: (768,), 1344: (768,), 1408: (704,)}
    widths |= {1472: (704,), 1536: (640,), 1600: (640,), 1664: (576,), 1728: (576,), 1792: (576,)}
    widths |= dict.fromkeys((1856, 1920, 1984, 2048), (512,))
    return ((width, height) for height, row in widths.items() for width in row)


SDXL = _sorted(_sdxl())
NOVELAI = _sorted({*make_buckets(512 * 768, shortest=256, longest=1024), (512, 512)})
TINY = make_buckets(128 * 128, step=16, shortest=96, longest=160)
LISTS = {"sdxl": SDXL, "novelai": NOVELAI, "tiny": TINY}
PUBLISHED = ("sdxl", "novelai")  # the lists that others' models were trained with


def nearest(width: int, height: int, sizes: Sequence[Size]) -> Size:
    """Returns the bucket nearest to width x height in aspect, and of those alike in aspect in area."""
    if min(width, height) < 1 or not sizes:
        raise ValueError(f"sides must be at least 1, got {width}, {height}; of {len(sizes)} buckets")
    return _nearest(aspect((width, height)), width * height, sizes)


def _nearest(wanted: float, area: float, sizes: Iterable[Size]) -> Size:
    return min(sizes, key=lambda s: (abs(aspect(s) - wanted), abs(math.log(s[0] * s[1] / area)), s))


def assign(
    images: Iterable[Size], sizes: Sequence[Size], *, most_off: float | None = None
) -> list[int | None]:
    """Returns for every picture the index of its bucket in `sizes`; None: off by more than most_off.

    `most_off` is in units of ln(aspect): ln(1.3) leaves out what would lose more than 23 % to a crop.
    """
    index = {size: i for i, size in enumerate(sizes)}
    found: list[int | None] = []
    for image in images:
        size = nearest(*image, sizes)
        off = abs(aspect(size) - aspect(image))
        found.append(None if most_off is not None and off > most_off else index[size])
    return found


def snap(
    width: int, height: int, sizes: Sequence[Size] = (), *, area: int | None = None, step: int = 8
) -> Size:
    """Returns the bucket of width x height, or without `sizes` the multiples of `step` nearest in aspect.

    The latter have `area` or, without one, width·height, give or take two steps of a square's side. What was
    snapped stays as it is.
    """
    if sizes:
        return nearest(width, height, sizes)
    if min(width, height, step, area or 1) < 1:
        raise ValueError(f"sides, area and step must be at least 1, got {width}, {height}, {area} and {step}")
    wanted, area = aspect((width, height)), area or width * height
    return _nearest(wanted, area, _multiples(area, step, math.exp(wanted)))


def _multiples(area: int, step: int, shape: float) -> Iterator[Size]:
    """Sizes of about an area, with widths up to twice and half that of a width / height, and a square."""
    slack = min(0.5, 2 * step / math.sqrt(area))
    widest = max(step, area / step)
    ideal = min(max(math.sqrt(area * shape), step), widest)
    yield (max(step, round(math.sqrt(area) / step) * step),) * 2
    for width in range(max(step, int(ideal / 2 // step) * step), int(min(ideal * 2, widest)) + step, step):
        lowest, highest = area * (1 - slack) / width, area * (1 + slack) / width
        yield from ((width, h) for h in range(math.ceil(lowest / step) * step, int(highest) + 1, step))


def list_for(size: Size, wanted: str = "") -> tuple[Size, ...]:
    """Returns a published list: the one named, or else the one whose area is nearest to that of a size."""
    if wanted in PUBLISHED:
        return LISTS[wanted]
    area = math.log(max(1, size[0]) * max(1, size[1]))
    return min((LISTS[name] for name in PUBLISHED), key=lambda sizes: abs(_log_area(sizes) - area))


def _log_area(sizes: Sequence[Size]) -> float:
    """The logarithm of the middle area of a list."""
    areas = sorted(width * height for width, height in sizes)
    return math.log(areas[len(areas) // 2])


def in_ratio(size: Size, ratio: str, sizes: Sequence[Size]) -> Size:
    """Returns the bucket nearest to a ratio, upright where the size is: done again it changes nothing."""
    across = parse_ratio(ratio)
    return nearest(round(1024 * (1 / across if size[1] > size[0] else across)), 1024, sizes)


def swap(size: Size) -> Size:
    """Returns the size turned by 90 degrees."""
    return size[1], size[0]


def label(size: Size) -> str:
    """Returns `1216x832`, width before height."""
    return f"{size[0]}x{size[1]}"


def ratio(size: Size) -> str:
    """Returns `19:13` of (1216, 832)."""
    common = math.gcd(*size)
    return f"{size[0] // common}:{size[1] // common}"


def parse_ratio(text: str) -> float:
    """Returns width / height of `3:2`, `1216x832`, `3/2` or `1.5`.

    Raises:
        ValueError: the text is none of these.
    """
    match = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,6})?)\s*(?:[:x×/*]\s*(\d{1,6}(?:\.\d{1,6})?)\s*)?", text)
    numbers = [float(number) for number in match.groups(default="1")] if match else [0.0]
    if min(numbers) <= 0:
        raise ValueError(f"ratio must look like 3:2, 1216x832 or 1.5, got {text!r}")
    return numbers[0] / numbers[1]


BY_RATIO, AREA, MULTIPLES = "by ratio", "area", "multiples"
NAMED = {label(size): size for size in _sorted({size for sizes in LISTS.values() for size in sizes})}


@dataclass(frozen=True)
class BucketOptions:
    """Which bucket a picture is to have."""

    buckets: str = option(
        "sdxl", "Sizes that a model was trained at; area makes a list.", choices=(*LISTS, AREA)
    )
    bucket: str = option(
        BY_RATIO,
        "A bucket by its name, of any list, or the one nearest to a ratio.",
        choices=(BY_RATIO, *NAMED),
    )
    ratio: str = option("3:2", "Width to height: 3:2, 1216x832 or 1.5. A picture's own goes before it.")
    side: int = option(
        1024, "Side of the square whose area a list has.", low=64, high=8192, step=8, advanced=True
    )
    step: int = option(64, "Sides of a list are multiples of it.", low=8, high=512, step=8, advanced=True)

    def __post_init__(self):
        validate(self)


def pick(options: BucketOptions, image: Size | None = None) -> Size:
    """Returns the bucket that the options ask for; that of a picture's size where there is one."""
    if image is None and options.bucket != BY_RATIO:
        return NAMED[options.bucket]
    if options.buckets == AREA:
        sizes = make_buckets(options.side**2, step=options.step)
    else:
        sizes = LISTS[options.buckets]
    if image is None:
        return _nearest(math.log(parse_ratio(options.ratio)), options.side**2, sizes)
    return nearest(*image, sizes)


@dataclass(frozen=True)
class SnapOptions:
    """What a size is snapped to."""

    buckets: str = option(
        "sdxl", "Sizes to choose from; multiples keeps the shape.", choices=(*LISTS, MULTIPLES)
    )
    side: int = option(
        0,
        "For multiples: side of the square whose area is wanted; 0 keeps the size's own.",
        low=0,
        high=16384,
    )
    step: int = option(8, "For multiples: sides are multiples of it.", low=1, high=512, step=1)

    def __post_init__(self):
        validate(self)


def snap_to(options: SnapOptions, width: int, height: int) -> Size:
    """Returns width x height as the options have it snapped."""
    if options.buckets == MULTIPLES:
        return snap(width, height, area=options.side**2 or None, step=options.step)
    return snap(width, height, LISTS[options.buckets])
