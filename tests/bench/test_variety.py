"""The variety bench: three ways to many variations, measured alike."""

import json

import pytest

from presample.models.bench.variety import Result, Settings, measure, table
from presample.models.cli import main
from presample.models.tipo.expand import load_tipo


@pytest.fixture(scope="module")
def results():
    runs = []
    settings = Settings(counts=(6, 12), seeds=2, tag_length="very_short")
    found = measure(load_tipo(), settings, lambda: runs.append(1))
    assert len(runs) == 8
    return {(result.count, result.way): result for result in found}


@pytest.mark.parametrize("count", [6, 12])
def test_a_tree_has_as_many_variations_and_fewer_has_its_tokens(results, count):
    apart, tree, fewer = (results[count, way] for way in ("independent", "tree", "fewer"))
    assert apart.variations == tree.variations == tree.distinct == count
    assert tree.tokens < apart.tokens
    assert fewer.tokens == pytest.approx(tree.tokens)
    assert fewer.variations == round(count * tree.tokens / apart.tokens)
    for result in (apart, tree, fewer):
        assert 1 < result.tags <= result.variations
        assert 1 < result.words <= result.variations


def test_a_table_gives_percentages_of_what_is_drawn_by_itself():
    whole = Result(8, "independent", 8, 200, 4.0, 5.0, 8, 1.0)
    text = table([whole, Result(8, "tree", 8, 150, 3.0, 4.5, 8, 2.0)])
    assert text.splitlines()[2:] == [
        "| 8 | independent | 8 | 200 | 4.0 | 5.0 | 8 | 1.0 |",
        "| 8 | tree | 8 | 150 (75%) | 3.0 (75%) | 4.5 (90%) | 8 | 2.0 |",
    ]


@pytest.mark.parametrize("wrong", [{"counts": ()}, {"counts": (1,)}, {"seeds": 0}])
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        Settings(**wrong)


def test_the_command_prints_the_table_and_writes_the_numbers(tmp_path, capsys):
    file = tmp_path / "out" / "variety.json"
    words = ["--counts", "2", "--seeds", "1", "--tag-length", "very_short", "--json", str(file)]
    assert main(["bench", "variety", *words]) == 0
    assert sum(line.startswith("| 2 |") for line in capsys.readouterr().out.splitlines()) == 3
    assert [result["way"] for result in json.loads(file.read_text())["results"]] == [
        "independent",
        "tree",
        "fewer",
    ]


def test_the_command_says_what_counts_must_be(capsys):
    assert main(["bench", "variety", "--counts", "many"]) == 1
    assert "--counts must be numbers" in capsys.readouterr().err
