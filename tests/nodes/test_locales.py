"""What ComfyUI shows in other languages: made of its sources, complete, and of nothing that is not there."""

import json

import pytest

from presample.models import cli
from presample.models.cli.build import LOCALES, locale_files

LANGUAGES = ("ja", "zh", "ko")


def read(language, file="nodeDefs.json"):
    return json.loads((LOCALES / language / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_input_and_output_is_translated_and_nothing_else(nodes, language):
    schemas = {name: node.GET_SCHEMA() for name, node in nodes.items()}
    wanted = {
        name: (
            [made.id for made in schema.inputs],
            [str(number) for number, _ in enumerate(schema.outputs)],
        )
        for name, schema in schemas.items()
    }
    said = {name: (list(node["inputs"]), list(node["outputs"])) for name, node in read(language).items()}
    assert said == wanted


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_in_the_language_and_not_english(language):
    for name, node in read(language).items():
        texts = [part["tooltip"] for group in ("inputs", "outputs") for part in node[group].values()]
        for text in (node["display_name"], node["description"], *texts):
            assert any(ord(letter) > 0x2FFF for letter in text), f"{name}: {text}"


def test_the_outputs_of_the_sources_are_named_as_the_nodes_name_them(nodes):
    listed = json.loads((LOCALES / "nodes.json").read_text(encoding="utf-8"))
    for name, node in nodes.items():
        assert listed[name]["outputs"] == [made.display_name for made in node.GET_SCHEMA().outputs]


def test_the_page_finds_the_categories_in_every_language(nodes):
    parts = {part for node in nodes.values() for part in node.GET_SCHEMA().category.split("/")}
    for language in ("en", *LANGUAGES):
        assert set(read(language, "main.json")["nodeCategories"]) == parts


def test_the_files_are_those_that_the_sources_make():
    made = locale_files(LOCALES)
    assert set(LOCALES.glob("*/*.json")) == set(made)
    for path, content in made.items():
        assert path.read_text(encoding="utf-8") == content, f"run: presample build locales ({path})"


@pytest.mark.parametrize("text", ["", "a {name}", "a|b", "x@y"])
def test_a_text_that_is_missing_or_that_the_page_cannot_show_is_refused(tmp_path, text):
    sources = {
        "nodes": {"Node": {"inputs": ["given"], "outputs": []}},
        "xx": {
            "categories": {},
            "inputs": {"given": ["name", text]},
            "outputs": {},
            "nodes": {"Node": {"display_name": "a", "description": "b"}},
        },
    }
    for name, content in sources.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert cli.main(["build", "locales", "--folder", str(tmp_path)]) == 1
    with pytest.raises(ValueError, match=r"xx.json: Node inputs given"):
        locale_files(tmp_path)
