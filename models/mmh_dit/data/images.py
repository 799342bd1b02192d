"""Opens pictures from strangers: a file that cannot be a picture is named, and stops nothing.

Convention: images are PIL's, RGB, upright as their EXIF data says; what is transparent is white.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ...pictures import NoPicture, eight_bits, open_whole

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
        FileNotFoundError: the whole source or shard is gone, as when a disk was lost: no reason to drop its
            items.
    """
    try:
        with open(roots[item.source] / item.file, "rb") as file:
            file.seek(item.offset)
            data = file.read(min(MOST_BYTES + 1, item.size) if item.size >= 0 else MOST_BYTES + 1)
    except OSError as error:
        if lost := _lost(item, roots[item.source]):
            raise FileNotFoundError(f"{lost} cannot be reached; bring it back, run again") from error
        raise LeftOut(f"cannot be read: {error.strerror or 'input or output error'}") from error
    if len(data) > MOST_BYTES or item.size > MOST_BYTES:
        raise LeftOut("larger than 256 MiB")
    if len(data) < item.size:
        raise LeftOut("cut short")
    return data


def _lost(item: Item, root: Path) -> Path | None:
    """What is gone beside the item: its source, of which a lost disk leaves an empty folder, or its shard."""
    try:
        if not any(root.iterdir()):
            return root
    except OSError:
        return root
    shard = root / item.file
    return shard if item.size >= 0 and not shard.exists() else None


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
    try:
        return _opaque(image)
    except Exception as error:  # a palette, or what is transparent in it, may be damaged too
        raise LeftOut("no whole picture") from error


def _opaque(image: Image) -> Image:
    from PIL import Image

    image = eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
