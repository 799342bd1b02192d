"""Opens pictures from strangers: a file that cannot be a picture is named, and stops nothing.

Convention: images are PIL's, RGB, upright as their EXIF data says; what is transparent is white.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ...pictures import NoPicture, open_whole

if TYPE_CHECKING:
    from PIL.Image import Image

    from .sources import Item

MOST_BYTES = 256 << 20


class LeftOut(Exception):
    """An item is left out; the message says why in few words, the same ones for the same reason."""


def read_bytes(item: Item, roots: list[Path]) -> bytes:
    """Returns the bytes of an item's picture.

    Raises:
        LeftOut: the file is not there, cannot be read, is cut short or larger than 256 MiB.
        FileNotFoundError: the whole source is gone, as when a disk was lost: no reason to drop its items.
    """
    try:
        with open(roots[item.source] / item.file, "rb") as file:
            file.seek(item.offset)
            data = file.read(min(MOST_BYTES + 1, item.size) if item.size >= 0 else MOST_BYTES + 1)
    except OSError as error:
        if not roots[item.source].is_dir():
            raise FileNotFoundError(
                f"{roots[item.source]} cannot be reached; bring it back, run again"
            ) from error
        raise LeftOut(f"cannot be read: {error.strerror or 'input or output error'}") from error
    if len(data) > MOST_BYTES or item.size > MOST_BYTES:
        raise LeftOut("larger than 256 MiB")
    if len(data) < item.size:
        raise LeftOut("cut short")
    return data


def open_image(data: bytes) -> Image:
    """Returns the picture in a file's bytes.

    Raises:
        LeftOut: they are no whole JPEG, PNG, WebP or BMP, or would unpack to more than 89 million pixels.
    """
    from PIL import ImageOps

    try:
        image = open_whole(io.BytesIO(data))
    except NoPicture as why:
        raise LeftOut(str(why)) from why
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data
        try:
            image = ImageOps.exif_transpose(image)
        except Exception:  # decoders raise nearly anything on it: the picture itself is whole
            image.info.pop("exif", None)
    return _opaque(image)


def _opaque(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of grey; PIL's own way to RGB cuts them off
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
