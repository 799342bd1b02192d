"""The contact sheet."""

import pytest
import torch

from presample.models import fonts
from presample.models.sheet import Cell, Row, draw_sheet, save_png

pytest.importorskip("PIL")
RED, BLUE = (torch.tensor(c).view(3, 1, 1) for c in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))


def count(sheet, colour):
    pixels = torch.tensor(list(sheet.getdata()), dtype=torch.uint8)
    return int((pixels == torch.tensor(colour, dtype=torch.uint8)).all(1).sum())


def test_every_picture_is_on_it_whole_and_as_large_as_asked():
    rows = [
        Row("wide and tall", [Cell(RED.expand(3, 20, 60)), Cell(BLUE.expand(3, 50, 20), "a caption " * 40)]),
        Row("", [Cell(BLUE.expand(3, 10, 10))]),
        Row("nothing", []),
    ]
    for scale in (1, 2):
        sheet = draw_sheet(rows, scale=scale)
        assert count(sheet, (255, 0, 0)) == 20 * 60 * scale**2
        assert count(sheet, (0, 0, 255)) == (50 * 20 + 10 * 10) * scale**2


@pytest.fixture(params=["any", "one of Latin-1"])
def font(request, monkeypatch):
    """Pillow's own font, or as it was before Pillow 10.1."""
    from PIL import ImageFont

    def load_default():
        return ImageFont.load_default_imagefont()

    if request.param != "any" and hasattr(ImageFont, "load_default_imagefont"):
        monkeypatch.setattr(ImageFont, "load_default", load_default)


@pytest.mark.usefixtures("font")
@pytest.mark.parametrize("text", ["", "x" * 500, "é … " * 99, "a\n\nb", "日本語のタグ", "\x00<b>&amp;", " "])
def test_any_text_can_stand_on_it(text):
    draw_sheet([Row(text, [Cell(RED.expand(3, 16, 16), text)])])


@pytest.fixture
def usual(monkeypatch):
    """Makes the fonts of the computer those of the names."""

    def choose(*names):
        monkeypatch.setattr(fonts, "USUAL", names)
        fonts._usual.cache_clear()

    yield choose
    fonts._usual.cache_clear()


def test_letters_that_pillow_has_not_are_drawn_in_a_font_that_has_them(usual):
    from PIL import ImageFont

    try:
        ImageFont.truetype("DejaVuSans.ttf", 12)
    except OSError:
        pytest.skip("DejaVuSans.ttf is not on this computer")
    usual("no such font.ttf", "DejaVuSans.ttf")
    assert fonts.lettered("я", 13)[0].getname()[0] == "DejaVu Sans"
    with_it = draw_sheet([Row("я", [Cell(RED.expand(3, 16, 16))])])
    usual()
    assert with_it.tobytes() != draw_sheet([Row("я", [Cell(RED.expand(3, 16, 16))])]).tobytes()


@pytest.mark.usefixtures("font")
@pytest.mark.parametrize("text", ["".join(map(chr, range(128))), "a tag …", ""])
def test_what_pillows_own_font_has_is_drawn_in_it_without_a_look_at_others(monkeypatch, text):
    monkeypatch.setattr(fonts, "_usual", None)
    fonts.lettered(text, 13)


def test_a_sheet_without_a_picture_is_refused():
    with pytest.raises(ValueError, match="must have a picture"):
        draw_sheet([Row("empty", [])])


def test_a_png_carries_its_texts(tmp_path):
    from PIL import Image

    path = tmp_path / "deep" / "sheet.png"
    save_png(draw_sheet([Row("", [Cell(RED.expand(3, 8, 8))])]), path, {"workflow": '{"é": 1}'})
    assert Image.open(path).text == {"workflow": '{"é": 1}'}
