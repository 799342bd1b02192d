"""The picture of an expansion: whole, well-formed, and safe whatever the prompt says."""

from xml.etree import ElementTree

import pytest

from presample.models.tipo.expansion import Expansion, RegionExpansion, Request
from presample.models.tipo.picture import LONGEST, WIDTH, draw

SVG = "{http://www.w3.org/2000/svg}"


def expansion(text: str, tags: tuple[str, ...] = ("lake",)) -> Expansion:
    region = RegionExpansion(
        text, {"general": (text,)}, {"general": tags, "special": ("1girl",)}, text, ("A boat.",)
    )
    return Expansion(Request(text), text, text + ", lake", text, "lake", "", "", 0, (region,))


def drawn(picture: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(picture).iter())


def test_the_prompt_every_tag_and_the_prose_are_there():
    words = [node.text for node in drawn(draw(expansion("1girl, night"))) if node.tag == SVG + "text"]
    assert {"1girl, night", "lake", "1girl", "A boat.", "1girl, night, lake"} <= set(words)


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", 'a" onload="x', "a & b", "", "日本語 😀", "\0\x1b[1m\ud800", "x" * 5000],
)
def test_text_of_strangers_is_only_text(text):
    nodes = drawn(draw(expansion(text)))
    assert {node.tag for node in nodes} <= {SVG + name for name in ("svg", "rect", "text")}
    assert not any(name.startswith("on") for node in nodes for name in node.attrib)


def test_chips_stay_inside_the_card():
    for node in drawn(draw(expansion("1girl", tuple(f"a rather long tag {i}" for i in range(40))))):
        if node.tag == SVG + "rect" and "x" in node.attrib:
            assert float(node.get("x")) + float(node.get("width")) <= WIDTH


def test_a_long_tag_is_cut_and_says_so():
    words = [node.text for node in drawn(draw(expansion("1girl", ("x" * 300,)))) if node.tag == SVG + "text"]
    assert "x" * (LONGEST - 2) + " …" in words
