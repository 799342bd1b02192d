"""Pictures from strangers are opened upright and opaque, or named with a reason; nothing else can happen."""

import shutil
import struct
import zlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pictures_for_tests import encoded, folder_of, picture, shard_of

from presample.models.mmh_dit.data.images import LeftOut, open_image, read_bytes
from presample.models.mmh_dit.data.sources import Item
from presample.models.mmh_dit.data.work import scan

Image = pytest.importorskip("PIL.Image", reason="pictures need presample[data]")


def png(width, height, body=b""):
    """A PNG that says its size and has `body` for its pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(body))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_format_opens_as_rgb(kind, mode):
    image = open_image(encoded(picture(20, 12, mode=mode), kind))
    assert (image.mode, image.size) == ("RGB", (20, 12))


@pytest.mark.parametrize("size", [(100_000, 100_000), (10_000, 10_000)])
def test_a_decompression_bomb_is_left_out_before_it_is_unpacked(size):
    with pytest.raises(LeftOut, match="89 million"):
        open_image(png(*size))


WHOLE = encoded(picture(40, 30), "JPEG")


@pytest.mark.parametrize(
    "data", [b"", b"hello", WHOLE[:200], WHOLE[: len(WHOLE) // 2], png(50, 50), b"GIF89a" + bytes(50)]
)
def test_what_is_no_whole_picture_is_left_out(data):
    with pytest.raises(LeftOut, match="no whole picture"):
        open_image(data)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=30))
def test_a_damaged_file_is_a_picture_or_left_out(place, damage):
    try:
        image = open_image(WHOLE[:place] + damage + WHOLE[place + len(damage) :])
    except LeftOut:
        return
    assert image.mode == "RGB"


def test_a_picture_stands_upright_as_its_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    image = open_image(encoded(picture(40, 20), "JPEG", exif=exif))
    assert image.size == (20, 40)


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert open_image(encoded(clear)).getpixel((1, 1)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    assert open_image(encoded(palette, transparency=0)).getpixel((1, 1)) == (255, 255, 255)


def test_sixteen_bits_of_grey_keep_their_brightness():
    import numpy as np

    values = np.arange(0, 65536, 13, dtype=np.uint16)[None]
    shown = np.asarray(open_image(encoded(Image.fromarray(values))))[..., 0]
    assert (shown == np.round(values / 257)).all()


def test_a_palette_that_is_damaged_is_left_out_by_its_name():
    palette = Image.new("P", (4, 4), 0)
    data = encoded(palette, transparency=bytes(range(256)))
    length = data.index(b"tRNS") - 4
    body = b"tRNS" + bytes(300)
    longer = struct.pack(">I", 300) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(LeftOut, match="no whole picture"):
        open_image(data[:length] + longer + data[length + 12 + 256 :])


def test_bytes_are_those_of_the_item_or_a_reason(tmp_path):
    (tmp_path / "f").write_bytes(b"0123456789")
    assert read_bytes(Item("k", 0, "f"), [tmp_path]) == b"0123456789"
    assert read_bytes(Item("k", 0, "f", offset=3, size=4), [tmp_path]) == b"3456"
    for item, why in [
        (Item("k", 0, "gone"), "cannot be read"),
        (Item("k", 0, "f", offset=8, size=4), "cut short"),
        (Item("k", 0, "f", size=1 << 40), "256 MiB"),
    ]:
        with pytest.raises(LeftOut, match=why):
            read_bytes(item, [tmp_path])


@pytest.mark.parametrize("mounted", [False, True])
def test_a_lost_disk_stops_a_run_and_drops_nothing(tmp_path, mounted):
    disk = folder_of(tmp_path / "disk", 2)
    members = [("a.jpg", b"a"), ("a.txt", b"a"), ("b.jpg", b"b"), ("b.txt", b"b")]
    shard = shard_of(tmp_path / "0.tar", members)
    work = scan([disk, shard], tmp_path / "work")
    shutil.rmtree(disk)
    shard.unlink()
    if mounted:
        disk.mkdir()  # what a mount point looks like without its disk
    items = work.items(0)
    assert len(items) == 4
    for item in items:
        with pytest.raises(FileNotFoundError, match=r"(disk|0\.tar) cannot be reached; bring it back"):
            read_bytes(item, work.roots)


def test_opening_leaves_pils_limit_and_torchs_generator_alone():
    before = Image.MAX_IMAGE_PIXELS, torch.get_rng_state().tolist()
    open_image(WHOLE)
    assert (Image.MAX_IMAGE_PIXELS, torch.get_rng_state().tolist()) == before
