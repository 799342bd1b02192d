"""The help pages that ComfyUI shows of the nodes."""

import json
import re

import pytest

from presample.models.cli.build import LOCALES

DOCS = LOCALES.parent / "javascript" / "comfyui" / "docs"
MOST_BYTES = 80_000
PAGES = sorted(DOCS.rglob("*.md"))


def test_every_node_has_a_page_and_one_in_japanese_and_chinese_and_nothing_else_has(nodes):
    wanted = {f"{name}{end}" for name in nodes for end in (".md", "/ja.md", "/zh.md")}
    assert {page.relative_to(DOCS).as_posix() for page in PAGES} == wanted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_has_a_small_picture_that_is_there(page):
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert pictures
    for picture in pictures:  # the page looks for them in docs/, wherever the help lies in it
        assert 0 < (DOCS / picture).stat().st_size <= MOST_BYTES


def test_every_input_and_output_says_what_it_is(nodes):
    for name, node in nodes.items():
        schema = node.GET_SCHEMA()
        silent = [made.id for made in schema.inputs if not made.tooltip]
        silent += [made.display_name for made in schema.outputs if not made.tooltip]
        assert not silent, name


def test_the_inputs_that_a_page_names_are_those_of_the_node(nodes):
    for name, node in nodes.items():
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        section = text.partition("## Inputs")[2].partition("\n## ")[0]
        named = re.findall(r"\*\*(\w+)\*\*", " ".join(re.findall(r"^- (.+?):", section, re.M)))
        assert set(named) <= {made.id for made in node.GET_SCHEMA().inputs}, name


@pytest.mark.parametrize("language", ["ja", "zh"])
def test_a_page_calls_the_nodes_of_tipo_as_they_are_called_in_its_language(language):
    said = json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))
    names = {node["display_name"] for node in said.values()}
    for page in DOCS.glob(f"*/{language}.md"):
        assert set(re.findall(r"\*\*(TIPO[^*]+)\*\*", page.read_text(encoding="utf-8"))) <= names, page
