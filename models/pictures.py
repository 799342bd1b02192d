"""Opens picture files from strangers: whatever a file holds, it is a picture in memory or a reason why not.

Convention: only the formats named here are tried, by what a file holds and not by its name, so none of
Pillow's readers that start other programs is ever asked.
"""

from __future__ import annotations

import warnings
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp")  # of files that are looked for
MOST_PIXELS = 89_478_485  # where PIL begins to suspect a decompression bomb


class NoPicture(ValueError):
    """There is no picture to be had; the message says why in few words, the same ones for the same reason."""


def open_whole(file: IO[bytes]) -> Image:
    """Returns the picture in a file with its pixels read, as it is stored.

    Raises:
        NoPicture: it is no whole JPEG, PNG, WebP or BMP, or would unpack to more than 89 million pixels.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data; a bomb's warning is made an error below
        try:
            image = Image.open(file, formats=FORMATS)
            if image.width * image.height > MOST_PIXELS:
                raise NoPicture("more than 89 million pixels")
            image.load()
        except NoPicture:
            raise
        except Image.DecompressionBombError as error:
            raise NoPicture("more than 89 million pixels") from error
        except Exception as error:  # decoders raise nearly anything on damaged files
            raise NoPicture("no whole picture") from error
    return image


def eight_bits(image: Image) -> Image:
    """Returns the picture with grey of 16 bits brought to 8; PIL's own way to RGB would cut them off."""
    if not image.mode.startswith("I"):
        return image
    return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
